"""`kalshi schema`: the views, who prints them, and the schema of each."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator
from support.served import TWO_SIDED, Served, program

from kalshi_cli.base.errors import ExitCode


def test_the_views_are_listed_with_the_commands_that_print_them() -> None:
    ended = program("schema", "--json")
    listed = {row["view"]: row["commands"] for row in ended.json}
    assert listed["PositionRow"] == ["positions"]
    assert listed["NewOrderView"] == ["buy", "sell", "order place"]
    assert listed["LevelRow"] == [], "a part of another view"
    assert listed["SchemaRow"] == ["schema"]
    assert "check exchange" in program("schema", "--format", "table").out, "a long cell wraps"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (["OrderRow"], "OrderRow"),
        (["orderrow"], "OrderRow"),
        (["order", "list"], "ListedOrderRow"),
        (["alerts"], "AlertsView"),
        (["doctor"], "HealthRow"),
    ],
)
def test_a_view_and_a_command_with_one_view_have_one_schema(name: list[str], title: str) -> None:
    schema = program("schema", *name).json
    assert (schema["title"], schema["$schema"]) == (title, Draft202012Validator.META_SCHEMA["$id"])
    assert program("schema", *name, "--format", "ndjson").out.count("\n") == 1


def test_what_a_command_prints_fits_the_schema_of_its_views(exchange: Served) -> None:
    schema = Draft202012Validator(program("schema", "orderbook", "--json").json)
    for side in ("yes", "no"):
        assert schema.is_valid(program("orderbook", TWO_SIDED, "--side", side, "--json").json)
    assert not schema.is_valid({"ticker": TWO_SIDED})


def test_an_error_fits_the_schema_of_errors() -> None:
    schema = Draft202012Validator(program("schema", "error").json)
    for words in ("market nope --json", "order list --status nope --json", "schema nope --json -v"):
        assert schema.is_valid({"error": program(*words.split()).error})
    assert not schema.is_valid({"error": {"code": "usage"}})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("OrderRwo", "did you mean OrderRow? `kalshi schema` lists all"),
        ("top", "No view or command with fields: top"),
        ("order", "did you mean order amend or order batch or order cancel?"),
        ("OrderRow --format csv", "--fields and --format csv are for the list of views"),
        ("OrderRow --fields view", "--fields and --format csv are for the list of views"),
    ],
)
def test_a_name_without_a_schema_is_refused(line: str, says: str) -> None:
    ended = program("schema", *line.split())
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert says in ended.err
