"""A strategy is called when the part of the book that it watches changed, judged at the end of a group of changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import NOW, make_fill, make_market, make_settlement

from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.effects import AlertRaised, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import (
    AccountSnapshot,
    AccountStale,
    BookChanged,
    BookDelta,
    BookSnapshot,
    FeedGap,
    Filled,
    GroupEnd,
    MarketChange,
    Message,
    OrderAccepted,
    Settled,
    StateCommand,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Balance
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams

TICKER = "KXA-1"
Top = tuple[Any, Any]


class Watching(Strategy):
    """Notes the best prices and sizes at each call; yields what the test put in."""

    name = "watching"

    def __init__(self, watches: Watches, wanted: Iterable[Intent] = ()) -> None:
        super().__init__(StrategyParams())
        self.watches = watches  # type: ignore[misc]
        self.wanted = list(wanted)
        self.tops: list[Top] = []
        self.views: list[StrategyContext] = []
        self.others = 0

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        book = view.book(ticker)
        self.tops.append((book.bid, book.ask))
        self.views.append(view)
        while self.wanted:
            yield self.wanted.pop()

    def on_fill(self, view: StrategyContext, fill: Fill) -> None:
        self.others += 1


def engine_of(*strategies: Strategy, are_own_in_books: bool = True) -> TradingEngine:
    state = EngineState(markets=[make_market(TICKER)], are_own_in_books=are_own_in_books, now=NOW)
    ids = iter(range(1_000))
    limits = RiskLimits(min_edge=None, price_collar=None)
    return TradingEngine(state, limits, strategies, new_id=lambda: f"c{next(ids)}", order_expiry_s=None)


def snapshot(ts: int = NOW, bid: int = 40, ask: int = 44) -> BookSnapshot:
    return BookSnapshot(
        Ts(ts), TICKER,
        ((cents(bid), contracts(5)), (cents(bid - 1), contracts(9))),
        ((cents(ask), contracts(5)), (cents(ask + 1), contracts(9))),
    )  # fmt: skip


def delta(side: Side, price: int, change: int, ts: int = NOW + 1, **more: bool) -> BookDelta:
    return BookDelta(Ts(ts), TICKER, side, cents(price), contracts(change), **more)


CHANGES = st.lists(
    st.tuples(st.sampled_from((BID, ASK)), st.integers(36, 48), st.integers(-6, 6).filter(bool), st.integers(0, 3)),
    max_size=40,
)
"""Side, price, change in contracts, and the milliseconds until the next."""


def groups(changes: list[tuple[Side, int, int, int]]) -> list[list[BookDelta]]:
    """Possible changes of one book, grouped by their time; a removal takes at most what is there."""
    book, ts = OrderBook(TICKER), NOW + 1
    book.load(snapshot().bids, snapshot().asks, NOW)
    found: list[list[BookDelta]] = [[]]
    for side, price, change, pause in changes:
        by = max(contracts(change), -book.qty_at(side, cents(price)))
        if by:
            book.apply(side, cents(price), Qty(by), Ts(ts))
            found[-1].append(BookDelta(Ts(ts), TICKER, side, cents(price), Qty(by)))
        if pause and found[-1]:
            ts += pause
            found.append([])
    return [group for group in found if group]


def marked(group: list[BookDelta]) -> list[Message]:
    """As a recording gives them: all but the last have more to come."""
    return [BookDelta(d.ts, d.ticker, d.side, d.price, d.delta, has_more=d is not group[-1]) for d in group]


def arriving(group: list[BookDelta], cuts: int) -> list[Message]:
    """As the stream gives them: some arrive before the feed knows whether others follow."""
    found: list[Message] = []
    for number, d in enumerate(group):
        is_known = cuts >> number & 1 and d is not group[-1]
        flags = {"has_more": True} if is_known else {"may_continue": True}
        found.append(BookDelta(d.ts, d.ticker, d.side, d.price, d.delta, **flags))
    return [*found, GroupEnd(group[-1].ts, (TICKER, "KXZ-9"))]


def expected(of: list[list[BookDelta]], watched: Callable[[Top], object]) -> list[Top]:
    """The tops at which a strategy is called: the first, and each at the end of a group that differs from the last."""
    book = OrderBook(TICKER)
    book.load(snapshot().bids, snapshot().asks, NOW)
    tops: list[Top] = [(book.bid, book.ask)]
    for group in of:
        for d in group:
            book.apply(d.side, d.price, d.delta, d.ts)
        top = book.bid, book.ask
        if book.is_usable and not book.is_crossed and watched(top) != watched(tops[-1]):
            tops.append(top)
    return tops


def prices(top: Top) -> object:
    return tuple(level and level.price for level in top)


WATCHED: dict[Watches, Callable[[Top], object]] = {"price": prices, "top": lambda top: top, "depth": lambda _: object()}


@pytest.mark.parametrize("watches", ["price", "top", "depth"])
@given(changes=CHANGES, cuts=st.integers(0, 255))
def test_it_is_called_exactly_when_what_it_watches_differs_from_its_last_call(
    watches: Watches, changes: list[tuple[Side, int, int, int]], cuts: int
) -> None:
    made = groups(changes)
    recorded, live = Watching(watches), Watching(watches)
    for strategy, messages in (
        (recorded, [message for group in made for message in marked(group)]),
        (live, [message for group in made for message in arriving(group, cuts)]),
    ):
        engine = engine_of(strategy)
        for message in (snapshot(), *messages):
            engine.step(message)
    assert recorded.tops == expected(made, WATCHED[watches])
    assert live.tops == recorded.tops, "however the changes arrived"


def test_strategies_are_asked_in_their_order_each_for_what_it_watches() -> None:
    asked: list[str] = []

    class Named(Watching):
        def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
            asked.append(self.watches)
            yield from super().on_book(view, ticker)

    engine = engine_of(*(type("Named", (Named,), {"name": w})(w) for w in ("price", "depth", "top")))
    engine.step(snapshot())
    assert asked == ["price", "depth", "top"]
    asked.clear()
    engine.step(delta(BID, 30, 1))
    assert asked == ["depth"]
    engine.step(delta(BID, 40, 1))
    assert asked == ["depth", "depth", "top"]
    engine.step(delta(BID, 41, 1, may_continue=True))
    assert asked[3:] == []
    engine.step(GroupEnd(NOW, (TICKER,)))
    assert asked[3:] == ["price", "depth", "top"]


def placed() -> tuple[TradingEngine, Watching, SubmitOrder]:
    strategy = Watching("price", [Place(TICKER, BID, cents(40), contracts(2), fair=cents(50))])
    engine = engine_of(strategy)
    (order,) = engine.step(snapshot())
    assert isinstance(order, SubmitOrder)
    return engine, strategy, order


def test_a_change_of_its_orders_calls_it_at_the_next_change_of_the_book() -> None:
    engine, strategy, order = placed()
    engine.step(delta(BID, 30, 1))
    assert len(strategy.tops) == 1
    engine.step(OrderAccepted(NOW, order.order.client_order_id, "o1", Qty(0), contracts(2)))
    engine.step(delta(BID, 30, 1, has_more=True))
    assert len(strategy.tops) == 1
    engine.step(delta(BID, 30, 1))
    assert len(strategy.tops) == 2
    engine.step(delta(BID, 30, 1))
    assert len(strategy.tops) == 2, "once"


def fill(order: SubmitOrder, trade_id: str = "t1") -> Filled:
    own = order.order
    return Filled(NOW, make_fill(trade_id, order_id="o1", client_order_id=own.client_order_id, qty=contracts(2)))


def test_so_do_a_fill_a_settlement_and_a_changed_market() -> None:
    engine, strategy, order = placed()
    calls = 1
    for message in (fill(order), Settled(NOW, make_settlement()), MarketChange(NOW, make_market(TICKER))):
        engine.step(message)
        engine.step(delta(BID, 30, 1))
        calls += 1
        assert len(strategy.tops) == calls, message
    assert strategy.others == 1, "a fill calls on_fill as well, at once"
    engine.step(MarketChange(NOW, make_market("KXB-1")))
    engine.step(delta(BID, 30, 1))
    assert len(strategy.tops) == calls, "another market is none of this one"


def test_a_change_that_nobody_could_be_asked_about_is_asked_about_later() -> None:
    strategy = Watching("price")
    engine = engine_of(strategy)
    engine.step(snapshot())
    engine.step(AccountStale(NOW, "no answer"))
    engine.step(delta(BID, 41, 1))
    engine.step(delta(BID, 42, 1, may_continue=True))
    engine.step(GroupEnd(NOW, (TICKER,)))
    assert len(strategy.tops) == 1
    empty = AccountSnapshot(
        ts=NOW, as_of=NOW, since=NOW, orders=(), fills=(), settlements=(), positions=(),
        balance=Balance(cash=Money(0), portfolio_value=Money(0), ts=NOW),
    )  # fmt: skip
    engine.step(empty)
    engine.step(delta(BID, 30, 1))
    assert len(strategy.tops) == 2


def test_nobody_is_asked_about_a_book_that_became_unreliable_within_the_group() -> None:
    strategy = Watching("price")
    engine = engine_of(strategy)
    engine.step(snapshot())
    engine.step(delta(BID, 41, 1, may_continue=True))
    engine.step(FeedGap(NOW, (TICKER,), "a number is missing"))
    engine.step(GroupEnd(NOW, (TICKER,)))
    assert len(strategy.tops) == 1
    engine.step(StateCommand(NOW, TradingState.ACTIVE, "user", ""))
    engine.step(snapshot(NOW + 5))
    assert len(strategy.tops) == 1, "the same best prices as at its last call"


@pytest.mark.parametrize("watches", ["price", "top"])
def test_behind_its_own_best_quote_it_is_called_for_what_others_change(watches: Watches) -> None:
    strategy = Watching(watches, [Place(TICKER, ASK, cents(43), contracts(2), fair=cents(40))])
    engine = engine_of(strategy)
    (order,) = engine.step(snapshot())
    assert isinstance(order, SubmitOrder)
    engine.step(OrderAccepted(NOW, order.order.client_order_id, "o1", Qty(0), contracts(2)))
    engine.step(delta(ASK, 43, 2))
    assert len(strategy.tops) == 2, "its order changed"
    engine.step(delta(ASK, 45, 1))
    assert len(strategy.tops) == 2, "behind the best price of others"
    engine.step(delta(ASK, 44, 1))
    assert len(strategy.tops) == (3 if watches == "top" else 2)
    before = len(strategy.tops)
    engine.step(delta(ASK, 44, -6))
    assert len(strategy.tops) == before + 1, "the best ask of others is 45c now"
    assert strategy.views[-1].external_book(TICKER).best_ask == cents(45)
    assert strategy.views[-1].book(TICKER).best_ask == cents(43)


def test_a_hook_that_a_strategy_does_not_have_is_not_called() -> None:
    engine = engine_of(type("Idle", (Strategy,), {"name": "idle"})(None))
    engine.step(snapshot())
    engine.step(Tick(NOW))
    assert engine.hooks.calls == 0
    assert engine.watches is None
    assert engine_of(Watching("price"), Watching("top")).watches == "top"


def test_an_answer_of_any_kind_of_iterable_is_taken_and_an_alert_counts_them() -> None:
    class Listing(Strategy):
        name = "listing"

        def on_tick(self, view: StrategyContext) -> list[Intent]:
            return [Place(TICKER, BID, cents(10), contracts(1), fair=cents(50))] * 2

    engine = engine_of(Listing(StrategyParams()))
    engine.step(snapshot())
    effects = engine.step(Tick(NOW))
    assert [type(effect) for effect in effects if not isinstance(effect, AlertRaised)] == [SubmitOrder] * 2


def test_a_book_that_was_changed_elsewhere_is_judged_like_one_changed_here() -> None:
    strategy = Watching("price")
    engine = engine_of(strategy)
    engine.step(snapshot())
    book = engine.state.books[TICKER]
    book.apply(BID, cents(41), contracts(1), Ts(NOW + 1))
    engine.step(BookChanged(Ts(NOW + 1), TICKER))
    assert prices(strategy.tops[-1]) == (cents(41), cents(44))
    assert (engine.state.now, engine.state.feed_ts) == (NOW + 1, NOW + 1)


def test_the_engine_says_which_books_it_must_see_next_and_how_much_of_them() -> None:
    engine = engine_of(Watching("price"))
    engine.step(snapshot())
    assert (engine.watches, engine.due_books) == ("price", set())
    engine.step(delta(BID, 45, 1))
    assert engine.due_books == {TICKER}, "crossed: it must see how that ends"
    engine.step(delta(BID, 45, -1))
    assert engine.due_books == set()
    engine.step(MarketChange(NOW, make_market(TICKER)))
    assert engine.due_books == {TICKER}
    exits = RiskLimits(stop_loss_pct=50)
    state = EngineState(markets=[make_market(TICKER)], now=NOW)
    guarded = TradingEngine(state, exits, [Watching("price")], new_id=str, order_expiry_s=None)
    assert guarded.watches == "depth", "an exit may depend on any change"


def test_a_limit_on_the_spread_needs_prices_and_a_look_every_ten_seconds() -> None:
    for strategies, wanted in (([Watching("top")], "top"), ([], "price")):
        state = EngineState(markets=[make_market(TICKER)], now=NOW)
        limits = RiskLimits(max_spread=cents(20))
        engine = TradingEngine(state, limits, strategies, new_id=str, order_expiry_s=None)
        assert (engine.watches, engine.exits.look_again_at(TICKER)) == (wanted, 0)
        engine.step(snapshot())
        assert engine.exits.look_again_at(TICKER) == NOW + 10_000
