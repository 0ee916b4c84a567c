"""The compiled loop decides and trades exactly like the reference engine."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.values import NOW, make_market

from kalshi_cli.base.units import Price, Qty, Ts, cents, dollars
from kalshi_cli.compiled.books import CompiledBook
from kalshi_cli.compiled.rows import pack
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import FeeSchedule, MarketStatus
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    FeedGap,
    FeedState,
    MarketChange,
    Message,
    PublicTrade,
    SpotPrice,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.research.recorded_run import set_up
from kalshi_cli.services.runner import run
from kalshi_cli.simulator.paper.queue_position import FillModel
from verification.replay import compare as comparison
from verification.replay.compare import CASES, GUARDED, LOOSE, SPREAD, compare
from verification.replay.tapes import read_tape, record_world

TICKERS = ("KXA-1", "KXA-2")


class _World:
    """Possible and, now and then, impossible messages about two markets, whose prices wander."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now = NOW
        self.books = {ticker: OrderBook(ticker) for ticker in TICKERS}
        self.mid = dict.fromkeys(TICKERS, 50)

    def messages(self, count: int) -> Iterator[Message]:
        yield FeedState(self.now, True)
        for ticker in TICKERS:
            close = Ts(NOW + self.dice.choice((20_000, 10_000_000)))
            yield MarketChange(self.now, make_market(ticker, close_time=close), FeeSchedule())
            yield self.snapshot(ticker)
        ticks = self.now
        for _ in range(count):
            self.now = Ts(self.now + self.dice.choice((0, 1, 3, 40, 200)))
            while ticks + 1_000 <= self.now:
                ticks = Ts(ticks + 1_000)
                yield Tick(ticks)
            yield from self.event(self.dice.choice(TICKERS))
        self.now = Ts(self.now + 1_000)
        yield Tick(self.now)
        for ticker in TICKERS:
            over = make_market(ticker, status=MarketStatus.FINALIZED, result="yes", settlement_value=Price(10_000))
            yield MarketChange(self.now, over)

    def event(self, ticker: str) -> Iterator[Message]:
        dice, roll = self.dice, self.dice.random()
        self.mid[ticker] = min(90, max(10, self.mid[ticker] + dice.choice((-1, 0, 0, 0, 1))))
        if roll < 0.01:
            yield FeedGap(self.now, (ticker,), "lost")
            self.books[ticker].invalidate("lost")
        elif roll < 0.04:
            yield self.snapshot(ticker)
        elif roll < 0.12:
            side, book = dice.choice((BID, ASK)), self.books[ticker]
            at = book.best_bid if side is ASK else book.best_ask
            if at is not None:
                yield PublicTrade(self.now, ticker, f"t{dice.random()}", at, Qty(dice.randrange(1, 3_000)), side)
        elif roll < 0.16:
            yield SpotPrice(Ts(self.now + dice.choice((-50, 0, 300))), "BTC", 1_000_000, "made up")
        elif roll < 0.17:
            yield MarketChange(self.now, make_market(ticker, close_time=Ts(NOW + 10_000_000)), FeeSchedule())
        else:
            yield from self.group(ticker)

    def group(self, ticker: str) -> Iterator[BookDelta]:
        dice, book = self.dice, self.books[ticker]
        made: list[BookDelta] = []
        for _ in range(dice.choice((1, 1, 2, 5))):
            side = dice.choice((BID, ASK))
            away = dice.choice((-1, 0, 0, 1, 1, 2, 5, 12))
            at = cents(min(99, max(1, self.mid[ticker] - side.sign * (1 + away))))
            standing = book.qty_at(side, at)
            by = dice.choice((-standing, -standing // 2, dice.randrange(1, 4_000)))
            if dice.random() < 0.002:
                by = -standing - 5
            if by:
                book.apply(side, at, Qty(by), self.now)
                made.append(BookDelta(self.now, ticker, side, at, Qty(by)))
        for each in made[:-1]:
            yield msgspec.structs.replace(each, has_more=True)
        yield from made[-1:]

    def snapshot(self, ticker: str) -> BookSnapshot:
        mid, dice = self.mid[ticker], self.dice
        bids = tuple((cents(mid - step), Qty(dice.randrange(1, 5_000))) for step in range(1, 8))
        asks = tuple((cents(mid + step), Qty(dice.randrange(1, 5_000))) for step in range(1, 8))
        self.books[ticker].load(bids, asks, self.now)
        return BookSnapshot(self.now, ticker, bids, asks)


@pytest.mark.parametrize("name", ["restless-price", "restless-top", "restless-depth", "market-maker", "spike"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), fill_model=st.sampled_from(FillModel))
def test_on_any_messages_the_trades_are_the_same(name: str, seed: int, fill_model: FillModel) -> None:
    messages = list(_World(seed).messages(400))
    made = compare(messages, list(pack(messages)), name, fill_model=fill_model)
    assert made.difference == ""
    event(f"fills {min(len(made.reference.fills), 20) // 5 * 5}+")


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_so_they_are_where_exits_look_at_every_change(seed: int) -> None:
    messages = list(_World(seed).messages(300))
    assert compare(messages, list(pack(messages)), "restless-price", GUARDED).difference == ""


@pytest.mark.parametrize("name", ["restless-price", "restless-top"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_so_they_are_with_a_limit_on_the_spread(name: str, seed: int) -> None:
    messages = list(_World(seed).messages(400))
    made = compare(messages, list(pack(messages)), name, SPREAD)
    assert made.difference == ""
    event(f"refused for the spread: {'SPREAD' in dict(made.reference.refused)}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    """What a recording of the simulated exchange holds: 75 virtual seconds."""
    path = tmp_path_factory.mktemp("world") / "world.jsonl.gz"
    record_world(path, 1, 1.25)
    return read_tape(path)


@pytest.mark.parametrize("name", CASES)
def test_on_a_recording_of_the_simulated_exchange_every_strategy_trades_the_same(
    world: list[Message], name: str
) -> None:
    made = compare(world, list(pack(world)), name, LOOSE)
    assert made.difference == ""
    assert made.changes > 500
    assert made.reference.calls > 0


def test_a_difference_is_told(world: list[Message]) -> None:
    made = compare(world, list(pack(world))[:-200], "restless-top", LOOSE)
    assert made.difference != ""


def test_without_numba_the_reference_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    ids = iter(range(100))
    engine, _, drive = set_up(
        LOOSE, [], cash=dollars(1), new_id=lambda: f"c{next(ids)}", references={}, order_expiry_s=None,
        latency_ms=0, is_compiled=True,
    )  # fmt: skip
    assert drive is run
    assert engine.state.new_book is OrderBook


def test_the_compiled_loop_has_books_of_its_own() -> None:
    messages = list(_World(1).messages(50))
    name = "threshold"
    engine, venue, drive = set_up(
        LOOSE, comparison.strategies_of(name), cash=dollars(1), new_id=str, references={}, order_expiry_s=None,
        latency_ms=0, is_compiled=True,
    )  # fmt: skip
    drive(messages, engine, venue, _Nothing(), lambda _message: None)
    assert all(isinstance(book, CompiledBook) for book in engine.state.books.values())
    with pytest.raises(TypeError, match="paper venue"):
        drive(messages, engine, _Nothing(), _Nothing(), lambda _message: None)


class _Nothing:
    def observe(self, message: Message) -> tuple[Message, ...]:
        return ()

    def perform(self, effect: object) -> tuple[Message, ...]:
        return ()

    def record(self, effect: object) -> None:
        pass
