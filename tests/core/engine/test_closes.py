"""A close passes a halt, so it must be able to do nothing but close."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.values import NOW, make_book, make_engine, make_market, make_order, make_state

from kalshi_cli.base.units import Money, Qty, cents, contracts
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.model.effects import AlertRaised, CloseOrder, OrderRefused
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Close, Intent, Place
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.risk.review import review, review_close
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import AN_ORDER
from kalshi_cli.core.state.state import EngineState


@pytest.fixture
def state() -> EngineState:
    made = make_state()
    snapshot = make_book()
    made.books["KXA-1"].load(snapshot.bids, snapshot.asks, snapshot.ts)
    made.trading = TradingState.HALTED
    return made


def out(price: int = 40, qty: int = 10, held: int = 10, **changes: Any) -> Close:
    return Close("KXA-1", cents(price), contracts(qty), contracts(held), **changes)


def judge(state: EngineState, intent: Close, limits: RiskLimits | None = None) -> CloseOrder | OrderRefused:
    return review_close(state, limits or RiskLimits(), intent, client_order_id="new")


def code(state: EngineState, intent: Close, limits: RiskLimits | None = None) -> str:
    verdict = judge(state, intent, limits)
    return verdict.code if isinstance(verdict, OrderRefused) else "approved"


@pytest.mark.parametrize("trading", TradingState)
@pytest.mark.parametrize(("held", "side"), [(10, ASK), (-10, BID)])
def test_it_is_reduce_only_immediate_and_on_the_closing_side_in_every_state(
    state: EngineState, trading: TradingState, held: int, side: Side
) -> None:
    state.trading = trading
    verdict = judge(state, out(held=held, subaccount=3))
    assert isinstance(verdict, CloseOrder)
    order = verdict.order
    assert (order.side, order.tif, order.reduce_only, order.strategy) == (side, TimeInForce.IOC, True, "")
    assert (order.subaccount, order.expires, order.status) == (3, None, OrderStatus.SUBMITTED)


def test_the_same_order_as_an_ordinary_one_is_refused_while_halted(state: EngineState) -> None:
    """Also where it is reduce-only: what a person places, and what a strategy wants, waits for the end of the halt."""
    for strategy in ("", "spike"):
        intent = Place("KXA-1", ASK, cents(40), contracts(1), tif=TimeInForce.IOC, reduce_only=True, fair=cents(1))
        verdict = review(state, RiskLimits(), intent, client_order_id="new", strategy=strategy, expiry_s=None)
        assert isinstance(verdict, OrderRefused)
        assert verdict.code == "HALTED"


def test_no_more_than_is_held_can_be_closed(state: EngineState) -> None:
    assert code(state, out(qty=10, held=10)) == "approved"
    assert code(state, out(qty=11, held=10)) == "NOT_CLOSING"
    assert code(state, out(qty=11, held=-10)) == "NOT_CLOSING"
    assert code(state, out(qty=1, held=0)) == "NOT_CLOSING"
    assert code(state, out(qty=0, held=10)) == "BAD_COUNT"


def test_live_orders_on_the_closing_side_count_in_their_own_subaccount(state: EngineState) -> None:
    state.orders.add(make_order("asks", side=ASK, price=cents(60), qty=contracts(4)))
    state.orders.add(make_order("bids", price=cents(10), qty=contracts(50)))
    assert code(state, out(qty=6)) == "approved"
    assert code(state, out(qty=7)) == "NOT_CLOSING"
    assert code(state, out(qty=10, subaccount=1)) == "approved"


def test_an_order_in_doubt_counts_as_live(state: EngineState) -> None:
    state.orders.add(make_order("lost", side=ASK, qty=contracts(10), status=OrderStatus.UNKNOWN))
    assert code(state, out()) == "NOT_CLOSING"


def test_price_book_and_market_are_looked_at_as_for_any_order(state: EngineState) -> None:
    assert code(state, Close("KXB-1", cents(40), contracts(1), contracts(1))) == "UNKNOWN_MARKET"
    assert code(state, Close("KXA-1", cents(0), contracts(1), contracts(1))) == "OFF_GRID_PRICE"
    assert code(state, out(29), RiskLimits(price_collar=cents(10))) == "PRICE_COLLAR"
    assert code(state, out(30), RiskLimits(price_collar=cents(10))) == "approved"
    state.orders.add(make_order("own bid", price=cents(41)))
    assert code(state, out()) == "SELF_CROSS"
    state.books["KXA-1"].invalidate("gap")
    assert code(state, out(), RiskLimits(max_book_age_ms=1000)) == "STALE_BOOK"
    closed = make_state(make_market(status=MarketStatus.INACTIVE))
    assert code(closed, out()) == "MARKET_NOT_OPEN"


def test_limits_that_keep_risk_from_growing_do_not_apply(state: EngineState) -> None:
    tight = RiskLimits(
        max_order_qty=contracts(1),
        max_order_cost=Money(1),
        max_orders_per_minute=0,
        max_position=Qty(0),
        max_exposure=Money(0),
    )
    assert code(state, out(), tight) == "approved"


@pytest.mark.parametrize(
    "change", [{"reduce_only": False}, {"tif": TimeInForce.GTC}, {"tif": TimeInForce.FOK}, {"strategy": "spike"}]
)
def test_a_close_order_cannot_be_made_of_an_order_that_could_do_more(change: dict[str, Any]) -> None:
    can_only_close: dict[str, Any] = {"reduce_only": True, "tif": TimeInForce.IOC}
    assert CloseOrder(make_order(**can_only_close)).order.reduce_only
    with pytest.raises(ValueError, match="more than close"):
        CloseOrder(make_order(**(can_only_close | change)))


@given(
    held=st.integers(-50, 50),
    qty=st.integers(-5, 60),
    resting=st.lists(st.tuples(st.sampled_from([BID, ASK]), st.integers(1, 30), st.integers(0, 1)), max_size=4),
)
def test_whatever_fills_first_the_position_never_changes_its_side(
    held: int, qty: int, resting: list[tuple[Side, int, int]]
) -> None:
    state = make_state()
    state.trading = TradingState.HALTED
    for number, (side, count, subaccount) in enumerate(resting):
        price = cents(1 if side is BID else 99)
        state.orders.add(make_order(f"c{number}", side=side, price=price, qty=contracts(count), subaccount=subaccount))
    verdict = judge(state, out(qty=qty, held=held))
    event("approved" if isinstance(verdict, CloseOrder) else verdict.code)
    if isinstance(verdict, CloseOrder):
        sign = verdict.order.side.sign
        same_side = sum(count for side, count, number in resting if side.sign == sign and number == 0)
        after = held + sign * (qty + same_side)
        assert held * sign < 0 < qty
        assert after * held >= 0


class Wishing:
    """A strategy that wants what only a person may."""

    name = "wishing"
    is_hedged = False
    watches: Watches = "depth"

    def on_book(self, *_: object) -> None: ...
    def on_trade(self, *_: object) -> None: ...
    def on_fill(self, *_: object) -> None: ...
    def on_tick(self, _view: object) -> Iterator[Intent]:
        yield out()


def test_a_strategy_cannot_close() -> None:
    engine = make_engine(Wishing())
    effects = engine.step(Tick(NOW))
    assert [effect.code for effect in effects if isinstance(effect, AlertRaised)] == ["STRATEGY_FAILED"]
    assert not any(isinstance(effect, CloseOrder) for effect in effects)


def test_the_engine_counts_a_close_as_live_at_once_and_a_refusal_as_denied() -> None:
    engine = make_engine()
    engine.step(make_book())
    engine.state.trading = TradingState.HALTED
    verdict = engine.close(out())
    assert isinstance(verdict, CloseOrder)
    assert engine.state.orders.get("id1") == verdict.order
    assert engine.state.sent_last_minute() == {"": AN_ORDER}
    assert isinstance(engine.close(out()), OrderRefused), "the first one may fill"
    assert (engine.tally.intents, engine.tally.orders, engine.tally.denied) == (2, 1, {"NOT_CLOSING": 1})
