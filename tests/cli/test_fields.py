"""`--fields`: the chosen fields in every format, and the refusal of others before anything is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.served import TWO_SIDED, Served, program

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.cli.exit_codes import ENDS
from kalshi_cli.cli.fields import _PRINTED, fields_of, views_of
from kalshi_cli.cli.main import root

GOLDEN = Path(__file__).parent / "golden"
NO_VIEW = {"top", "sim serve", "api"}
"""Commands that print no view: screens, one line when the server is ready, and responses of the exchange."""


def test_every_command_names_its_views() -> None:
    named = {name for names in _PRINTED.values() for name in " ".join(names.split()).split("; ")}
    assert named | NO_VIEW == set(ENDS)
    assert not named & NO_VIEW
    assert all(views_of(name) for name in named)


def golden_json() -> list[tuple[str, Any]]:
    """The command and the JSON of every golden file that has some."""
    found = []
    for path in GOLDEN.glob("*.txt"):
        for part in path.read_text().split("$ kalshi ")[1:]:
            line, _, text = part.partition("\n")
            if line.endswith(("--format json", "--format ndjson")):
                lines = [text] if line.endswith("--format json") else text.splitlines()
                found += [(line, one) for one in lines if one.startswith(("{", "[\n", "[]"))]
    return [(line, json.loads(re.sub('(": ?)…', r"\g<1>0", text.partition("[exit")[0]))) for line, text in found]


@pytest.mark.parametrize(("line", "printed"), golden_json(), ids=lambda each: each if isinstance(each, str) else "")
def test_the_views_of_a_command_are_those_that_it_prints(line: str, printed: Any) -> None:
    views = views_of(whole_name(line))
    known = [view.__struct_fields__ for view in views]
    rows = printed if isinstance(printed, list) else [printed]
    for row in rows if views else ():
        assert tuple(row) in known, f"{line} prints {list(row)}"


def whole_name(line: str) -> str:
    command: Any = root()
    path = list[str]()
    for word in line.split():
        if not hasattr(command, "commands") and not hasattr(command, "get_command"):
            break
        found = command.get_command(None, word)
        if found is None:
            break
        command, path = found, [*path, word]
    return " ".join([*path, getattr(command, "default", "")]).strip()


# -- what is printed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("table", "yes bid  ticker             \n  $0.44  KXRAIN-40JAN01-T1.0\n"),
        ("plain", "  yes bid  ticker\n    $0.44  KXRAIN-40JAN01-T1.0\n"),
        ("json", '[\n  {"yes_bid":"0.4400","ticker":"KXRAIN-40JAN01-T1.0"}\n]\n'),
        ("ndjson", '{"yes_bid":"0.4400","ticker":"KXRAIN-40JAN01-T1.0"}\n'),
        ("csv", '"yes_bid","ticker"\n"0.4400","KXRAIN-40JAN01-T1.0"\n'),
    ],
)
def test_a_list_has_the_chosen_fields_in_their_order(exchange: Served, form: str, printed: str) -> None:
    ended = program("markets", "--search", TWO_SIDED, "--fields", "yes_bid, ticker,yes_bid", "--format", form)
    assert (ended.out, ended.code) == (printed, ExitCode.OK)


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("table", "Balance\ntotal  $1,000.00\ncash   $1,000.00\n"),
        ("plain", "total  $1,000.00\ncash   $1,000.00\n"),
        ("json", '{\n  "total": "1000.000000",\n  "cash": "1000.000000"\n}\n'),
        ("ndjson", '{"total":"1000.000000","cash":"1000.000000"}\n'),
        ("csv", '"total","cash"\n"1000.000000","1000.000000"\n'),
    ],
)
def test_an_object_has_the_chosen_fields_in_their_order(exchange: Served, form: str, printed: str) -> None:
    assert program("balance", "--fields", "total,cash", "--format", form).out == printed


def test_a_list_in_an_object_is_a_table_and_in_a_cell_json(exchange: Served) -> None:
    plain = program("balance", "--fields", "shards", "--format", "plain").out
    assert plain.split()[:2] == ["shard", "cash"]
    assert [row["exchange_index"] for row in program("balance", "--fields", "shards", "--json").json["shards"]] == [
        0,
        1,
    ]
    header, cell = program("balance", "--fields", "shards", "--format", "csv").out.splitlines()
    assert header == '"shards"'
    assert cell.startswith('"[{""exchange_index"":0')


def test_fields_of_rows_print_the_rows(exchange: Served) -> None:
    exchange.trade_a_little()
    rows = program("pnl", "--fields", "key,fees", "--json").json
    assert {tuple(row) for row in rows} == {("key", "fees")}
    assert list(program("pnl", "--fields", "fees", "--json").json) == ["fees"]
    assert program("pnl", "--fields", "fees", "--format", "csv").out.count("\n") == 1 + len(rows)
    assert len(program("pnl", "--fields", "fees,rows", "--json").json["rows"]) == len(rows)


def test_an_order_book_has_its_fields_or_those_of_its_levels(exchange: Served) -> None:
    book = program("orderbook", TWO_SIDED, "--fields", "best_bid,spread", "--format", "csv").out
    assert book.startswith('"best_bid","spread"\n"0.4400",')
    levels = program("orderbook", TWO_SIDED, "--fields", "price,count", "--json").json
    assert {"price": "0.4400", "count": "100.00"} in levels
    ended = program("orderbook", TWO_SIDED, "--fields", "price,spread", "--json")
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "or from: side, price, count" in ended.err


def test_fields_that_two_views_of_a_command_share_are_listed_once() -> None:
    assert program("positions", "--fields", "none").err.count("average_price") == 1


def test_a_command_that_prints_a_sentence_prints_the_fields(exchange: Served) -> None:
    assert program("lock", TWO_SIDED, "--for", "1h", "--fields", "ticker", "--format", "ndjson").json == {
        "ticker": TWO_SIDED
    }
    assert program("lock", TWO_SIDED, "--for", "1h", "--fields", "ticker").out.split() == ["ticker", TWO_SIDED]
    assert program("runbook", "kill-switch", "--fields", "name").out.split()[0] == "name"


def test_an_empty_list_has_its_header_in_csv(exchange: Served) -> None:
    assert program("positions", "--fields", "ticker,count", "--format", "csv").out == '"ticker","count"\n'


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["balance --fields cahs", "--fields cahs balance", "balance --json --fields cash,cahs"]
)
def test_an_unknown_field_names_the_known_ones(exchange: Served, line: str) -> None:
    ended = program(*line.split())
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "Unknown field: cahs" in ended.err
    assert "did you mean cash?" in ended.err
    assert "cash, portfolio_value, total" in ended.err


@pytest.mark.parametrize(("heading", "field"), [("quantity", "count"), ("Closing price", "mark")])
def test_a_heading_of_the_table_leads_to_its_field(exchange: Served, heading: str, field: str) -> None:
    ended = program("positions", "--fields", f"ticker,{heading}")
    assert ended.code == ExitCode.USAGE
    assert f"did you mean {field}?" in ended.err


def test_an_empty_choice_is_refused(exchange: Served) -> None:
    assert "--fields needs a value; it is empty" in program("balance", "--fields", "").err
    assert "Unknown field: (empty)" in program("balance", "--fields", ",").err


def test_an_unknown_field_is_refused_before_an_order_is_sent(exchange: Served) -> None:
    ended = program("buy", TWO_SIDED, "1", "@0.02", "--fields", "order_id,fee")
    assert ended.code == ExitCode.USAGE
    assert program("order", "list", "--json").json == []
    assert program("buy", TWO_SIDED, "1", "@0.02", "--fields", "status", "--format", "ndjson").json == {
        "status": "resting"
    }


def test_a_check_says_unknown(exchange: Served) -> None:
    ended = program("check", "balance", "--fields", "cash")
    assert (ended.code, ended.out) == (3, "KALSHI BALANCE UNKNOWN - Unknown field: cash\n")
    assert program("check", "balance", "--no-notify", "--fields", "status").out.split() == ["status", "OK"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("top --fields ticker", "prints no fields"),
        ("catalog clear --fields ticker", "Fields: done, subject"),
        (f"watch {TWO_SIDED} --fields time --format plain", "--format ndjson"),
        (f"orderbook {TWO_SIDED} --watch --fields price", "prints whole order books"),
    ],
)
def test_fields_that_a_command_cannot_print_are_refused(exchange: Served, line: str, says: str) -> None:
    ended = program(*line.split())
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert says in ended.err


def test_a_stream_has_the_chosen_fields(exchange: Served) -> None:
    lines = program("watch", TWO_SIDED, "--duration", "1s", "--fields", "type,ticker").out.splitlines()
    assert lines
    assert {tuple(json.loads(line)) for line in lines} == {("type", "ticker")}


def test_completion_offers_the_fields_of_the_command() -> None:
    assert fields_of("kalshi balance")[:2] == ["cash", "portfolio_value"]
    assert "total" in fields_of("kalshi orderbook")
    assert fields_of("kalshi top") == []
