"""The kill switch while orders are on file of which nobody knows whether they are at the exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from virtual import DAY_MS, OTHER, TICKER, Virtual

from kalshi_cli.base.errors import OutcomeUnknownError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.account.reconciliation import NEVER_ARRIVED_MARGIN_MS
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.desk.account import reconcile_unknown
from kalshi_cli.desk.cancel import Scope
from kalshi_cli.desk.kill import KillSwitch, Outcome
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.sim.listing import NewOrder, Receipt, SimOptions


def lose(virtual: Virtual, **changes: Any) -> Order:
    """Place an order whose request is held up somewhere: on file it is UNKNOWN, and it may still arrive."""
    virtual.market(ticker=changes.get("ticker", TICKER))

    def hold_up(request: httpx.Request) -> None:
        if request.method == "POST" and request.url.path.endswith("/events/orders"):
            raise httpx.ReadTimeout("slow", request=request)

    virtual.wire.before = hold_up
    with pytest.raises(OutcomeUnknownError):
        virtual.place(**changes)
    virtual.wire.before = lambda _request: None
    (order,) = virtual.store.live_orders()
    assert (order.status, order.order_id) == (OrderStatus.UNKNOWN, "")
    return order


def arrive(virtual: Virtual, order: Order) -> None:
    terms = NewOrder(
        ticker=order.ticker, side=BID, price=order.price, qty=order.qty, client_order_id=order.client_order_id
    )
    assert isinstance(virtual.exchange.submit("alice", terms, virtual.clock.now()), Receipt)


def press(virtual: Virtual, deadline_s: float = 60.0, **more: Any) -> Outcome:
    switch = KillSwitch(
        virtual.client,
        virtual.clock,
        more.pop("scope", Scope()),
        tell=virtual.said.append,
        live=virtual.store.live_orders,
        look_up=lambda: reconcile_unknown(virtual.client, virtual.store, virtual.clock, Limits(), virtual.new_id),
    )
    return switch.run(deadline_s, **more)


def test_a_request_that_arrives_while_the_kill_switch_waits_for_the_proof_is_cancelled(virtual: Virtual) -> None:
    lost = lose(virtual)
    virtual.clock.advance(4)

    def late(_request: httpx.Request) -> None:
        if virtual.clock.now() > lost.created + 30_000 and not virtual.exchange.resting("alice") and not arrived:
            arrived.append(1)
            arrive(virtual, lost)

    arrived: list[int] = []
    virtual.wire.before = late
    outcome = press(virtual)
    assert arrived
    assert (outcome.is_clean, virtual.exchange.resting("alice")) == (True, [])
    assert virtual.store.live_orders() == ()
    assert any(lost.client_order_id in line and "waiting until" in line for line in virtual.said)


def test_it_is_clean_once_the_proof_is_there_that_the_order_never_arrived(virtual: Virtual) -> None:
    lost = lose(virtual)
    outcome = press(virtual)
    assert outcome.is_clean
    assert virtual.clock.now() > lost.created + NEVER_ARRIVED_MARGIN_MS
    assert [virtual.store.order(lost.client_order_id).status] == [OrderStatus.NEVER_ARRIVED]


def test_a_doubt_whose_proof_is_due_after_the_deadline_is_said_at_once(virtual: Virtual) -> None:
    lost = lose(virtual, expires_in_s=600)
    virtual.clock.advance(4)
    outcome = press(virtual)
    assert (outcome.is_clean, outcome.remaining, outcome.in_doubt) == (False, 0, (lost,))
    assert outcome.seconds < 5


def test_a_doubt_of_a_loop_that_died_long_ago_ends_with_one_look(virtual: Virtual) -> None:
    lose(virtual, expires_in_s=90)
    virtual.clock.advance(3_600)
    outcome = press(virtual)
    assert outcome.is_clean
    assert outcome.seconds < 5
    assert virtual.store.live_orders() == ()


def test_an_order_that_the_look_finds_is_cancelled_before_anything_is_called_clean(virtual: Virtual) -> None:
    """It arrives in the middle of the first look, and the second names it."""
    lost = lose(virtual)

    def late(request: httpx.Request) -> None:
        lists = [path for method, path in virtual.wire.sent if path.endswith("/portfolio/orders")]
        if (
            request.url.path.endswith("/fills")
            and len(lists) > 1
            and not virtual.store.order(lost.client_order_id).order_id
        ):
            virtual.wire.before = lambda _request: None
            arrive(virtual, lost)

    virtual.wire.sent.clear()
    virtual.wire.before = late
    outcome = press(virtual)
    assert (outcome.is_clean, virtual.exchange.resting("alice")) == (True, [])


def test_a_group_that_is_triggered_takes_nothing_that_is_on_the_way(virtual: Virtual) -> None:
    group = virtual.client.create_order_group(contracts(50))
    lose(virtual, order_group_id=group.group_id, expires_in_s=600)
    outcome = press(virtual, groups=[OrderGroup(group_id=group.group_id)])
    assert outcome.is_clean
    assert outcome.seconds < 5


def test_a_doubt_outside_of_the_scope_holds_up_nothing(virtual: Virtual) -> None:
    lose(virtual, expires_in_s=600)
    outcome = press(virtual, scope=Scope(ticker=OTHER))
    assert outcome.is_clean
    assert outcome.seconds < 5


def test_without_a_look_at_what_became_of_it_an_order_without_an_answer_is_never_called_gone(virtual: Virtual) -> None:
    """What the state file says is all there is: it goes on saying UNKNOWN."""
    lost = lose(virtual)
    blind = KillSwitch(
        virtual.client,
        virtual.clock,
        Scope(),
        tell=virtual.said.append,
        live=virtual.store.live_orders,
    )
    outcome = blind.run(60.0)
    assert (outcome.is_verified, outcome.in_doubt) == (False, (lost,))
    assert outcome.seconds < 61


@pytest.mark.parametrize("scope", [{}, {"ticker": TICKER}])
def test_an_order_whose_doubt_ended_is_proven_gone_though_reads_trail_by_more_than_one_wait(
    tmp_path: Path, scope: dict[str, str]
) -> None:
    virtual = Virtual(tmp_path, options=SimOptions(read_rate=0, write_rate=0, read_lag_ms=12_000))
    lost = lose(virtual)
    outcome = press(virtual, 120.0, scope=Scope(**scope))
    assert outcome.is_clean
    assert virtual.store.order(lost.client_order_id).status is OrderStatus.NEVER_ARRIVED
    virtual.close()


def test_an_order_on_file_that_left_the_live_tier_is_looked_up_once(tmp_path: Path) -> None:
    """The exchange answers 404 for it; the whole read of the account finds it among what is older."""
    options = SimOptions(read_rate=0, write_rate=0, clock_past_ms=10**12, history_after_ms=20 * DAY_MS)
    virtual = Virtual(tmp_path, options=options)
    virtual.market()
    virtual.place(price=cents(30))
    (order,) = virtual.store.live_orders()
    virtual.clock.advance(40 * 86_400)
    virtual.exchange.advance(virtual.clock.now())
    outcome = press(virtual, scope=Scope(ticker=TICKER))
    assert ("GET", f"/trade-api/v2/portfolio/orders/{order.order_id}") in virtual.wire.sent, "the live tier was asked"
    assert (outcome.is_clean, outcome.unexplained) == (True, ())
    assert outcome.seconds < 5
    assert virtual.store.live_orders() == ()
    virtual.close()


def test_what_the_look_up_leaves_open_too_is_looked_up_no_second_time(virtual: Virtual) -> None:
    virtual.market()
    virtual.place(price=cents(30))
    (order,) = virtual.store.live_orders()
    virtual.wire.before = lambda request: (
        httpx.Response(200, content=b'{"orders": [], "cursor": ""}')
        if request.url.path.endswith("/orders")
        else httpx.Response(404, content=b'{"error": {"code": "not_found", "message": "not found"}}')
        if request.url.path.endswith(order.order_id)
        else None
    )
    looks: list[int] = []
    switch = KillSwitch(
        virtual.client, virtual.clock, Scope(ticker=TICKER), tell=virtual.said.append, live=virtual.store.live_orders,
        look_up=lambda: looks.append(1),
    )  # fmt: skip
    outcome = switch.run(20.0)
    assert (outcome.is_clean, outcome.unexplained, len(looks)) == (False, (order,), 1)
