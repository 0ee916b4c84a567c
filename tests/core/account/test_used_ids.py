"""An order whose id the exchange knew already: what a read of the account says of it."""

from __future__ import annotations

from support.values import NOW, make_balance, make_engine, make_order, make_state

from kalshi_cli.base.units import Ts, cents
from kalshi_cli.core.account.order_index import ID_TAKEN
from kalshi_cli.core.account.reconciliation import NEVER_ARRIVED_MARGIN_MS, OLDER_MS
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.messages import AccountSnapshot, ExternalOrders, OrderState, OrderUnknown
from kalshi_cli.core.model.orders import DUPLICATE_ID, Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits


def in_doubt() -> TradingEngine:
    engine = make_engine()
    engine.state.orders.add(make_order("c1", status=OrderStatus.SUBMITTED))
    engine.step(OrderUnknown(NOW, "c1", f"{ID_TAKEN}: 409"))
    return engine


def read(*orders: Order, later_ms: int = 1_000) -> AccountSnapshot:
    at = Ts(NOW + later_ms)
    return AccountSnapshot(
        at, as_of=at, since=NOW, orders=orders, fills=(), settlements=(), positions=(), balance=make_balance()
    )


def older(by_ms: int) -> Order:
    return make_order("c1", order_id="o1", created=Ts(NOW - by_ms), updated=Ts(NOW - by_ms))


def test_where_nothing_of_ours_has_the_id_it_was_refused_and_did_not_just_never_arrive() -> None:
    engine = in_doubt()
    assert engine.step(read(later_ms=NEVER_ARRIVED_MARGIN_MS)) == [], "no proof yet"
    engine.step(read(later_ms=3_600_000))
    order = engine.state.orders.get("c1")
    assert order is not None
    assert (order.status, order.code) == (OrderStatus.REJECTED, DUPLICATE_ID)


def test_an_order_made_before_it_is_another_one_and_ours_ends() -> None:
    engine = in_doubt()
    effects = engine.step(read(older(OLDER_MS + 1)))
    ours, theirs = engine.state.orders.get("c1"), engine.state.orders.by_order_id("o1")
    assert ours is not None
    assert theirs is not None
    assert (ours.status, ours.code, ours.order_id) == (OrderStatus.REJECTED, DUPLICATE_ID, "")
    assert (theirs.status, theirs.is_foreign) == (OrderStatus.RESTING, True), "its exposure counts"
    assert not {"ID_CLASH", "LATE_ORDER"} & {effect.code for effect in effects if isinstance(effect, AlertRaised)}
    assert engine.step(read(older(OLDER_MS + 1), later_ms=2_000)) == []


def test_an_order_made_when_it_was_sent_is_ours() -> None:
    engine = in_doubt()
    engine.step(read(older(OLDER_MS)))
    ours = engine.state.orders.get("c1")
    assert ours is not None
    assert (ours.status, ours.order_id, ours.is_foreign) == (OrderStatus.RESTING, "o1", False)


def test_after_a_restart_news_of_the_older_one_does_not_bring_ours_back() -> None:
    refused = make_order("c1", status=OrderStatus.REJECTED, code=DUPLICATE_ID)
    engine = TradingEngine(
        make_state(),
        RiskLimits(min_edge=None),
        (),
        new_id=lambda: "new",
        order_expiry_s=90,
        on_file=lambda any_id: refused if any_id == "c1" else None,
    )
    effects = engine.step(OrderState(NOW, older(OLDER_MS + 1)))
    assert [order.is_foreign for order in engine.state.orders.live()] == [True]
    assert "LATE_ORDER" not in [effect.code for effect in effects if isinstance(effect, AlertRaised)]


def test_an_order_with_the_id_of_one_that_was_never_sent_joins_a_loop_from_the_file() -> None:
    never_sent = make_order("c1", status=OrderStatus.REJECTED, code="unreachable")
    sent = make_order("c1", price=cents(41), status=OrderStatus.SUBMITTED)
    filed = [never_sent]
    engine = TradingEngine(
        make_state(), RiskLimits(min_edge=None), (), new_id=lambda: "new", order_expiry_s=90, on_file=lambda _: filed[0]
    )
    engine.state.orders.add(never_sent)
    filed[0] = sent
    effects = engine.step(OrderState(NOW, make_order("c1", order_id="o1", price=cents(41))))
    assert "LATE_ORDER" not in [effect.code for effect in effects if isinstance(effect, AlertRaised)]
    (known,) = engine.state.orders.live()
    assert (known.order_id, known.price, known.is_foreign) == ("o1", cents(41), False)


def test_an_order_that_was_never_sent_and_is_there_is_still_reported() -> None:
    never_sent = make_order("c1", status=OrderStatus.REJECTED, code="unreachable")
    engine = TradingEngine(
        make_state(),
        RiskLimits(min_edge=None),
        (),
        new_id=lambda: "new",
        order_expiry_s=90,
        on_file=lambda _: never_sent,
    )
    engine.state.orders.add(never_sent)
    effects = engine.step(OrderState(NOW, make_order("c1", order_id="o1")))
    assert "LATE_ORDER" in [effect.code for effect in effects if isinstance(effect, AlertRaised)]


def test_an_order_of_another_program_counts_under_an_id_that_was_free_again() -> None:
    engine = make_engine()
    engine.state.orders.add(make_order("c1", status=OrderStatus.REJECTED, code="rate_limited"))
    sent = make_order("c1", status=OrderStatus.SUBMITTED)
    engine.step(ExternalOrders(NOW, (sent,)))
    engine.step(ExternalOrders(NOW, (sent,)))
    assert engine.state.orders.live() == [sent]
