"""A board of watched markets: what it tells, and that it never passes off an old price as one of now."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import httpx
import msgspec
import pytest
from support.long_listing import ListingTransport, LongListing, market_body
from support.simulation import TICKER, Simulation

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    FeedGap,
    FeedState,
    MarketChange,
    Message,
    PublicTrade,
    Quote,
    StateCommand,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.markets import read_market
from kalshi_cli.services.markets.watch_board import PATIENCE_MS, POLL_S, PollingFeed, WatchBoard, WatchedMarket

NOW = Ts(1_780_000_000_000)
ONE: Market = read_market(msgspec.json.encode({"market": market_body(1)}))
TWO: Market = read_market(msgspec.json.encode({"market": market_body(2)}))
A, B = ONE.ticker, TWO.ticker
BOOK = BookSnapshot(NOW, A, ((cents(47), contracts(3)),), ((cents(52), contracts(2)),))
LIVE = FeedState(NOW, True)


@pytest.fixture
def board() -> WatchBoard:
    """Two markets on a live stream; the book of the first came."""
    board = WatchBoard((ONE, TWO), NOW, is_streamed=True)
    for message in (LIVE, BOOK):
        board.take(message, NOW)
    return board


def later(seconds: float) -> Ts:
    return Ts(NOW + int(seconds * 1000))


def prices(line: WatchedMarket) -> tuple[Price | None, Price | None]:
    return line.bid, line.ask


def test_a_book_gives_the_quote(board: WatchBoard) -> None:
    told = board.take(BookDelta(later(1), A, BID, cents(48), contracts(5)), later(1))
    assert told == Quote(later(1), A, cents(48), contracts(5), cents(52), contracts(2), ONE.last, ONE.volume)
    assert board.lines[A].changed == later(1)


def test_what_changes_nothing_that_is_shown_is_not_told(board: WatchBoard) -> None:
    assert board.take(BookDelta(later(1), A, BID, cents(20), contracts(5)), later(1)) is None
    assert board.take(BookSnapshot(later(2), A, BOOK.bids, BOOK.asks), later(2)) is None
    assert board.take(Tick(later(3)), later(3)) is None
    assert board.lines[A].changed == NOW
    assert board.lines[A].heard == later(2)


def test_half_of_a_matching_is_not_told(board: WatchBoard) -> None:
    assert board.take(BookDelta(NOW, A, BID, cents(53), contracts(1), has_more=True), NOW) is None
    assert board.lines[A].is_midway
    told = board.take(BookDelta(NOW, A, ASK, cents(52), Qty(-contracts(2))), NOW)
    assert isinstance(told, Quote)
    assert (told.bid, told.ask) == (cents(53), None)
    assert not board.lines[A].is_midway


def test_the_ticker_channel_does_not_overrule_the_book(board: WatchBoard) -> None:
    board.take(Quote(NOW, A, cents(1), contracts(1), cents(99), contracts(1), cents(50), contracts(999)), NOW)
    assert prices(board.lines[A]) == (cents(47), cents(52))
    board.take(Quote(NOW, B, cents(1), contracts(1), cents(99), contracts(1), cents(50), contracts(999)), NOW)
    assert prices(board.lines[B]) == (cents(1), cents(99)), "it is all there is before the book comes"


def test_volume_is_what_rest_said_and_the_trades_since(board: WatchBoard) -> None:
    trade = PublicTrade(later(1), A, "t1", cents(52), contracts(2), BID)
    assert board.take(trade, later(1)) == trade
    board.take(Quote(later(1), A, None, Qty(0), None, Qty(0), cents(52), contracts(777)), later(1))
    assert (board.lines[A].last, board.lines[A].volume) == (cents(52), ONE.volume + contracts(2))
    assert list(board.trades) == [trade]


@pytest.mark.parametrize("gap", [FeedGap(NOW, (), "hung up"), FeedGap(NOW, (A,), "a number was skipped")])
def test_after_a_gap_prices_are_stale_until_the_next_book(board: WatchBoard, gap: FeedGap) -> None:
    line = board.lines[A]
    assert board.stale_since(line, later(100)) is None
    assert board.take(gap, later(5)) == gap
    assert board.stale_since(line, later(60)) == later(5)
    assert board.take(BookDelta(later(6), A, BID, cents(49), contracts(1)), later(6)) is None
    assert board.stale_since(line, later(60)) == later(5)
    told = board.take(BookSnapshot(later(9), A, BOOK.bids, BOOK.asks), later(9))
    assert isinstance(told, Quote), "a reader who was told of the gap is told of its end"
    assert board.stale_since(line, later(60)) is None


def test_a_gap_of_one_market_is_none_of_another(board: WatchBoard) -> None:
    board.take(FeedGap(NOW, (B, "UNKNOWN"), "lost"), NOW)
    assert board.stale_since(board.lines[A], NOW) is None


def test_what_never_had_a_price_is_waiting_and_not_stale(board: WatchBoard) -> None:
    board.take(FeedGap(NOW, (), "hung up"), NOW)
    assert board.stale_since(board.lines[B], later(60)) is None
    assert board.lines[B].heard is None


def test_an_impossible_book_is_stale(board: WatchBoard) -> None:
    assert board.take(BookDelta(later(1), A, BID, cents(47), Qty(-contracts(9))), later(1)) is None
    assert board.stale_since(board.lines[A], later(2)) == later(1)


def test_without_a_stream_what_is_not_read_again_becomes_stale(board: WatchBoard) -> None:
    board.take(FeedState(NOW, False, "no stream"), NOW)
    line = board.lines[A]
    assert board.stale_since(line, Ts(NOW + PATIENCE_MS)) is None
    assert board.stale_since(line, Ts(NOW + PATIENCE_MS + 1)) == NOW
    board.take(BookSnapshot(later(20), A, BOOK.bids, BOOK.asks), later(20))
    assert board.stale_since(line, later(21)) is None


def test_the_connection_is_told_once_a_change(board: WatchBoard) -> None:
    lost = FeedState(later(1), False, "hung up")
    assert [board.take(each, later(1)) for each in (LIVE, lost, lost, LIVE)] == [None, lost, None, LIVE]
    assert (board.is_live, board.state, board.since) == (True, "live", later(1))


def test_a_market_that_closes_says_so(board: WatchBoard) -> None:
    closed = msgspec.structs.replace(ONE, status=MarketStatus.CLOSED, last=cents(99), volume=contracts(50))
    board.take(MarketChange(later(1), closed), later(1))
    line = board.lines[A]
    assert (line.status, line.last, line.volume) == ("closed", cents(99), contracts(50))


def test_a_close_by_the_clock_does_not_bring_older_values_back(board: WatchBoard) -> None:
    """The market of such a change is the one that was read when the watch began."""
    board.take(PublicTrade(later(1), A, "t1", cents(51), contracts(2), BID), later(1))
    told = board.take(MarketChange(later(2), msgspec.structs.replace(ONE, status=MarketStatus.CLOSED)), later(2))
    assert isinstance(told, Quote), "a new status is a line"
    assert (told.last, told.volume) == (cents(51), ONE.volume + contracts(2))
    assert (told.bid, told.ask) == (None, None), "nothing can be bought any more"
    assert board.take(BookSnapshot(later(3), A, (), ()), later(3)) is None, "and that is no news"
    read = msgspec.structs.replace(
        ONE, status=MarketStatus.CLOSED, last=cents(53), volume=Qty(ONE.volume + contracts(5))
    )
    told = board.take(MarketChange(later(7), read), later(7))
    assert isinstance(told, Quote)
    assert (told.last, told.volume) == (cents(53), ONE.volume + contracts(5)), "trades that the stream missed count"


def test_a_ticker_from_before_a_trade_does_not_bring_its_last_price_back(board: WatchBoard) -> None:
    board.take(PublicTrade(later(2), A, "t1", cents(51), contracts(2), BID), later(2))
    for ts, told, last in ((later(1), cents(40), cents(51)), (later(2), cents(48), cents(48))):
        board.take(Quote(ts, A, None, Qty(0), None, Qty(0), told, contracts(777)), later(3))
        assert board.lines[A].last == last


def test_a_poll_does_not_bring_older_values_back() -> None:
    board = WatchBoard((ONE,), NOW, is_streamed=False)
    for volume, last in ((contracts(9), cents(51)), (contracts(8), cents(49)), (contracts(9), cents(51))):
        board.take(Quote(NOW, A, None, Qty(0), None, Qty(0), last, volume), NOW)
        assert (board.lines[A].last, board.lines[A].volume) == (cents(51), contracts(9))


def test_trading_is_over_once_it_has_ended_in_every_market(board: WatchBoard) -> None:
    for market, is_over in ((ONE, False), (TWO, True)):
        board.take(MarketChange(NOW, msgspec.structs.replace(market, status=MarketStatus.DETERMINED)), NOW)
        assert board.is_over is is_over
    board.take(MarketChange(NOW, TWO), NOW)
    assert not board.is_over


# -- without a stream ---------------------------------------------------------------------------------------------


def taken(feed: Iterator[Message], count: int) -> list[Message]:
    """The next messages that say something; the feed's clock moves by itself."""
    return list(islice((message for message in feed if not isinstance(message, Tick)), count))


def test_polling_gives_quotes_then_trades_and_says_that_it_polls(tmp_path: Path) -> None:
    sim = Simulation(tmp_path)
    markets = list(sim.client.markets(tickers=[TICKER]))
    feed = iter(PollingFeed(sim.client, sim.clock, markets, is_book=False, tell=lambda _: None))
    first = taken(feed, 3)
    assert [type(each) for each in first] == [FeedState, MarketChange, Quote]
    assert not first[0].is_live  # type: ignore[attr-defined]
    sim.quote(BID, 40, 10)
    sim.quote(ASK, 40, 4, who="bob")
    later_on = taken(feed, 4)
    assert later_on[2].bid == cents(40)  # type: ignore[attr-defined]
    assert [(each.price, each.qty) for each in later_on if isinstance(each, PublicTrade)] == [(cents(40), contracts(4))]
    sim.quote(ASK, 40, 1, who="bob")
    again = [each.qty for each in taken(feed, 7) if isinstance(each, PublicTrade)]
    assert again == [contracts(1)], "the first one is read once more, and told once"


class Flaky(ListingTransport):
    is_down = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.is_down:
            return httpx.Response(400, json={"error": {"code": "no", "message": "no"}})
        return super().handle_request(request)


def test_polling_goes_on_after_a_failure_and_the_board_is_stale_meanwhile() -> None:
    clock, told, wire = ManualClock(NOW), list[str](), Flaky(LongListing(10))
    client = KalshiClient("http://localhost/trade-api/v2", clock=clock, rng=random.Random(1), transport=wire)
    polled = PollingFeed(client, clock, [ONE], is_book=False, tell=told.append)
    board = WatchBoard([ONE], NOW, is_streamed=False)
    feed = iter(polled)

    def go_on(rounds: int) -> None:
        until = clock.monotonic() + rounds * POLL_S
        while clock.monotonic() < until:
            board.take(next(feed), clock.now())

    go_on(1)
    line = board.lines[A]
    assert prices(line) == (cents(47), cents(52))
    wire.is_down = True
    go_on(7)
    assert board.stale_since(line, clock.now()) is not None
    assert "cannot be read" in board.state
    assert len(told) == 1
    wire.is_down = False
    go_on(2)
    assert board.stale_since(line, clock.now()) is None
    polled.request(StateCommand(clock.now(), None, "SIGINT"))
    rest = list(feed)
    assert isinstance(rest[-1], StateCommand)
