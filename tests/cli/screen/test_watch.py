"""`watch`, `orderbook --watch`, `status --watch` against an exchange behind real sockets, and their screens."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console, RenderableType
from support.fault_proxy import fault_proxy
from support.long_listing import market_body
from support.processes import start_program
from support.served import (
    EMPTY,
    FINE,
    ME,
    ONE_SIDED,
    TWO_SIDED,
    Served,
    bare_variables,
    eventually,
    finish,
    program,
    said,
    served,
    set_variables,
    start,
)

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, cents, contracts
from kalshi_cli.cli.screen.live import live_format
from kalshi_cli.cli.screen.output import Format
from kalshi_cli.cli.screen.watch import draw_board, draw_ladder
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot, FeedGap, FeedState, MarketChange, PublicTrade
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.exchange.wire.markets import read_market
from kalshi_cli.services.markets.watch_board import WatchBoard
from kalshi_cli.views.order_book import no_book_view


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("exchange")) as one:
        yield one


@pytest.fixture
def one(shared: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    set_variables(monkeypatch, shared.home, shared.variables())
    return shared


class Piped:
    """A command whose lines are read while it runs."""

    def __init__(self, one: Served, variables: dict[str, str], words: tuple[str, ...], first: str) -> None:
        self.out = one.home / f"out-{id(self)}"
        with self.out.open("w") as out:
            self.process = start(words, variables, one.home, stdout=out, first=first)

    def rows(self, kind: str = "") -> list[dict[str, Any]]:
        """What came so far, in whole lines."""
        lines = self.out.read_text().split("\n")[:-1]
        return [row for row in map(json.loads, lines) if not kind or row.get("type") == kind]

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return finish(self.process).code


@pytest.fixture
def piped(one: Served) -> Iterator[Callable[..., Piped]]:
    """Starts a command; none survives its test."""
    begun: list[Piped] = []

    def begin(*words: str, without: tuple[str, ...] = (), ws_url: str = "", first: str = "") -> Piped:
        variables = one.variables(ws_url=ws_url)
        for name in without:
            del variables[name]
        begun.append(Piped(one, variables, words, first))
        return begun[-1]

    yield begin
    for each in begun:
        each.process.kill()
        each.process.wait()


def test_quotes_and_trades_come_line_by_line_until_ctrl_c(one: Served, piped: Callable[..., Piped]) -> None:
    tape = piped("watch", TWO_SIDED.lower(), EMPTY, TWO_SIDED)
    eventually(lambda: tape.rows("feed") and len(tape.rows("quote")) >= 2)
    first = {row["ticker"]: row for row in tape.rows("quote")}
    assert (first[TWO_SIDED]["yes_bid"], first[TWO_SIDED]["yes_ask_count"]) == ("0.4400", "120.00")
    assert (first[EMPTY]["yes_bid"], first[EMPTY]["yes_bid_count"]) == (None, None)
    assert [row["is_live"] for row in tape.rows("feed")] == [True]
    one.submit("maker", EMPTY, BID, "0.3000", "8")
    one.submit(ME, EMPTY, ASK, "0.3000", "3")
    eventually(lambda: tape.rows("trade") and tape.rows("quote")[-1]["yes_bid_count"] == "5.00")
    trade = tape.rows("trade")[0]
    assert (trade["ticker"], trade["price"], trade["count"], trade["taker_side"]) == (EMPTY, "0.3000", "3.00", "ask")
    assert tape.stop() == 130
    assert "Traceback" not in said(tape.process)


@pytest.mark.parametrize("words", [("watch", TWO_SIDED), ("orderbook", TWO_SIDED, "--watch")])
def test_sigterm_ends_it_in_order_and_the_last_line_of_stderr_is_an_error(
    one: Served, piped: Callable[..., Piped], words: tuple[str, ...]
) -> None:
    tape = piped(*words, "--format", "ndjson")
    eventually(lambda: tape.rows())
    assert tape.stop(signal.SIGTERM) == 143
    error = json.loads(said(tape.process).splitlines()[-1])["error"]
    assert (error["code"], error["exit_code"]) == ("terminated", 143)


def test_a_cut_stream_is_told_and_what_was_missed_is_read(one: Served, piped: Callable[..., Piped]) -> None:
    with fault_proxy(one.server.rest_url) as proxy:
        tape = piped("watch", FINE, ws_url=proxy.moved(one.server.ws_url))
        eventually(lambda: tape.rows("feed"))
        proxy.cut_stream()
        eventually(lambda: tape.rows("gap"))
        one.submit("maker", FINE, BID, "0.0320", "5")
        proxy.mend_stream()
        eventually(lambda: [row["is_live"] for row in tape.rows("feed")][-1])
        eventually(lambda: tape.rows("quote")[-1]["yes_bid"] == "0.0320")
    assert [row["is_live"] for row in tape.rows("feed")][:2] == [True, False]
    assert (tape.rows("gap")[0]["ticker"], tape.stop()) == (None, 130)


@pytest.mark.parametrize(
    ("without", "lacking"),
    [
        (("KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY_PATH"), "No API key:"),
        (("KALSHI_WS_URL",), "No stream address (KALSHI_WS_URL, or exchange.ws_url):"),
    ],
    ids=["key", "address"],
)
def test_without_a_key_or_an_address_prices_are_polled_and_that_is_said(
    one: Served, piped: Callable[..., Piped], without: tuple[str, ...], lacking: str
) -> None:
    soon = "from kalshi_cli.services.markets import watch_board; watch_board.POLL_S = 0.1"
    tape = piped("watch", ONE_SIDED, without=without, first=soon)
    eventually(lambda: tape.rows("quote"))
    assert f"{lacking} order books are polled" in said(tape.process)
    assert tape.rows()[0]["is_live"] is False
    assert "reading every 2 s" in tape.rows()[0]["reason"]
    one.submit(ME, ONE_SIDED, ASK, "0.1200", "1")
    eventually(lambda: tape.rows("trade"))
    assert tape.stop() == 130


@pytest.mark.parametrize("words", [("watch", TWO_SIDED, "NOPE-1"), ("orderbook", "NOPE-1", "--watch")])
def test_a_market_that_does_not_exist_ends_it_at_once(one: Served, words: tuple[str, ...]) -> None:
    ended = program(*words, "--format", "ndjson")
    assert (ended.code, ended.out) == (4, "")
    assert "NOPE-1" in ended.err
    assert "TWO_SIDED" not in ended.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("watch", TWO_SIDED, "--json"), "--duration"),
        (("orderbook", TWO_SIDED, "--watch", "--json"), "ndjson"),
        (("orderbook", TWO_SIDED, "--duration", "1s"), "add --watch"),
        (("orderbook", TWO_SIDED, ONE_SIDED, "--watch"), "kalshi watch"),
        (("orderbook", TWO_SIDED, "--watch", "--size", "3"), "kalshi watch"),
        (("status", "--watch", "--json"), "ndjson"),
        (("watch",), "kalshi watch -h"),
    ],
)
def test_what_has_no_end_is_no_document(one: Served, words: tuple[str, ...], hint: str) -> None:
    ended = program(*words)
    assert (ended.code, ended.out) == (2, "")
    assert hint in ended.err


def test_a_duration_ends_it_with_a_whole_document(one: Served) -> None:
    words = ("watch", TWO_SIDED, "--duration", "1.5s", "--format")
    told, plain = (start([*words, form], one.variables(), one.home) for form in ("json", "plain"))
    rows = finish(told)
    assert (rows.code, {row["type"] for row in rows.json}) == (0, {"quote", "feed"}), rows.err
    lines = finish(plain)
    assert (lines.code, TWO_SIDED in lines.out, "stream connected" in lines.out) == (0, True, True), lines.err


@pytest.mark.parametrize(
    "line",
    [
        f"watch {TWO_SIDED} --format ndjson",
        f"watch {TWO_SIDED} --format csv",
        f"orderbook {TWO_SIDED} --watch --format ndjson",
    ],
)
def test_a_duration_without_a_key_ends_with_0_while_prices_are_read(
    one: Served, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    ended = program(*line.split(), "--duration", "0.1s")
    assert ended.code == 0, ended.err
    assert TWO_SIDED in ended.out
    if "ndjson" in line:
        assert json.loads(ended.out.splitlines()[0]).get("is_live") is (None if "orderbook" in line else False)


@pytest.mark.parametrize("words", [("watch", FINE), ("orderbook", FINE, "--watch")])
def test_a_duration_that_ends_without_a_live_feed_ends_with_6(
    one: Served, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    with fault_proxy(one.server.rest_url) as proxy:
        proxy.cut_stream()
        set_variables(monkeypatch, one.home, one.variables(ws_url=proxy.moved(one.server.ws_url)))
        ended = program(*words, "--duration", "0.1s", "--format", "ndjson")
    assert ended.code == ExitCode.UNREACHABLE
    assert "The feed was not live when the watch ended: " in ended.err


def test_the_simulated_exchange_is_watched_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    ticker = program("markets", "--limit", "1", "--json").json[0]["ticker"]
    out = tmp_path / "tape"
    with out.open("w") as file:
        process = start(["watch", ticker, "--format", "ndjson"], bare_variables(tmp_path), tmp_path, stdout=file)
    try:
        eventually(lambda: {'"type":"quote"', '"type":"feed"'} <= set(re.findall('"type":"[a-z]+"', out.read_text())))
    finally:
        process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    assert {row["ticker"] for row in map(json.loads, out.read_text().splitlines())} <= {ticker, None}


def test_a_watch_ends_when_trading_has_ended(exchange: Served) -> None:
    out = exchange.home / "tape"
    words = ["watch", TWO_SIDED, "--format", "ndjson"]
    soon = "from kalshi_cli.app import watching; watching.OVER_S = 0.5"
    with out.open("w") as file:
        process = start(words, exchange.variables(), exchange.home, stdout=file, first=soon)
    eventually(lambda: '"quote"' in out.read_text())
    exchange.trade_a_little()
    eventually(lambda: '"trade"' in out.read_text())
    close = Ts(exchange.clock.now() + 100)
    exchange.call(lambda: exchange.exchange.set_close_time(TWO_SIDED, close, exchange.clock.now()))
    ended = finish(process)
    quotes = [row for row in map(json.loads, out.read_text().splitlines()) if row["type"] == "quote"]
    assert (quotes[0]["status"], quotes[0]["yes_bid"]) == ("active", "0.4400")
    assert (quotes[-1]["status"], quotes[-1]["yes_bid"]) == ("closed", None)
    volumes = [float(row["volume"]) for row in quotes]
    assert volumes == sorted(volumes)
    assert ended.code == 0
    assert f"Trading has ended: {TWO_SIDED} is closed" in ended.err
    again = program("watch", TWO_SIDED, "--json", "--duration", "1m")
    assert (again.code, [row["status"] for row in again.json]) == (0, ["closed"])
    assert f"{TWO_SIDED} is closed" in again.err
    book = program("orderbook", TWO_SIDED, "--watch", "--format", "ndjson")
    assert (book.code, book.out) == (0, "")
    assert f"{TWO_SIDED} is closed" in book.err
    plain = program("watch", TWO_SIDED, "--format", "plain")
    assert plain.out.rstrip().endswith(", closed")


@pytest.mark.parametrize("words", [("watch", EMPTY), ("orderbook", EMPTY, "--watch")])
def test_it_ends_when_its_reader_has_gone_although_nothing_happens(one: Served, words: tuple[str, ...]) -> None:
    """As in `kalshi watch TICKER | jq -n 'first(inputs)'`: no next line would fail."""
    process = start_program(words, one.variables(), one.home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        while '"ticker":"' not in process.stdout.readline():
            pass
        process.stdout.close()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_a_book_comes_each_time_it_changed(one: Served, piped: Callable[..., Piped]) -> None:
    tape = piped("orderbook", TWO_SIDED, "--watch", "--depth", "2")
    eventually(tape.rows)
    assert [level[0] for level in tape.rows()[0]["yes_bids"]] == ["0.4400", "0.4300"]
    one.submit("maker", TWO_SIDED, BID, "0.4500", "7")
    eventually(lambda: tape.rows()[-1]["yes_bids"][0] == ["0.4500", "7.00"])
    assert len(tape.rows()) == len({json.dumps(row) for row in tape.rows()})
    assert tape.stop() == 130


def test_the_status_comes_again_and_again(one: Served, piped: Callable[..., Piped]) -> None:
    tape = piped("status", "--watch", first="from kalshi_cli.app import watching; watching.STATUS_EVERY_S = 0.1")
    eventually(lambda: len(tape.rows()) >= 2)
    assert tape.rows()[0]["state"] == "active"
    assert tape.stop() == 130


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("watch", TWO_SIDED), "Stream live"),
        (("orderbook", TWO_SIDED, "--watch"), "spread"),
        (("status", "--watch"), "open positions"),
    ],
)
def test_on_a_terminal_it_is_a_screen_that_leaves_no_trace(one: Served, words: tuple[str, ...], shown: str) -> None:
    near, far = pty.openpty()
    screen = {**os.environ, "TERM": "xterm"}
    process = start_program(words, screen, one.home, stdin=far, stdout=far, stderr=far, start_new_session=True)
    os.close(far)
    seen = ""

    def look() -> str:
        nonlocal seen
        if select.select([near], [], [], 0.1)[0]:
            try:
                seen += os.read(near, 65536).decode(errors="replace")
            except OSError:
                return seen
        return seen

    eventually(lambda: shown in look())
    process.send_signal(signal.SIGTERM)
    eventually(lambda: look() and process.poll() is not None)
    look()
    os.close(near)
    assert process.returncode == 143
    assert seen.count("\x1b[?1049h") == seen.count("\x1b[?1049l") == 1, "the other screen is left again"


def test_where_nothing_can_be_redrawn_lines_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert live_format(None) is Format.NDJSON
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert live_format(None) is Format.TABLE
    monkeypatch.setenv("TERM", "dumb")
    assert live_format(None) is live_format(Format.TABLE) is Format.PLAIN
    assert live_format(Format.CSV) is Format.CSV


# -- the screens --------------------------------------------------------------------------------------------------

NOW = Ts(1_780_000_000_000)
MARKETS: list[Market] = [
    read_market(msgspec.json.encode({"market": {**market_body(number), "ticker": f"KXRAIN-40JAN01-T{number}.0"}}))
    for number in range(1, 31)
]
A = MARKETS[0].ticker


def a_board(count: int = 2) -> WatchBoard:
    board = WatchBoard(MARKETS[:count], NOW, is_streamed=True)
    board.take(FeedState(NOW, True), NOW)
    for market in MARKETS[: max(1, count - 1)]:
        bids, asks = ((cents(47), contracts(3)), (cents(46), contracts(9))), ((cents(52), contracts(2)),)
        board.take(BookSnapshot(NOW, market.ticker, bids, asks), NOW)
    board.take(PublicTrade(NOW, A, "t", cents(52), contracts(2), BID), NOW)
    return board


def drawn(what: RenderableType, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, highlight=False)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_fresh_market_shows_its_prices_and_one_without_a_book_waits() -> None:
    shown = drawn(draw_board(a_board(), "sim", NOW, 100, 24)).splitlines()
    assert "Stream live since 20:26:40" in shown[0]
    assert shown[3].split() == [A, "3", "$0.47", "$0.52", "2", "$0.52", "3", "0s"]
    assert shown[5].split() == [MARKETS[1].ticker, "—", "—", "$0.50", "2", "waiting"]
    assert "2 traded at $0.52, taker bought YES" in shown[8]


def test_each_market_has_its_title_where_the_screen_is_high_enough() -> None:
    title = MARKETS[0].full_title
    assert drawn(draw_board(a_board(), "sim", NOW, 100, 24)).splitlines()[4].strip() == title
    assert drawn(draw_board(a_board(), "sim", NOW, 30, 24)).splitlines()[7].strip().endswith("…")
    for height in range(8, 24):
        shown = drawn(draw_board(a_board(), "sim", NOW, 100, height))
        assert len(shown.splitlines()) <= height
        assert (title in shown) == (height >= 11)


def test_columns_without_room_are_named_above_the_markets() -> None:
    wide, narrow = (drawn(draw_board(a_board(), "sim", NOW, width, 24)).splitlines() for width in (100, 60))
    assert wide[2].split()[:3] == ["ticker", "bid", "size"]
    assert narrow[2].strip() == "Hidden, too narrow: bid size, ask size, volume"
    assert narrow[3].split() == ["ticker", "bid", "ask", "last", "changed"]
    assert narrow[4].split()[1:] == ["$0.47", "$0.52", "$0.52", "0s"]


def test_a_phone_names_each_hidden_column_and_shows_the_price_of_a_trade() -> None:
    game = read_market(msgspec.json.encode({"market": {**market_body(1), "ticker": "KXNBAGAME-26NOV25DALMIA-DAL"}}))
    board = WatchBoard([game], NOW, is_streamed=True)
    board.take(FeedState(NOW, True), NOW)
    board.take(PublicTrade(NOW, game.ticker, "t", cents("41.8"), contracts(1200), ASK), NOW)
    shown = drawn(draw_board(board, "sim", NOW, 48, 24), 48).splitlines()
    assert shown[2:4] == ["Hidden, too narrow: bid size, ask size, last,", "volume"]
    assert shown[-1][8:] == "  KXNBAGA…OV25DALMIA-DAL  1200 at $0.418"
    board.take(PublicTrade(NOW, game.ticker, "u", cents(42), contracts(12), BID), NOW)
    shown = drawn(draw_board(board, "sim", NOW, 48, 24), 48).splitlines()
    assert shown[-2][8:] == "  KXNBA…LMIA-DAL  12 at $0.42, YES taker"


def test_the_prices_of_no_are_those_of_the_other_side_of_the_book() -> None:
    shown = drawn(draw_board(a_board(), "sim", NOW, 100, 24, "no")).splitlines()
    assert shown[1].strip() == "Prices of NO   Ctrl-C leaves"
    assert shown[3].split() == [A, "2", "$0.48", "$0.53", "3", "$0.48", "3", "0s"]
    assert shown[5].split() == [MARKETS[1].ticker, "—", "—", "$0.50", "2", "waiting"]
    assert "2 traded at $0.48, taker bought YES" in shown[8]
    assert drawn(draw_board(a_board(), "sim", NOW, 100, 24)).splitlines()[1].strip() == "Prices of YES   Ctrl-C leaves"
    drawn_ladder = drawn(draw_ladder(a_board(1), "sim", NOW, 9, 80, 24, no_book_view), 80)
    ladder = [" ".join(line.split()[:4]) for line in drawn_ladder.splitlines()]
    assert ladder[1:8] == [
        f"{A} NO Ctrl-C leaves", "last $0.48 volume 3", "price quantity total", "ask $0.54 9 12", "ask $0.53 3 3",
        "spread $0.05 mid $0.505", "bid $0.48 2 2",
    ]  # fmt: skip
    over = msgspec.structs.replace(MARKETS[0], status=MarketStatus.FINALIZED, settlement_value=cents(30))
    board = a_board(1)
    board.take(MarketChange(NOW, over), NOW)
    assert "finalized at $0.70" in drawn(draw_board(board, "sim", NOW, 100, 24, "no"))


def test_a_stale_price_is_not_shown() -> None:
    board = a_board()
    board.take(FeedGap(NOW, (), "hung up"), NOW)
    board.take(FeedState(NOW, False, "hung up"), NOW)
    shown = drawn(draw_board(board, "sim", Ts(NOW + 12_000), 100, 24))
    assert "NO STREAM since 20:26:40: hung up" in shown
    assert "STALE 12s" in shown
    assert "$0.47" not in shown
    ladder = drawn(draw_ladder(board, "sim", NOW, 10, 100, 24))
    assert "STALE since 20:26:40 UTC" in ladder
    assert "$0.47" not in ladder


@pytest.mark.parametrize(
    ("status", "value", "says"),
    [
        (MarketStatus.CLOSED, None, "closed"),
        (MarketStatus.DETERMINED, ONE_DOLLAR, "determined at $1.00"),
        (MarketStatus.FINALIZED, cents(30), "finalized at $0.30"),
    ],
)
def test_a_market_that_is_over_says_that_and_not_that_it_is_stale(
    status: MarketStatus, value: Price | None, says: str
) -> None:
    board = a_board(1)
    over = msgspec.structs.replace(MARKETS[0], status=status, settlement_value=value)
    board.take(MarketChange(NOW, over), NOW)
    board.take(FeedGap(NOW, (), "hung up"), NOW)
    for what in (
        draw_board(board, "sim", Ts(NOW + 12_000), 100, 24),
        draw_ladder(board, "sim", Ts(NOW + 12_000), 10, 100, 24),
    ):
        assert says in drawn(what)
        assert "STALE" not in drawn(what)
        assert "$0.47" not in drawn(what)


def test_a_market_that_is_paused_says_so() -> None:
    board = a_board(1)
    board.take(MarketChange(NOW, msgspec.structs.replace(MARKETS[0], status=MarketStatus.INACTIVE)), NOW)
    assert "paused" in drawn(draw_board(board, "sim", NOW, 100, 24))
    assert "paused" in drawn(draw_ladder(board, "sim", NOW, 10, 100, 24))


@pytest.mark.parametrize("width", [30, 60, 80, 120])
@pytest.mark.parametrize("height", [8, 24])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_the_screen_fits_the_terminal_and_no_ticker_is_cut(width: int, height: int, count: int) -> None:
    board = a_board(count)
    for number in range(40):
        board.take(PublicTrade(NOW, A, f"t{number}", cents(52), contracts(2), ASK), NOW)
    lines = drawn(draw_board(board, "sim", NOW, width, height), width).splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert sum(f"{A} " in line or line.startswith(A) for line in lines) >= 1
    if count > 10 and height == 8:
        assert any(" more" in line for line in lines)


def test_the_ladder_is_as_deep_as_the_screen_is_high() -> None:
    tall = drawn(draw_ladder(a_board(1), "sim", NOW, 10, 80, 24), 80)
    assert "$0.46" in tall
    low = drawn(draw_ladder(a_board(1), "sim", NOW, 10, 80, 7), 80)
    assert "$0.46" not in low
    assert len(low.splitlines()) <= 7
    empty = WatchBoard(MARKETS[:1], NOW, is_streamed=True)
    assert "Waiting for the order book" in drawn(draw_ladder(empty, "sim", NOW, 10, 80, 24))
    empty.take(BookSnapshot(NOW, A, (), ()), NOW)
    assert "No quotes" in drawn(draw_ladder(empty, "sim", NOW, 10, 80, 24))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_ladder_takes_the_whole_width_and_no_more(width: int) -> None:
    lines = [line.rstrip() for line in drawn(draw_ladder(a_board(1), "sim", NOW, 10, width, 24), width).splitlines()]
    bars = [line for line in lines if "█" in line]
    assert bars
    assert max(map(len, lines)) <= width
    assert max(map(len, bars)) >= width - 3
