"""Every row that a command prints, filled with hostile text, in every format; and whatever else shows outside text."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
import pkgutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from support.hostile_text import HOSTILE, HUGE, LONE, check_output, endless, formulas, harmful

import kalshi_cli.views as all_rows
from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.text import LONGEST, safe_lines, safe_text
from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.cli.commands.check import show
from kalshi_cli.cli.screen.output import Format, warn
from kalshi_cli.cli.screen.render import render_one, render_rows
from kalshi_cli.cli.screen.watch import draw_board, draw_ladder
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot, PublicTrade
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, Verdict
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.notify.notice_text import escape_markup, to_body, to_json, to_title
from kalshi_cli.services.markets.watch_board import WatchBoard
from kalshi_cli.telemetry.logs import LOG, LineFile, Log
from kalshi_cli.telemetry.metrics import Metrics
from kalshi_cli.telemetry.tables import TRADES, Tables, TradeRow
from kalshi_cli.views.formats import ExchangeJson, Ratio, without_none
from kalshi_cli.views.row import OutputRow

NOW = Ts(1_780_000_000_000)
ALL = (*HOSTILE, *LONE, HUGE)
WIDTHS = ("20", "80", "200")


def every(kind: type[OutputRow] = OutputRow) -> Iterator[type[OutputRow]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from every(narrower)


for _module in pkgutil.iter_modules(all_rows.__path__):
    import_module(f"{all_rows.__name__}.{_module.name}")
ROWS = sorted(set(every()), key=lambda row: row.__name__)


_fields = functools.cache(msgspec.structs.fields)


def filled(kind: Any, texts: Iterator[str]) -> Any:
    """A value of this type, whose texts are the next ones; where anything may stand, a bit of each."""
    bare = without_none(kind)
    origin, args = get_origin(bare), get_args(bare)
    if origin is Literal:
        return args[0]
    if origin is tuple:
        return tuple(filled(arg, texts) for arg in ((args[0],) * 2 if args[1:] == (...,) else args))
    if origin is dict:
        return {next(texts): filled(args[1], texts) for _ in range(2)}
    if bare is ExchangeJson or isinstance(bare, TypeVar):
        return {next(texts): [next(texts), {next(texts): 1}], "n": float("nan")}
    if isinstance(bare, type) and issubclass(bare, Enum):
        return next(iter(bare))
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return bare(**{field.name: filled(field.type, texts) for field in _fields(bare)})
    while hasattr(bare, "__supertype__") and bare is not Ratio:
        bare = bare.__supertype__
    return {str: lambda: next(texts), bool: lambda: True, int: lambda: 5_000, float: lambda: 0.5, Ratio: lambda: 0.5}[
        bare
    ]()


def printed(what: Any, *words: Any, **more: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        what(*words, **more)
    return out.getvalue(), err.getvalue()


TEXTS = endless()


@pytest.mark.parametrize("of", ROWS, ids=lambda of: of.__name__)
def test_a_row_of_hostile_text_is_harmless_in_every_format(
    of: type[OutputRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    for number, form in enumerate(Format):
        monkeypatch.setenv("COLUMNS", WIDTHS[number % len(WIDTHS)])
        rows = [filled(of, TEXTS) for _ in range(8)]
        title = next(TEXTS)
        for what, row in ((render_rows, (of, rows)), (render_one, (rows[0],))):
            out, err = printed(what, *row, form, title=title, now=NOW)
            check_output(out, form)
            assert harmful(err) == ""
            if what is render_rows and form in (Format.PLAIN, Format.NDJSON):
                assert out.count("\n") <= len(rows) + (form is Format.PLAIN), "a text made a line of its own"


def test_the_rows_took_all_of_the_texts() -> None:
    texts, seen = iter(HOSTILE), 0
    try:
        for of in ROWS:
            for _ in range(8 * len(Format)):
                filled(of, texts)
                seen += 1
    except (StopIteration, RuntimeError):  # the latter where they end within a tuple
        return
    raise AssertionError(f"{seen} rows did not take {len(HOSTILE)} texts")


def test_the_check_would_notice() -> None:
    with pytest.raises(AssertionError):
        check_output("\x1b[31m", "plain")
    with pytest.raises(AssertionError):
        check_output("a\u202eb", "table")
    with pytest.raises(AssertionError):
        check_output('"name"\n"=1+1"\n', "csv")
    with pytest.raises(ValueError, match="lengths"):
        check_output('"a","b"\n"1"\n', "csv")
    with pytest.raises(ValueError, match="Expecting"):
        check_output('{"a": ', "json")
    with pytest.raises(AssertionError):
        assert all(not harmful(text) for text in HOSTILE)
    check_output('"a","b"\n"-1.50","\'=1"\n', "csv")


def test_remarks_and_errors() -> None:
    for text in ALL:
        _, err = printed(warn, f"error: {text}")
        assert harmful(err) == ""
        assert len(err) <= LONGEST + 1
        assert harmful(safe_lines(text)) == harmful(safe_text(text)) == ""
        assert "\n" not in safe_text(text)


# -- monitoring -------------------------------------------------------------------------------------------------------


def test_a_check_keeps_to_its_lines_and_its_numbers_are_its_own() -> None:
    texts = iter(ALL)
    for first in texts:
        breaches = [
            Breach(subject=text, value=text, limit=text, severity="critical", code="A")
            for text in itertools.islice(texts, 40)
        ]
        found = CheckReport(
            check="orders", verdict=Verdict.CRITICAL, summary=first, breaches=tuple(breaches),
            measures=(Measure(label="orders", value=3),), runbook="drift",
        )  # fmt: skip
        parts = [msgspec.structs.replace(found, check="pnl", breaches=(), measures=())] * 10
        for form in Format:
            out, err = printed(show, found, form, parts)
            check_output(out, form)
            assert harmful(err) == ""
            if form is Format.TABLE:
                assert out.split()[:3] == ["check", "status", "summary"]
            if form is Format.PLAIN:
                assert len((out + err).splitlines()) <= 20
                line = out.splitlines()[0]
                assert (line.count("|"), line[:24]) == (1, "KALSHI ORDERS CRITICAL -")
                assert line.endswith(" | orders=3;;")


# -- alerts -----------------------------------------------------------------------------------------------------------


def test_a_notice_is_harmless_to_machines_and_to_chats() -> None:
    texts = endless()
    for _ in range(len(HOSTILE) // 4):
        some = [next(texts) for _ in range(4)]
        notice = Notice(
            notice_id="n", kind="firing", tier="critical", event="error", code="ORDER_UNKNOWN", subject=some[0],
            text=some[1], env="demo", since=NOW, ts=NOW, value=some[2], limit=some[3], count=2, subjects=tuple(some),
            runbook="drift", command=f"kalshi market {some[0]}",
        )  # fmt: skip
        body = json.loads(to_json(notice))
        assert all(harmful(json.dumps(value, ensure_ascii=False)) == "" for value in body.values())
        chat = f"{to_title(notice)}\n{to_body(notice)}"
        assert harmful(chat) == ""
        assert not set("@<>&`*~|#\\") & set(chat)
        assert "\n" not in to_title(notice)
        assert len(to_body(notice).splitlines()) <= 7


def test_no_mention_and_no_link_is_left() -> None:
    for text in HOSTILE:
        said = escape_markup(text, LONGEST)
        assert not any(part in said for part in ("@everyone", "@here", "<!channel>", "](", "://", "<@"))


# -- files ------------------------------------------------------------------------------------------------------------


def no_warning(text: str) -> None:
    raise AssertionError(f"warned: {text}")


def test_a_text_is_one_line_of_the_log(tmp_path: Path) -> None:
    log = Log(LineFile(tmp_path / LOG, 1_000_000_000, 2, no_warning), ManualClock(NOW), env="sim")
    for text in ALL:
        log.line("alert", text=text, ticker=text)
    written = (tmp_path / LOG).read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    assert harmful(written) == ""
    assert len(lines) == written.count("\n") == len(ALL)
    assert {line["event"] for line in lines} == {"alert"}


def test_a_text_is_one_cell_of_the_trades(tmp_path: Path) -> None:
    rows = [
        TradeRow(
            ts=NOW, ticker=text, side=BID, price=cents(40), qty=contracts(1), fee=Money(0), is_taker=True,
            strategy=text, realized=Money(-20_000), edge=Price(-150), trade_id=f"{number}{text}", order_id=text,
            client_order_id=text, subaccount=0,
        )
        for number, text in enumerate(ALL)
    ]  # fmt: skip
    tables = Tables(tmp_path, no_warning)
    assert tables.missing([]) == []
    tables.add(rows)
    written = (tmp_path / TRADES).read_bytes().decode()
    assert harmful(written) == ""
    assert formulas(written) == []
    assert len(list(csv.reader(io.StringIO(written)))) == len(rows) + 1


def test_the_page_of_metrics_is_read_whatever_a_strategy_is_called() -> None:
    for text in (*HOSTILE[::20], *LONE):
        metrics = Metrics(version="1", env="sim", mode="sim", strategy=text)
        page = generate_latest(metrics.registry).decode()
        families = {family.name for family in text_string_to_metric_families(page)}
        assert "trading_run" in families


# -- the live screen --------------------------------------------------------------------------------------------------


def test_the_live_screen_of_hostile_markets() -> None:
    texts = endless()
    for width in (20, 80, 120):
        markets = [
            Market(
                ticker=next(texts), event_ticker=next(texts), title=next(texts), subtitle=next(texts),
                status=MarketStatus.ACTIVE, grid=CENT_GRID, yes_bid=None, yes_bid_size=Qty(0), yes_ask=None,
                yes_ask_size=Qty(0), last=None, volume=Qty(0), volume_24h=Qty(0), open_interest=Qty(0),
                open_time=Ts(0), close_time=Ts(0),
            )
            for _ in range(100)
        ]  # fmt: skip
        board = WatchBoard(markets, NOW, is_streamed=True)
        for market in markets:
            board.take(BookSnapshot(NOW, market.ticker, ((cents(47), contracts(3)),), ()), NOW)
            board.take(PublicTrade(NOW, market.ticker, "t", cents(52), contracts(2), BID), NOW)
        for drawn in (
            draw_board(board, "sim", NOW, width, 400),
            draw_ladder(WatchBoard(markets[:1], NOW, is_streamed=True), "sim", NOW, 10, width, 24),
        ):
            console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, highlight=False)
            console.print(drawn)
            assert harmful(console.file.getvalue()) == ""  # type: ignore[attr-defined]
