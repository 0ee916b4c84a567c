"""The kill switch while orders are on file of which nobody knows whether they are at the exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from support.simulation import DAY_MS, OTHER, TICKER, Simulation

from kalshi_cli.base.errors import OutcomeUnknownError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.account.reconciliation import NEVER_ARRIVED_MARGIN_MS
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.account.recovery import reconcile_unknown
from kalshi_cli.services.orders.cancel import CancelScope
from kalshi_cli.services.orders.kill_switch import KillSwitch, KillSwitchResult
from kalshi_cli.simulator.model.listing import ExchangeOptions, NewOrder, OrderReceipt


def lose(sim: Simulation, **changes: Any) -> Order:
    """Place an order whose request is held up somewhere: on file it is UNKNOWN, and it may still arrive."""
    sim.market(ticker=changes.get("ticker", TICKER))

    def hold_up(request: httpx.Request) -> None:
        if request.method == "POST" and request.url.path.endswith("/events/orders"):
            raise httpx.ReadTimeout("slow", request=request)

    sim.wire.before = hold_up
    with pytest.raises(OutcomeUnknownError):
        sim.place(**changes)
    sim.wire.before = lambda _request: None
    (order,) = sim.store.live_orders()
    assert (order.status, order.order_id) == (OrderStatus.UNKNOWN, "")
    return order


def arrive(sim: Simulation, order: Order) -> None:
    terms = NewOrder(
        ticker=order.ticker, side=BID, price=order.price, qty=order.qty, client_order_id=order.client_order_id
    )
    assert isinstance(sim.exchange.submit("alice", terms, sim.clock.now()), OrderReceipt)


def press(sim: Simulation, deadline_s: float = 60.0, **more: Any) -> KillSwitchResult:
    switch = KillSwitch(
        sim.client,
        sim.clock,
        more.pop("scope", CancelScope()),
        tell=sim.said.append,
        live=sim.store.live_orders,
        look_up=lambda: reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id),
    )
    return switch.run(deadline_s, **more)


def test_a_request_that_arrives_while_the_kill_switch_waits_for_the_proof_is_cancelled(sim: Simulation) -> None:
    lost = lose(sim)
    sim.clock.advance(4)

    def late(_request: httpx.Request) -> None:
        if sim.clock.now() > lost.created + 30_000 and not sim.exchange.resting("alice") and not arrived:
            arrived.append(1)
            arrive(sim, lost)

    arrived: list[int] = []
    sim.wire.before = late
    outcome = press(sim)
    assert arrived
    assert (outcome.is_clean, sim.exchange.resting("alice")) == (True, [])
    assert sim.store.live_orders() == ()
    assert any(lost.client_order_id in line and "waiting until" in line for line in sim.said)


def test_it_is_clean_once_the_proof_is_there_that_the_order_never_arrived(sim: Simulation) -> None:
    lost = lose(sim)
    outcome = press(sim)
    assert outcome.is_clean
    assert sim.clock.now() > lost.created + NEVER_ARRIVED_MARGIN_MS
    assert [sim.store.order(lost.client_order_id).status] == [OrderStatus.NEVER_ARRIVED]  # type: ignore[union-attr]


def test_a_doubt_whose_proof_is_due_after_the_deadline_is_said_at_once(sim: Simulation) -> None:
    lost = lose(sim, expires_in_s=600)
    sim.clock.advance(4)
    outcome = press(sim)
    assert (outcome.is_clean, outcome.remaining, outcome.in_doubt) == (False, 0, (lost,))
    assert outcome.seconds < 5


def test_a_doubt_of_a_loop_that_died_long_ago_ends_with_one_look(sim: Simulation) -> None:
    lose(sim, expires_in_s=90)
    sim.clock.advance(3_600)
    outcome = press(sim)
    assert outcome.is_clean
    assert outcome.seconds < 5
    assert sim.store.live_orders() == ()


def test_an_order_that_the_look_finds_is_cancelled_before_anything_is_called_clean(sim: Simulation) -> None:
    """It arrives in the middle of the first look, and the second names it."""
    lost = lose(sim)

    def late(request: httpx.Request) -> None:
        lists = [path for method, path in sim.wire.sent if path.endswith("/portfolio/orders")]
        if (
            request.url.path.endswith("/fills")
            and len(lists) > 1
            and not sim.store.order(lost.client_order_id).order_id  # type: ignore[union-attr]
        ):
            sim.wire.before = lambda _request: None
            arrive(sim, lost)

    sim.wire.sent.clear()
    sim.wire.before = late
    outcome = press(sim)
    assert (outcome.is_clean, sim.exchange.resting("alice")) == (True, [])


def test_a_group_that_is_triggered_takes_nothing_that_is_on_the_way(sim: Simulation) -> None:
    group = sim.client.create_order_group(contracts(50))
    lose(sim, order_group_id=group.group_id, expires_in_s=600)
    outcome = press(sim, groups=[OrderGroup(group_id=group.group_id)])
    assert outcome.is_clean
    assert outcome.seconds < 5


def test_a_doubt_outside_of_the_scope_holds_up_nothing(sim: Simulation) -> None:
    lose(sim, expires_in_s=600)
    outcome = press(sim, scope=CancelScope(ticker=OTHER))
    assert outcome.is_clean
    assert outcome.seconds < 5


def test_without_a_look_at_what_became_of_it_an_order_without_an_answer_is_never_called_gone(sim: Simulation) -> None:
    """What the state file says is all there is: it goes on saying UNKNOWN."""
    lost = lose(sim)
    blind = KillSwitch(
        sim.client,
        sim.clock,
        CancelScope(),
        tell=sim.said.append,
        live=sim.store.live_orders,
    )
    outcome = blind.run(60.0)
    assert (outcome.is_verified, outcome.in_doubt) == (False, (lost,))
    assert outcome.seconds < 61


@pytest.mark.parametrize("scope", [{}, {"ticker": TICKER}])
def test_an_order_whose_doubt_ended_is_proven_gone_though_reads_trail_by_more_than_one_wait(
    tmp_path: Path, scope: dict[str, str]
) -> None:
    sim = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, read_lag_ms=12_000))
    lost = lose(sim)
    outcome = press(sim, 120.0, scope=CancelScope(**scope))
    assert outcome.is_clean
    assert sim.store.order(lost.client_order_id).status is OrderStatus.NEVER_ARRIVED  # type: ignore[union-attr]
    sim.close()


def test_an_order_on_file_that_left_the_live_tier_is_looked_up_once(tmp_path: Path) -> None:
    """The exchange answers 404 for it; the whole read of the account finds it among what is older."""
    options = ExchangeOptions(read_rate=0, write_rate=0, clock_past_ms=10**12, history_after_ms=20 * DAY_MS)
    sim = Simulation(tmp_path, options=options)
    sim.market()
    sim.place(price=cents(30))
    (order,) = sim.store.live_orders()
    sim.clock.advance(40 * 86_400)
    sim.exchange.advance(sim.clock.now())
    outcome = press(sim, scope=CancelScope(ticker=TICKER))
    assert ("GET", f"/trade-api/v2/portfolio/orders/{order.order_id}") in sim.wire.sent, "the live tier was asked"
    assert (outcome.is_clean, outcome.unexplained) == (True, ())
    assert outcome.seconds < 5
    assert sim.store.live_orders() == ()
    sim.close()


def test_what_the_look_up_leaves_open_too_is_looked_up_no_second_time(sim: Simulation) -> None:
    sim.market()
    sim.place(price=cents(30))
    (order,) = sim.store.live_orders()
    sim.wire.before = lambda request: (
        httpx.Response(200, content=b'{"orders": [], "cursor": ""}')
        if request.url.path.endswith("/orders")
        else httpx.Response(404, content=b'{"error": {"code": "not_found", "message": "not found"}}')
        if request.url.path.endswith(order.order_id)
        else None
    )
    looks: list[int] = []
    switch = KillSwitch(
        sim.client, sim.clock, CancelScope(ticker=TICKER), tell=sim.said.append, live=sim.store.live_orders,
        look_up=lambda: looks.append(1),
    )  # fmt: skip
    outcome = switch.run(20.0)
    assert (outcome.is_clean, outcome.unexplained, len(looks)) == (False, (order,), 1)
