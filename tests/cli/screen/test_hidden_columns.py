"""The notice of columns without room: what it asks to run again only reads, and takes the fields that it names."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from kalshi_cli.cli.exit_codes import ENDS, only_reads
from kalshi_cli.cli.fields import takes_fields
from kalshi_cli.cli.screen import brief
from kalshi_cli.cli.screen.output import Format, set_command
from kalshi_cli.cli.screen.render import render_rows
from kalshi_cli.views.row import OutputRow

COMMANDS = {
    "AlertLine": "alerts list",
    "FillLine": "fills",
    "FilledOrderLine": "order list",
    "LotLine": "export tax-lots",
    "OrderLine": "order list",
    "OrderStatusLine": "order list",
    "PositionLine": "positions",
    "QueueLine": "order queue",
    "SettlementLine": "settlements",
    "SubaccountPositionLine": "positions",
    "UpcomingLine": "settlements",
}
"""The lines of a list on a terminal, and the command that reads it."""

NEVER_HIDDEN = {"AlertLine", "BatchListing", "RefusedOrdersLine", "SchemaLine"}
"""Lists that wrap, or that a write prints."""

WRITES = {name for name in ENDS if not only_reads(name, {"method": "POST"})}


class Wide(OutputRow, frozen=True, kw_only=True):
    """A row that is wider than the screen."""

    ticker: str = "KXRAIN-40JAN01-T1.0"
    side: str = "yes"
    first: str = "1" * 30
    second: str = "2" * 30
    third: str = "3" * 30


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "80")
    yield
    set_command(None)


def drawn(capsys: pytest.CaptureFixture[str], command: str | None) -> tuple[str, str]:
    set_command(command)
    render_rows(Wide, [Wide(), Wide()], Format.TABLE)
    shown = capsys.readouterr()
    return shown.out, shown.err


def test_a_write_hides_nothing_and_is_not_to_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = drawn(capsys, "")
    assert err == ""
    assert all(number * 30 in out for number in "123")


def test_the_notice_names_fields_only_where_the_command_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert "To see them: --fields ticker,side,second,third" in drawn(capsys, None)[1]
    assert (
        drawn(capsys, "kalshi event")[1] == "Hidden, the terminal is too narrow: second, third. Use a wider terminal\n"
    )


@pytest.mark.parametrize("command", sorted(WRITES))
def test_every_command_that_changes_something_is_known_as_one(command: str) -> None:
    assert not only_reads(command, {"method": "DELETE", "dry_run": True}), "a retyped dry run may lose its --dry-run"


def test_the_writes_are_complete() -> None:
    named = {
        "buy", "sell", "cancel", "close", "flatten", "cancel-all", "resume", "pause", "stop", "lock", "unlock", "trade",
        "api", "init", "record",
    }  # fmt: skip
    verbs = {"place", "cancel", "amend", "decrease", "batch", "create", "delete", "accept", "confirm", "transfer",
             "send", "set", "upgrade", "rebuild", "add", "remove", "silence", "unsilence", "reconcile", "cancel-all",
             "limit", "trigger", "reset", "netting", "retry", "refresh", "clear", "new", "download", "import", "prune",
             "settle", "shuffle", "start"}  # fmt: skip
    changing = {name for name in ENDS if name in named or (" " in name and name.rpartition(" ")[2] in verbs)}
    assert changing <= WRITES
    assert not WRITES & {"fills", "positions", "order list", "order show", "markets", "pnl", "settlements", "portfolio"}
    assert only_reads("api", {"method": "get"})


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_column_has_a_name_that_its_command_takes(name: str) -> None:
    kind = getattr(brief, name)
    names = kind.shown or kind.__struct_fields__
    hidden = [each for each in names[1:] if each not in kind.vital]
    known = [each for each in names if each == names[0] or each in ("ticker", "side")]
    assert takes_fields(f"kalshi {COMMANDS[name]}", [kind.fields.get(each, each) for each in (*known, *hidden)])


def test_every_line_is_listed_here() -> None:
    kinds = [kind for kind in vars(brief).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    lines = {kind.__name__ for kind in kinds if kind.__name__.endswith(("Line", "Listing"))}
    assert lines == set(COMMANDS) | NEVER_HIDDEN
