"""Every command refuses an empty value, and two values of an option that takes one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.main import main, root
from kalshi_cli.cli.option_values import refuse_option_values, with_placeholders
from kalshi_cli.cli.parameters import HelpCommand, HelpGroup

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("home")


def commands(path: tuple[str, ...], command: Any) -> Iterator[tuple[str, Any]]:
    yield " ".join(path), command
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from commands((*path, name), command.get_command(None, name))


EVERY_COMMAND = dict(commands((), root()))
EVERY_OPTION = [
    (path, name, option.nargs)
    for path, command in EVERY_COMMAND.items()
    for option in command.params
    if option.param_type_name == "option" and not option.is_flag and not option.multiple
    for name in option.opts
]


def context_of(path: str) -> tuple[Any, typer.Context]:
    command = EVERY_COMMAND[path]
    return command, typer.Context(command, info_name=path, help_option_names=["-h", "--help"])  # which a command keeps


def refusal(command: Any, context: typer.Context, words: list[str]) -> str:
    """The first line of what is said against these words; empty where nothing is."""
    try:
        refuse_option_values(command, context, words)
    except UsageError as error:
        return error.message.split("\n")[0]
    return ""


def test_every_option_with_one_value_is_refused_with_two_and_with_an_empty_one() -> None:
    wrong = []
    for path in EVERY_COMMAND:
        command, context = context_of(path)
        for name, count in [(name, count) for of, name, count in EVERY_OPTION if of == path]:
            first, other = ["a"] * count, ["b"] * count
            same = refusal(command, context, [name, *first, name, *first])
            two = refusal(command, context, [name, *first, name, *other])
            if same or not two.endswith(f"takes one value, not 2: {' '.join(first)}, {' '.join(other)}"):
                wrong.append((path, name, same, two))
            for empty in ("", " ") if name != "--config" else ():
                said = refusal(command, context, [name, *["a"] * (count - 1), empty])
                if not re.fullmatch("--[a-z-]+ needs a value; it is empty", said):
                    wrong.append((path, name, repr(empty), said))
    assert wrong == []


def test_every_option_with_a_value_refuses_the_next_option_as_its_value() -> None:
    """Each option with one of the others, and each of the others after one option: the two are judged apart."""
    wrong = []
    for path in EVERY_COMMAND:
        command, context = context_of(path)
        params = [each for each in command.get_params(context) if each.param_type_name == "option"]
        known = [name for each in params for name in (*each.opts, *each.secondary_opts)]
        nexts = (*known, "--json=1", "--jsn", "-vq", "-y", "-Xyz")
        names = [(name, each.nargs) for each in params if not (each.is_flag or each.count) for name in each.opts]
        for at in range(max(len(names), len(nexts)) if names else 0):
            (name, count), next_word = names[at % len(names)], nexts[at % len(nexts)]
            said = refusal(command, context, [name, *["a"] * (count - 1), next_word])
            if not re.fullmatch(f"--[a-z-]+ needs a value; {re.escape(next_word)} looks like an option", said):
                wrong.append((path, name, next_word, said))
        for name, count in names:
            given = [[name, *["a"] * (count - 1), value] for value in ("-5", "-0.5", "-")]
            given += [[f"{name}=--json"]] if name.startswith("--") and count == 1 else []
            wrong += [(path, *words, said) for words in given if (said := refusal(command, context, words))]
    assert wrong == []


SWALLOWED = [
    ("buy T 1 @0.19 --client-order-id --dry-run --json", "--client-order-id", "--dry-run"),
    ("buy T 1 @0.19 --json --client-order-id --yes", "--client-order-id", "--yes"),
    ("cancel-all --json --ticker --no-halt", "--ticker", "--no-halt"),
    ("buy T 1 @0.19 --client-order-id -y --json", "--client-order-id", "-y"),
    ("buy T 1 @0.39 --json --group --reduce-only", "--group", "--reduce-only"),
    ("buy T 1 @0.39 --json --expires-in -h", "--expires-in", "-h"),
    ("--json --env --quiet balance", "--env", "--quiet"),
    ("--json --state --env=sim balance", "--state", "--env=sim"),
    ("--json config --state --env path", "--state", "--env"),
    ("api GET /markets --json -f -q", "--raw-field", "-q"),
]


@pytest.mark.parametrize(("line", "name", "option"), SWALLOWED, ids=[line for line, _, _ in SWALLOWED])
def test_an_option_without_its_value_is_refused_in_one_line(line: str, name: str, option: str, capsys: Capture) -> None:
    assert main(line.split()) == 2
    shown = capsys.readouterr()
    error = json.loads(shown.err)["error"]
    assert shown.out == ""
    assert error["message"] == f"{name} needs a value; {option} looks like an option"
    assert error["hint"] == f"is a variable of the shell unset? To give this value: {name}={option}"


EMPTY = [
    ("order place T --side yes --action buy --count 1 --price 0.2 --client-order-id=", "--client-order-id"),
    ("buy T 1 @0.2 --group=", "--group"),
    ("order place T --side yes --action buy --count 1 --price=", "--price"),
    ("order place T --side= --action buy", "--side"),
    ("order list --ticker=", "--ticker"),
    ("order list --status=", "--status"),
    ("cancel-all --ticker=", "--ticker"),
    ("balance --fields=", "--fields"),
    ("--env= balance", "--env"),
    ("balance --env=", "--env"),
    ("config path --allow-host=", "--allow-host"),
    ("api GET /markets -f=", "--raw-field"),
    ("trade --strategy spike --param=", "--param"),
    ("close =", "TICKER"),
    ("market =", "TICKER"),
    ("lock =", "TICKER"),
    ("order amend = --price 0.2", "ID"),
    ("order cancel a =", "ID... | -"),
    ("orderbook A =", "TICKER"),
    ("pnl --plot =", "FILE.svg"),
]


@pytest.mark.parametrize(("line", "name"), EMPTY, ids=[line for line, _ in EMPTY])
def test_an_empty_value_is_refused_in_one_line(line: str, name: str, capsys: Capture) -> None:
    words = ["" if word == "=" else word for word in line.replace("-f=", "-f =").split()]
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[0] == f"error: {name} needs a value; it is empty"


def test_an_empty_value_of_a_check_is_unknown(capsys: Capture) -> None:
    assert main(["check", "positions", "--warn", ""]) == 3
    assert "--warn needs a value; it is empty" in capsys.readouterr().out


def test_an_empty_configuration_file_means_none_was_given(capsys: Capture) -> None:
    assert main(["config", "path", "--config", ""]) == 0
    assert capsys.readouterr().out


def test_no_command_parses_its_options_elsewhere() -> None:
    assert {type(each) for each in EVERY_COMMAND.values() if not isinstance(each, HelpCommand | HelpGroup)} == set()
    assert ("markets", "--status", 1) in EVERY_OPTION
    assert ("order place", "--count", 1) in EVERY_OPTION


REFUSED = [
    ("markets --status open --status=closed", "--status takes one value, not 2: open, closed"),
    ("orderbook T --depth 3 --depth 4 --depth 3", "--depth takes one value, not 2: 3, 4"),
    ("order place T --side yes --action buy --count 1 --price 0.2 --count 2", "--count takes one value, not 2: 1, 2"),
    ("buy T 10 @0.2 --tif gtc --tif ioc", "--tif takes one value, not 2: gtc, ioc"),
    ("subaccounts create --shard 1 --exchange-index 2", "--shard takes one value, not 2: 1, 2"),
    ("markets --series KXBTCD,KXETHD", "--series takes one value, not 2: KXBTCD, KXETHD"),
    ("data export trades --out a.csv --series KXA --series KXB", "--series takes one value, not 2: KXA, KXB"),
    ("optimize spike tape --prune --no-prune", "--prune and --no-prune cannot be combined"),
    ("markets --limit 5 --all", "--limit and --all cannot be combined"),
    ("fills --all --limit=5", "--limit and --all cannot be combined"),
    ("config path --env sim --env demo", "--env takes one value, not 2: sim, demo"),
    ("--env sim config path --env demo", "--env takes one value, not 2: sim, demo"),
    ("config --env sim path --env demo", "--env takes one value, not 2: sim, demo"),
    ("--state a config path --state b", "--state takes one value, not 2: a, b"),
    ("--tz UTC --tz local config path", "--tz takes one value, not 2: UTC, local"),
    ("config path --fields what --fields path", "--fields takes one value, not 2: what, path"),
    ("--format csv config path --format plain", "--format takes one value, not 2: csv, plain"),
    ("config path --format csv --format plain", "--format takes one value, not 2: csv, plain"),
]


@pytest.mark.parametrize(("line", "said"), REFUSED, ids=[line for line, _ in REFUSED])
def test_two_values_are_refused_with_both_of_them(line: str, said: str, capsys: Capture) -> None:
    assert main(line.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[0] == f"error: {said}"


def test_the_values_of_a_list_can_be_joined(capsys: Capture) -> None:
    assert main(["trade", "--strategy", "spike", "--strategy", "market-maker"]) == 2
    assert "hint: separate them with commas: --strategy spike,market-maker" in capsys.readouterr().err
    assert main(["optimize", "tape", "--strategy", "spike", "--strategy", "fade"]) == 2
    assert "hint: give one value" in capsys.readouterr().err


@pytest.mark.parametrize("order", [1, -1])
def test_json_and_another_format_contradict_each_other(order: int, capsys: Capture) -> None:
    assert main(["config", "path", *["--format=csv", "--json"][::order]]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["message"] == "--json and --format csv cannot be combined"
    assert main(["config", "path", "--format", "json", "--json"]) == 0


def test_an_alias_is_told_which_variable_an_option_overrides(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["--env", "sim", "config", "path", "--env", "demo"]) == 2
    assert "KALSHI_ENV" in capsys.readouterr().err
    monkeypatch.setenv("KALSHI_ENV", "sim")
    assert main(["config", "show", "--env", "demo", "--json", "--fields", "path,value"]) == 0
    assert {"path": "env", "value": "demo"} in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "line",
    [
        "config path --env sim --env sim",
        "--env sim -v config path --env sim -v -v",
        "--json config path --json --format json",
        "--allow-host a.example config path --allow-host b.example --allow-host c.example",
    ],
)
def test_the_same_value_twice_is_harmless(line: str, capsys: Capture) -> None:
    assert main(line.split()) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("status", [("open", "--status", "closed"), ("",)])
def test_help_comes_before_the_refusal(status: tuple[str, ...], capsys: Capture) -> None:
    assert main(["markets", "--status", *status, "-h"]) == 0
    assert capsys.readouterr().out.startswith("Usage: kalshi markets ")


def test_a_check_with_two_values_is_unknown(capsys: Capture) -> None:
    assert main(["check", "positions", "-w", "5", "--warn", "6"]) == 3
    assert "--warn takes one value, not 2: 5, 6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("example", "hint"),
    [
        ("kalshi buy KXHIGHNY-26NOV21-B53.5 10 @0.24", "kalshi buy TICKER 10 @0.24"),
        ("kalshi watch KXBTCD-26NOV2114-T86249.99 KXETHD-26NOV2114-T2979.99", "kalshi watch TICKER TICKER"),
        ("kalshi event KXHIGHNY-26NOV21", "kalshi event EVENT"),
        ("kalshi series-info KXHIGHNY --json", "kalshi series-info KXHIGHNY --json"),
        ("kalshi order list --ticker 'KXBTC*'", "kalshi order list --ticker 'KXBTC*'"),
    ],
)
def test_a_hint_names_no_market_that_may_have_closed(example: str, hint: str) -> None:
    assert with_placeholders(example) == hint
