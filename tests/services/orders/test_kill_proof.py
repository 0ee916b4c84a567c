"""What the kill switch counts as proof: answers of the exchange itself, and no order of ours that nothing explains."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from support.simulation import OTHER, TICKER, Simulation

from kalshi_cli.base.errors import NoAnswerError, OutcomeUnknownError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.orders.cancel import CancelScope, cancel_orders, is_list_current
from kalshi_cli.services.orders.kill_switch import KillSwitch, KillSwitchResult

NOT_FOUND = b'{"error": {"code": "not_found", "message": "not found"}}'
HIDDEN = b'{"orders": [], "cursor": ""}'


def press(sim: Simulation, deadline_s: float = 20.0, groups: Any = None, **scope: str) -> KillSwitchResult:
    switch = KillSwitch(sim.client, sim.clock, CancelScope(**scope), tell=sim.said.append, live=sim.store.live_orders)
    return switch.run(deadline_s, groups)


def place(sim: Simulation, **changes: Any) -> Order:
    """An order of ours that rests, and is on file."""
    sim.market(ticker=changes.get("ticker", TICKER))
    sim.place(**changes)
    return sim.store.live_orders()[-1]


def refuse_cancels(request: httpx.Request) -> httpx.Response | None:
    return httpx.Response(503) if request.method in ("DELETE", "PUT") else None


def without_cancel_all(request: httpx.Request) -> httpx.Response | None:
    is_all = request.method == "DELETE" and request.url.path.endswith("/orders")
    return httpx.Response(404, content=NOT_FOUND) if is_all else None


def hidden(request: httpx.Request) -> bool:
    return request.method == "GET" and request.url.path.endswith("/portfolio/orders")


@pytest.mark.parametrize("status", [200, 201, 202, 404, 503])
def test_with_nothing_to_cancel_the_exchange_must_still_take_the_cancel_of_everything(
    sim: Simulation, status: int
) -> None:
    def gateway(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(status) if request.method == "DELETE" else None

    sim.wire.before = gateway
    outcome = press(sim)
    assert (outcome.is_clean, outcome.is_verified, outcome.is_answered) == (False, False, False)
    sim.wire.before = lambda _request: None
    assert press(sim).is_clean


def test_without_that_route_each_cancel_that_is_answered_will_do(sim: Simulation) -> None:
    place(sim)
    sim.wire.before = without_cancel_all
    assert press(sim).is_clean
    assert not press(sim, 5.0).is_clean, "there was none this time"


def test_a_part_with_nothing_in_it_needs_no_cancel(sim: Simulation) -> None:
    place(sim)
    outcome = press(sim, ticker=OTHER)
    assert outcome.is_clean
    assert outcome.seconds < 2


def test_an_order_that_traded_in_the_meantime_is_looked_up(sim: Simulation) -> None:
    """Its cancel is answered with "not found", which an order that nobody can see yet is answered with, too."""
    order = place(sim)

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/batched"):
            sim.take(ASK, 40, 10_000)
        return without_cancel_all(request)

    sim.wire.before = before
    outcome = press(sim, ticker=TICKER)
    assert outcome.is_clean
    assert ("GET", f"/trade-api/v2/portfolio/orders/{order.order_id}") in sim.wire.sent
    assert (outcome.canceled, [each.order_id for each in outcome.over]) == (0, [order.order_id])


@pytest.mark.parametrize("scope", [{}, {"ticker": TICKER}, {"event": "KXSIM-26JUN"}])
def test_an_order_on_file_that_no_list_shows_is_not_gone(sim: Simulation, scope: dict[str, Any]) -> None:
    order = place(sim)

    def before(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(200, content=HIDDEN) if hidden(request) else refuse_cancels(request)

    sim.wire.before = before
    outcome = press(sim, **scope)
    assert (outcome.is_verified, outcome.remaining) == (False, 0)
    assert [each.order_id for each in outcome.unexplained] == [order.order_id]
    sim.wire.before = lambda request: httpx.Response(200, content=HIDDEN) if hidden(request) else None
    assert press(sim).is_clean, "the exchange took the cancel of everything, and so of this one"
    assert sim.exchange.resting("alice") == []


def test_an_order_that_a_list_showed_is_not_gone_because_the_next_does_not(sim: Simulation) -> None:
    """No file knows it."""
    sim.quote(BID, 30, 1, who="alice")
    lists: list[int] = []

    def before(request: httpx.Request) -> httpx.Response | None:
        if hidden(request):
            lists.append(1)
            return httpx.Response(200, content=HIDDEN) if len(lists) > 1 else None
        return refuse_cancels(request)

    sim.wire.before = before
    outcome = press(sim, ticker=TICKER)
    assert (outcome.is_verified, len(outcome.unexplained)) == (False, 1)


def test_an_order_that_rests_again_after_its_cancel_must_be_explained_again(sim: Simulation) -> None:
    """The cancel of everything was taken, and did nothing."""
    place(sim)
    lists: list[int] = []

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.method == "DELETE":
            return httpx.Response(204 if request.url.path.endswith("/orders") and len(lists) < 2 else 503)
        if hidden(request):
            lists.append(1)
            return httpx.Response(200, content=HIDDEN) if len(lists) > 2 else None
        return None

    sim.wire.before = before
    outcome = press(sim)
    assert (outcome.is_verified, len(outcome.unexplained)) == (False, 1)


def test_orders_of_other_events_need_no_explanation(sim: Simulation) -> None:
    place(sim)
    place(sim, ticker=OTHER)
    outcome = press(sim, event="KXSIM-26JUL")
    assert (outcome.is_clean, outcome.canceled) == (True, 1)
    assert outcome.seconds < 2
    assert len(sim.store.live_orders()) == 2


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_group_that_the_exchange_triggered_explains_its_orders(sim: Simulation, is_answered: bool) -> None:
    group = sim.client.create_order_group(contracts(50))
    order = place(sim, order_group_id=group.group_id)
    other = sim.quote(BID, 20, 1, who="alice")

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/trigger") and not is_answered:
            return httpx.Response(200)
        is_read_alone = request.method == "GET" and request.url.path.endswith(order.order_id)
        return httpx.Response(503) if is_read_alone else without_cancel_all(request)

    sim.wire.before = before
    outcome = press(sim, groups=[OrderGroup(group_id=group.group_id)])
    assert outcome.triggered == ((group.group_id,) if is_answered else ())
    assert outcome.is_clean, "else it was cancelled by its id"
    assert sim.exchange.resting("alice") == [], other


def test_only_what_the_exchange_canceled_on_request_is_counted(sim: Simulation) -> None:
    """The file of a loop that is gone shows four orders: one expired, one filled, one was canceled, and one rests."""
    group = sim.client.create_order_group(contracts(50))
    more: dict[str, Any] = {"order_group_id": group.group_id}
    expired = place(sim, **more, expires_in_s=60.0)
    filled, canceled = place(sim, **more, price=cents(30)), place(sim, **more, price=cents(20))
    sim.take(ASK, 30, 120)  # the quote of the maker too
    sim.exchange.cancel("alice", canceled.order_id, sim.clock.now())
    sim.clock.advance(120)
    on_file = [expired, filled, canceled, place(sim, **more, price=cents(15))]
    switch = KillSwitch(sim.client, sim.clock, CancelScope(), tell=sim.said.append, live=lambda: on_file)
    outcome = switch.run(20.0, [OrderGroup(group_id=group.group_id)])
    assert (outcome.is_clean, outcome.canceled) == (True, 1)
    assert [order.order_id for order in outcome.over] == [order.order_id for order in on_file[:3]]
    assert "Found 0 resting orders; 4 more of the state file were in the triggered groups" in sim.said


def test_without_the_list_of_canceled_orders_an_expired_one_is_not_counted_and_others_are(sim: Simulation) -> None:
    group = sim.client.create_order_group(contracts(50))
    expired = place(sim, order_group_id=group.group_id, expires_in_s=60.0)
    sim.clock.advance(120)
    on_file = [expired, place(sim, order_group_id=group.group_id, expires_in_s=60.0)]
    sim.wire.before = lambda request: httpx.Response(503) if "status=canceled" in str(request.url) else None
    switch = KillSwitch(sim.client, sim.clock, CancelScope(), tell=sim.said.append, live=lambda: on_file)
    outcome = switch.run(20.0, [OrderGroup(group_id=group.group_id)])
    assert (outcome.is_clean, outcome.canceled, outcome.over) == (True, 1, (expired,))


def test_a_list_is_not_new_because_the_same_answer_comes_again(sim: Simulation) -> None:
    """It was true just before the write; its date, and the first after the write, leave almost a second open."""
    sim.clock.advance(0.95 - sim.clock.now() % 1000 / 1000)
    before = sim.checked.handle_request
    kept: list[httpx.Response] = []

    def cache(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("user_data_timestamp"):
            return None
        if not kept:
            kept.append(before(request))
        answer = kept[0]
        return httpx.Response(200, headers=answer.headers, content=answer.content, request=request)

    sim.wire.before = cache
    sim.client.user_data_timestamp()
    sim.clock.advance(0.01)
    sim.client.cancel_all()
    written_s = sim.clock.monotonic()
    with pytest.raises(NoAnswerError, match="replays"):
        is_list_current(sim.client, sim.clock, written_s)


def test_an_order_on_file_whose_cancel_got_no_answer_before_any_list_is_counted_and_the_count_is_a_minimum(
    sim: Simulation,
) -> None:
    """The exchange froze, and did the cancel of everything when it went on: nobody heard of it."""
    place(sim)
    canceled = place(sim, price=cents(20))
    sim.exchange.cancel("alice", canceled.order_id, sim.clock.now())
    sim.quote(BID, 20, 1, who="alice")  # no file knows it
    sim.clock.advance(5)
    frozen: list[str] = []

    def freeze(request: httpx.Request) -> None:
        if not frozen:
            if request.method == "DELETE":
                frozen.append("done")
            raise httpx.ReadTimeout("frozen", request=request)

    sim.wire.after = freeze
    outcome = press(sim, 60.0)
    assert frozen
    assert sim.exchange.resting("alice") == []
    assert (outcome.is_clean, outcome.canceled, outcome.is_minimum) == (True, 1, True)
    assert [order.order_id for order in outcome.over] == [canceled.order_id]


def test_a_count_after_a_list_is_no_minimum(sim: Simulation) -> None:
    place(sim)
    outcome = press(sim)
    assert (outcome.canceled, outcome.is_minimum) == (1, False)


# -- by id ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [httpx.Response(200), httpx.Response(404, content=NOT_FOUND)], ids=str)
def test_a_cancel_that_a_gateway_answered_is_not_known(sim: Simulation, answer: httpx.Response) -> None:
    order_id = sim.quote(BID, 30, 1, who="alice")
    sim.wire.before = lambda request: answer if request.method == "DELETE" else None
    (found,) = cancel_orders(sim.client, [order_id])
    assert (found.canceled, found.is_unknown, found.is_missing) == (False, True, False)
    assert len(sim.exchange.resting("alice")) == 1


@pytest.mark.parametrize("call", ["trigger_order_group", "reset_order_group", "delete_order_group"])
def test_what_changes_a_group_is_answered_by_the_exchange_or_not_known(sim: Simulation, call: str) -> None:
    group = sim.client.create_order_group(contracts(5))
    getattr(sim.client, call)(group)
    group = sim.client.create_order_group(contracts(5))
    for body in (b"", b"<html>", b'{"error": {"code": "x"}}'):
        answer = httpx.Response(200, content=body)
        sim.wire.before = lambda request, answer=answer: answer if request.method != "GET" else None  # type: ignore[misc]
        with pytest.raises(OutcomeUnknownError):
            getattr(sim.client, call)(group)
