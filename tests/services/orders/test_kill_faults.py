"""The kill switch where things go wrong: pace, network, key, other people's orders, orders that come late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.simulation import TICKER, Simulation, ticket

from kalshi_cli.base.errors import OutcomeUnknownError
from kalshi_cli.base.units import cents, contracts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.orders.cancel import CancelScope
from kalshi_cli.services.orders.kill_switch import KillSwitch, KillSwitchResult
from kalshi_cli.simulator.model.listing import ExchangeOptions, NewOrder, OrderReceipt


@pytest.fixture
def trailing(tmp_path: Path) -> Iterator[Simulation]:
    """Reads show the account of half a second ago, and the real token buckets are on."""
    made = Simulation(tmp_path, options=ExchangeOptions(read_lag_ms=500))
    yield made
    made.close()


def rest(sim: Simulation, number: int) -> list[str]:
    return [
        sim.quote(BID if n % 2 else ASK, 20 + n % 9 if n % 2 else 60 + n % 9, 1, who="alice") for n in range(number)
    ]


def press(
    sim: Simulation, deadline_s: float = 60.0, groups: list[OrderGroup] | None = None, **more: Any
) -> KillSwitchResult:
    scope: CancelScope = more.pop("scope", CancelScope())
    switch = KillSwitch(sim.client, sim.clock, scope, tell=sim.said.append, **more)
    return switch.run(deadline_s, groups)


def without_cancel_all(request: httpx.Request) -> httpx.Response | None:
    if request.method == "DELETE" and request.url.path.endswith("/orders"):
        return httpx.Response(404, content=b'{"error": {"code": "not_found", "message": "no such route"}}')
    return None


def test_a_group_of_the_state_file_is_triggered_before_anything_is_read(sim: Simulation) -> None:
    group = sim.client.create_order_group(contracts(50))
    order = NewOrder(ticker=TICKER, side=BID, price=cents(30), qty=contracts(2), group_id=group.group_id)
    assert isinstance(sim.exchange.submit("alice", order, sim.clock.now()), OrderReceipt)
    sim.wire.sent.clear()
    outcome = press(sim, groups=[group])
    assert outcome.is_clean
    assert outcome.triggered == (group.group_id,)
    assert sim.wire.sent[0] == ("PUT", f"/trade-api/v2/portfolio/order_groups/{group.group_id}/trigger")


def test_a_group_that_is_gone_is_passed_over(sim: Simulation) -> None:
    rest(sim, 2)
    outcome = press(sim, groups=[OrderGroup(group_id="00000000-0000-4000-8000-00000000dead")])
    assert (outcome.is_clean, outcome.triggered) == (True, ())


@pytest.mark.parametrize("is_routed", [True, False], ids=["cancel of everything", "order by order"])
def test_reads_that_trail_by_more_than_one_wait_hold_up_the_proof_and_no_more(tmp_path: Path, is_routed: bool) -> None:
    """What was answered is not cancelled again: each cancel asks for a list that is newer than itself."""
    sim = Simulation(tmp_path, options=ExchangeOptions(read_lag_ms=15_000))
    rest(sim, 3)
    sim.clock.advance(16)
    outcome = press(sim, scope=CancelScope() if is_routed else CancelScope(ticker=TICKER))
    assert (outcome.is_clean, outcome.canceled) == (True, 3), outcome
    assert 15 < outcome.seconds < 30
    assert sum(verb == "DELETE" for verb, _ in sim.wire.sent) == 1
    sim.close()


def test_an_empty_list_from_before_the_cancel_is_no_proof(tmp_path: Path) -> None:
    """It is newer than the start of the kill switch, and shows the account of before the order was placed."""
    sim = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, read_lag_ms=5_000))
    sim.clock.advance(6)
    began, late = sim.clock.monotonic(), iter(range(1))

    def before(request: httpx.Request) -> httpx.Response | None:
        seconds = sim.clock.monotonic() - began
        if seconds >= 4 and next(late, None) is not None:
            rest(sim, 1)
        return httpx.Response(503) if request.method == "DELETE" and seconds < 8 else None

    sim.wire.before = before
    outcome = press(sim)
    assert (outcome.is_clean, sim.exchange.resting("alice")) == (True, [])
    assert 13 <= outcome.seconds < 30
    sim.close()


@pytest.mark.parametrize("scope", [CancelScope(), CancelScope(ticker=TICKER)], ids=["everything", "a part"])
def test_while_reads_trail_a_cancel_without_an_answer_is_sent_again(tmp_path: Path, scope: CancelScope) -> None:
    sim = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, read_lag_ms=15_000))
    rest(sim, 1)
    sim.clock.advance(16)
    began, taken = sim.clock.monotonic(), []

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.method != "DELETE":
            return None
        if sim.clock.monotonic() - began < 5:
            return httpx.Response(503)
        taken.append(sim.clock.monotonic() - began)
        return None

    sim.wire.before = before
    outcome = press(sim, 90.0, scope=scope)
    assert (outcome.is_clean, sim.exchange.resting("alice")) == (True, [])
    assert taken[0] < 12, "it does not wait for a list that shows the order"
    sim.close()


@pytest.mark.parametrize("scope", [CancelScope(), CancelScope(ticker=TICKER)], ids=["everything", "a part"])
def test_a_list_without_end_holds_up_neither_the_cancels_nor_the_deadline(sim: Simulation, scope: CancelScope) -> None:
    """It shows what rests on its first page, and goes on."""
    (rests,) = rest(sim, 1)
    pages = iter(range(10_000))

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.method != "GET" or not request.url.path.endswith("/portfolio/orders"):
            return None
        sim.clock.advance(1)
        page: dict[str, Any] = {"orders": []}
        if "cursor" not in request.url.params:
            page = json.loads(sim.checked.handle_request(request).read())
        return httpx.Response(200, json={**page, "cursor": f"page{next(pages)}"})

    sim.wire.before = before
    outcome = press(sim, 12.0, scope=scope)
    assert (outcome.is_clean, outcome.is_verified) == (False, False)
    assert sim.exchange.resting("alice") == [], rests
    assert 10 < outcome.seconds < 15


def test_429s_half_way_slow_it_down_and_stop_nothing(trailing: Simulation) -> None:
    """Another program outside of our pace eats the bucket for a while."""
    rest(trailing, 120)
    trailing.clock.advance(1)
    batches = iter(range(1_000))

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/batched") and next(batches) in (1, 2):
            return httpx.Response(429, content=b'{"error": "too many requests"}')
        return without_cancel_all(request)

    trailing.wire.before = before
    outcome = press(trailing)
    assert (outcome.canceled, outcome.is_clean) == (120, True)
    assert trailing.exchange.resting("alice") == []


def test_a_network_that_goes_and_comes_back_is_outlasted(trailing: Simulation) -> None:
    rest(trailing, 5)
    trailing.clock.advance(1)
    began = trailing.clock.monotonic()

    def before(_request: httpx.Request) -> None:
        if trailing.clock.monotonic() - began < 12:
            raise httpx.ConnectError("network is unreachable")

    trailing.wire.before = before
    outcome = press(trailing)
    assert (outcome.is_clean, trailing.exchange.resting("alice")) == (True, [])
    assert 12 <= outcome.seconds < 30
    assert len(trailing.said) < 12, "the same trouble is one line"


def test_an_order_that_arrives_after_the_first_round_is_cancelled_too(trailing: Simulation) -> None:
    rest(trailing, 3)
    trailing.clock.advance(1)
    late: list[str] = []

    def after(request: httpx.Request) -> None:
        if request.url.path.endswith("user_data_timestamp") and not late:
            late.extend(rest(trailing, 1))

    trailing.wire.after = after
    mine = trailing.desk().propose(ticket())[1].submit.order
    assert press(trailing, live=lambda: [] if late else [mine]).is_clean
    assert late
    assert trailing.exchange.resting("alice") == []


def test_an_order_cancelled_by_somebody_else_meanwhile_is_no_trouble(sim: Simulation) -> None:
    ids = rest(sim, 4)

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/batched"):
            sim.exchange.cancel("alice", ids[0], sim.clock.now())
        return without_cancel_all(request)

    sim.wire.before = before
    assert press(sim).is_clean


def test_orders_of_other_programs_are_cancelled_and_counted(sim: Simulation) -> None:
    ours = set(rest(sim, 3)[:2])
    press(sim, is_ours=lambda order: order.order_id in ours)
    assert "Found 3 resting orders, 1 of them external" in sim.said


def test_one_refusal_of_the_key_is_gone_through(sim: Simulation) -> None:
    """As after a sleep, when the clock is set a moment later."""
    rest(sim, 2)
    refused = iter([True, True])
    body = b'{"error": {"code": "header_timestamp_expired", "message": "header timestamp expired"}}'
    sim.wire.before = lambda _: httpx.Response(401, content=body) if next(refused, False) else None
    assert press(sim).is_clean


def test_a_key_revoked_half_way_ends_with_how_to_go_on(sim: Simulation) -> None:
    ids = rest(sim, 60)

    def before(request: httpx.Request) -> httpx.Response | None:
        if len(sim.exchange.resting("alice")) < 60:
            body = b'{"error": {"code": "authentication_error", "message": "x", "details": "NOT_FOUND"}}'
            return httpx.Response(401, content=body)
        return without_cancel_all(request)

    sim.wire.before = before
    with pytest.raises(OutcomeUnknownError, match="This key cannot cancel, and 60 orders may be live") as refused:
        press(sim)
    assert "web site" in refused.value.hint
    assert ids[-1] in refused.value.message


def test_a_wrong_clock_ends_with_the_clock_and_not_with_the_key(sim: Simulation) -> None:
    rest(sim, 1)
    body = b'{"error": {"code": "header_timestamp_expired", "message": "header timestamp expired"}}'
    sim.wire.before = lambda _: httpx.Response(401, content=body)
    with pytest.raises(OutcomeUnknownError, match="Nothing can be canceled until the clock is set") as refused:
        press(sim)
    assert refused.value.hint.startswith("set the clock: sudo timedatectl set-ntp true; then run `kalshi cancel-all`")
    assert "key" not in refused.value.hint


FORBIDDEN = b'{"error": {"code": "forbidden", "message": "insufficient scope"}}'


def test_refused_reads_say_nothing_about_a_key_that_cancels(sim: Simulation) -> None:
    """Such a key may not read the limits, nor a list at first; each order is cancelled all the same."""
    rest(sim, 60)
    lists = iter(range(1_000))

    def before(request: httpx.Request) -> httpx.Response | None:
        is_list = request.method == "GET" and request.url.path.endswith("/portfolio/orders")
        if request.url.path.endswith("/account/limits") or (is_list and next(lists) < 4):
            return httpx.Response(403, content=FORBIDDEN)
        return None

    sim.wire.before = before
    assert press(sim, scope=CancelScope(ticker=TICKER)).is_clean
    assert sim.exchange.resting("alice") == []


def test_a_write_that_is_taken_takes_back_the_refusals_before_it(sim: Simulation) -> None:
    """Two refusals, one cancel that is taken, two refusals: never three of them in a row."""
    rest(sim, 2)
    writes = iter(range(1_000))

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.method != "DELETE":
            return None
        number = next(writes)
        if number in (0, 1, 3, 4):
            return httpx.Response(403, content=FORBIDDEN)
        if number == 2:
            return httpx.Response(404, content=b'{"error": {"code": "not_found", "message": "no such route"}}')
        return None

    sim.wire.before = before
    assert press(sim).is_clean
    assert next(writes) > 5


def test_a_key_that_may_not_touch_groups_still_cancels(sim: Simulation) -> None:
    group = sim.client.create_order_group(contracts(5))
    rest(sim, 2)
    sim.wire.before = lambda r: httpx.Response(403, content=FORBIDDEN) if r.url.path.endswith("/trigger") else None
    assert press(sim, groups=[group] * 5).is_clean


def test_while_the_exchange_is_paused_it_says_so_once_and_tries_until_the_deadline(sim: Simulation) -> None:
    rest(sim, 3)
    sim.exchange.pause("exchange", sim.clock.now())
    outcome = press(sim, deadline_s=20.0, groups=[])
    assert (outcome.remaining, outcome.is_clean) == (3, False)
    assert [line for line in sim.said if "paused" in line] == [
        "The exchange is paused and accepts no cancels until it resumes; trying again until the deadline"
    ]
    assert sum(verb == "DELETE" for verb, _ in sim.wire.sent) < 30, "and does not hammer at it"


def test_several_subaccounts_and_shards_are_emptied(tmp_path: Path) -> None:
    sim = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, shards=3))
    number = sim.exchange.add_subaccount("alice")
    assert number is not None
    sim.exchange.deposit("alice", dollars(10), subaccount=number)
    order = NewOrder(ticker=TICKER, side=BID, price=cents(30), qty=contracts(2), subaccount=number)
    assert isinstance(sim.exchange.submit("alice", order, sim.clock.now()), OrderReceipt)
    rest(sim, 2)
    sim.wire.before = without_cancel_all
    assert press(sim).is_clean
    assert sim.exchange.resting("alice") == []
    sim.close()


def test_progress_is_told_on_the_way(trailing: Simulation) -> None:
    rest(trailing, 100)
    trailing.clock.advance(1)
    trailing.wire.before = without_cancel_all
    told: list[tuple[int, int]] = []
    press(trailing, progress=lambda gone, known: told.append((gone, known)))
    assert told == [(45, 100), (90, 100), (100, 100), (100, 100)]
