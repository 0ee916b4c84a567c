"""The number of open positions, and the maximum loss of one market, whichever of the orders fill."""

from __future__ import annotations

from itertools import chain, combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.values import NOW, make_book, make_engine, make_fill, make_market, make_order, make_state

from kalshi_cli.base.units import ONE_DOLLAR, Money, Qty, cents, contracts, dollars
from kalshi_cli.core.model.effects import OrderRefused, SubmitOrder
from kalshi_cli.core.model.intents import Amend, Place
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.messages import Filled, OrderAccepted, OrderNeverArrived
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.risk.review import review, review_amend
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState

MARKETS = ("KXA-1", "KXA-2", "KXB-1")
FREE = FeeSchedule(FeeType.QUADRATIC, 0)
OFF: dict[str, Any] = {
    "min_edge": None, "max_position": None, "max_exposure": None, "max_order_cost": None, "price_collar": None,
    "max_orders_per_minute": None, "max_daily_loss": None,
}  # fmt: skip


@pytest.fixture
def state() -> EngineState:
    found = make_state(*map(make_market, MARKETS), fees=dict.fromkeys(MARKETS, FREE))
    for ticker in MARKETS:
        snapshot = make_book(ticker=ticker)
        found.books[ticker].load(snapshot.bids, snapshot.asks, snapshot.ts)
    return found


def code(
    state: EngineState, ticker: str, side: Side = BID, price: int = 40, qty: int = 10, who: str = "s", **on: Any
) -> str:
    intent = Place(ticker, side, cents(price), contracts(qty))
    verdict = review(state, RiskLimits(**OFF, **on), intent, client_order_id="new", strategy=who, expiry_s=90)
    return f"{verdict.code}: {verdict.detail}" if isinstance(verdict, OrderRefused) else "approved"


def test_a_position_or_a_live_order_makes_a_market_count_for_everyone(state: EngineState) -> None:
    assert code(state, "KXB-1", max_open_positions=1) == "approved"
    state.ledger.book(make_fill(ticker="KXA-1"))
    state.orders.add(make_order("resting", ticker="KXA-2"))
    refused = "OPEN_POSITIONS: positions or live orders in 2 markets; the limit is 2"
    assert code(state, "KXB-1", max_open_positions=2) == refused
    assert code(state, "KXB-1", who="", max_open_positions=2) == refused
    assert code(state, "KXB-1", max_open_positions=3) == code(state, "KXB-1") == "approved"


def test_in_a_market_that_counts_already_orders_pass(state: EngineState) -> None:
    state.ledger.book(make_fill(ticker="KXA-1"))
    assert code(state, "KXA-1", max_open_positions=1) == "approved"
    assert code(state, "KXA-1", ASK, 42, max_open_positions=0) == "approved", "a close"
    assert code(state, "KXA-2", max_open_positions=1).startswith("OPEN_POSITIONS")


def test_the_only_order_of_a_market_may_be_amended_at_the_limit(state: EngineState) -> None:
    state.orders.add(make_order("resting", order_id="x1", ticker="KXA-1", price=cents(40)))
    wanted = Amend("x1", cents(40), contracts(11))
    verdict = review_amend(state, RiskLimits(**OFF, max_open_positions=1), wanted)
    assert not isinstance(verdict, OrderRefused), verdict
    assert set(state.exposures.tickers) == {"KXA-1"}


def test_a_market_loses_no_more_than_its_limit_and_others_do_not_count(state: EngineState) -> None:
    state.ledger.book(make_fill(ticker="KXA-1", price=cents(40)))
    state.ledger.book(make_fill("t2", ticker="KXA-2", price=cents(40)))
    assert code(state, "KXA-1", max_market_exposure=dollars(8)) == "approved"
    assert code(state, "KXA-1", price=41, max_market_exposure=dollars(8)) == (
        "MARKET_EXPOSURE: the maximum loss of market KXA-1 would be $8.10; the limit is $8.00"
    )
    assert code(state, "KXA-1", price=41, who="", max_market_exposure=dollars(8)).startswith("MARKET_EXPOSURE")
    assert code(state, "KXA-1", ASK, 42, max_market_exposure=dollars(1)) == "approved", "a close"
    assert code(state, "KXA-1", price=41) == "approved"


steps = st.lists(
    st.tuples(
        st.sampled_from(("place", "place", "accept", "fill", "lose")), st.sampled_from(MARKETS),
        st.sampled_from((BID, ASK)), st.integers(20, 80), st.integers(1, 14),
    ),
    max_size=30,
)  # fmt: skip


@settings(deadline=None)
@given(steps, st.integers(0, 3))
def test_whichever_orders_fill_no_more_positions_are_open_and_no_market_loses_more(
    script: list[tuple[str, str, Side, int, int]], most: int
) -> None:
    """A market is worth what trying every subset of its orders and both results says."""
    limits = RiskLimits(**OFF, max_open_positions=most, max_market_exposure=dollars(5))
    engine = make_engine(state=make_state(*map(make_market, MARKETS), fees=dict.fromkeys(MARKETS, FREE)), limits=limits)
    for ticker in MARKETS:
        engine.step(make_book(ticker=ticker))
    held, live, trades = dict.fromkeys(MARKETS, (0, 0)), dict[str, Order](), 0
    for what, ticker, side, price, qty in script:
        own = [order for order in live.values() if order.ticker == ticker]
        if what == "place":
            verdict = engine.place(Place(ticker, side, cents(price), contracts(qty)), "probe")
            if isinstance(verdict, SubmitOrder):
                live[verdict.order.client_order_id] = verdict.order
        elif own and what == "accept":
            engine.step(OrderAccepted(NOW, own[0].client_order_id, f"x{own[0].client_order_id}", Qty(0), own[0].qty))
        elif own and what == "lose" and not engine.state.orders.get(own[0].client_order_id).order_id:  # type: ignore[union-attr]
            engine.step(OrderNeverArrived(NOW, own[0].client_order_id))
            del live[own[0].client_order_id]
        elif own and what == "fill":
            trades += 1
            order = live.pop(own[0].client_order_id)
            name = order.client_order_id
            filled = make_fill(f"t{trades}", order_id=f"x{name}", ticker=ticker, side=order.side, price=order.price)
            engine.step(Filled(NOW, msgspec.structs.replace(filled, qty=order.qty, client_order_id=name)))
            position = engine.state.ledger.position(ticker)
            held[ticker] = (position.qty, position.cost)
        counted = {order.ticker for order in live.values()} | {name for name, (at, _) in held.items() if at}
        assert len(counted) <= most
        for name in counted:
            assert _worst(*held[name], [order for order in live.values() if order.ticker == name]) <= dollars(5)


def _worst(held: int, cost: int, orders: list[Order]) -> Money:
    """Return the worst result over both outcomes and every subset of orders; a close earns nothing that counts."""
    results = [0]
    for payout in (0, ONE_DOLLAR):
        kept = cost - abs(held) * (payout if held > 0 else ONE_DOLLAR - payout)
        for some in chain.from_iterable(combinations(orders, size) for size in range(len(orders) + 1)):
            results.append(kept + sum((order.price - payout) * order.qty * order.side.sign for order in some))
    return Money(max(results))
