"""I-RISK, from outside of the controls: after each send every subset of what may still trade is filled, one by one.

The test keeps its own list of orders; of the engine it asks only the position. Cancels count when they are confirmed,
an order without an answer counts as live, and so does one whose cancel is on its way.
"""

from __future__ import annotations

from itertools import chain, combinations

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.values import NOW, make_book, make_engine, make_fill, make_market, make_state

from kalshi_cli.base.units import ONE_DOLLAR, Money, Qty, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import (
    CancelFailed,
    Filled,
    OrderAccepted,
    OrderCanceled,
    OrderNeverArrived,
    OrderRejected,
    OrderUnknown,
    StateCommand,
)
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.state.limits import RiskLimits

MAX_POSITION = contracts(30)
MAX_EXPOSURE = Money(20_000_000)
TICKERS = ("KXA-1", "KXB-1")
MOST_PENDING = 6


class Pending(msgspec.Struct):
    """An order that may still trade, as the test sees it."""

    client_order_id: str
    ticker: str
    side: Side
    price: int
    left: int
    order_id: str = ""


class World:
    """An engine, and everything about its orders that an exchange would know."""

    def __init__(self) -> None:
        markets = [make_market(ticker) for ticker in TICKERS]
        limits = RiskLimits(
            min_edge=None, max_position=MAX_POSITION, max_exposure=MAX_EXPOSURE, max_orders_per_minute=None,
            price_collar=None, max_daily_loss=None, max_order_cost=None,
        )  # fmt: skip
        self.engine: TradingEngine = make_engine(state=make_state(*markets), limits=limits)
        for ticker in TICKERS:
            self.engine.step(make_book(ticker=ticker))
        self.pending: list[Pending] = []
        self.trades = 0
        self.denied = 0

    def place(self, ticker: str, side: Side, price: int, qty: int, fate: str) -> None:
        if len(self.pending) == MOST_PENDING:
            return
        verdict = self.engine.place(Place(ticker, side, cents(price), contracts(qty)), "probe")
        if not isinstance(verdict, SubmitOrder):
            self.denied += 1
            return
        order = verdict.order
        self.pending.append(Pending(order.client_order_id, ticker, side, order.price, order.qty))
        self.check()
        name = order.client_order_id
        if fate == "accepted":
            self.pending[-1].order_id = f"x{name}"
            self.engine.step(OrderAccepted(NOW, name, f"x{name}", Qty(0), order.qty))
        elif fate == "unknown":
            self.engine.step(OrderUnknown(NOW, name, f"timeout of {name}"))
        elif fate == "rejected":
            self.engine.step(OrderRejected(NOW, name, "invalid_order"))
            self.pending.pop()

    def fill(self, which: int, share: int) -> None:
        """Part of an order trades, whether or not its answer was heard; the fill may name the order or only our id."""
        if self.pending:
            order = self.pending[which % len(self.pending)]
            qty = max(1, order.left * share // 100)
            self.trades += 1
            trade = make_fill(
                f"t{self.trades}", order_id=order.order_id or f"x{order.client_order_id}", ticker=order.ticker,
                side=order.side, price=order.price, qty=Qty(qty), client_order_id=order.client_order_id,
            )  # fmt: skip
            order.order_id, order.left = trade.order_id, order.left - qty
            self.engine.step(Filled(NOW, trade))
            self.pending = [order for order in self.pending if order.left]

    def cancel(self, which: int, is_confirmed: bool) -> None:
        if self.pending:
            order = self.pending[which % len(self.pending)]
            if not is_confirmed:
                self.engine.step(CancelFailed(NOW, order.order_id, order.client_order_id, "not_found"))
            elif order.order_id:
                self.engine.step(OrderCanceled(NOW, order.order_id, order.client_order_id))
                self.pending.remove(order)
            else:
                self.engine.step(OrderNeverArrived(NOW, order.client_order_id))
                self.pending.remove(order)

    def resume(self) -> None:
        """Three orders in doubt stop new ones; a person goes on, so that the limits themselves are what holds."""
        self.engine.step(StateCommand(NOW, TradingState.ACTIVE, "resume", "on"))

    def check(self) -> None:
        """No subset of what may trade passes a limit."""
        assert sum(self.worst(ticker) for ticker in TICKERS) <= MAX_EXPOSURE

    def worst(self, ticker: str) -> int:
        position = self.engine.state.ledger.position(ticker)
        mine = [order for order in self.pending if order.ticker == ticker]
        worst = 0
        for subset in chain.from_iterable(combinations(mine, size) for size in range(len(mine) + 1)):
            assert abs(position.qty + sum(order.side.sign * order.left for order in subset)) <= MAX_POSITION
            for payout in (0, ONE_DOLLAR):
                held = position.cost - abs(position.qty) * (payout if position.qty > 0 else ONE_DOLLAR - payout)
                traded = sum((order.price - payout) * order.left * order.side.sign for order in subset)
                worst = max(worst, held + traded)
        return worst


places = st.tuples(
    st.just("place"),
    st.sampled_from(TICKERS),
    st.sampled_from([BID, ASK]),
    st.integers(30, 60),
    st.integers(1, 30),
    st.sampled_from(["accepted", "accepted", "unknown", "in flight", "rejected"]),
)
steps = st.lists(
    st.one_of(
        places,
        places,
        st.tuples(st.just("fill"), st.integers(0, 9), st.sampled_from([10, 50, 100])),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("resume")),
    ),
    min_size=6,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_no_subset_of_what_may_still_trade_passes_a_limit_at_any_send(script: list[tuple[object, ...]]) -> None:
    world = World()
    for what, *details in script:
        getattr(world, str(what))(*details)
    event(f"pending: {len(world.pending)}")
    event(f"denied some: {world.denied > 0}")


def test_the_check_finds_an_order_that_was_not_counted() -> None:
    """Not vacuous: 31 contracts under a limit of 30, one of them behind the engine's back."""
    world = World()
    world.place("KXA-1", BID, 40, 30, "unknown")
    world.pending.append(Pending("hidden", "KXA-1", BID, cents(40), contracts(1)))
    try:
        world.check()
    except AssertionError:
        return
    raise AssertionError("31 contracts passed")


def test_an_order_without_an_answer_keeps_its_room() -> None:
    world = World()
    world.place("KXA-1", BID, 40, 30, "unknown")
    world.place("KXA-1", BID, 40, 1, "accepted")
    assert (len(world.pending), world.denied) == (1, 1)
    world.cancel(0, is_confirmed=False)
    world.place("KXA-1", BID, 40, 1, "accepted")
    assert world.denied == 2, "a cancel that was not confirmed frees nothing"
    world.cancel(0, is_confirmed=True)
    world.place("KXA-1", BID, 40, 1, "accepted")
    assert len(world.pending) == 1
