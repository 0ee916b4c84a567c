"""The kill switch: nothing rests, and a fresh list says so, or it says what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.simulation import DAY_MS, OTHER, T0, TICKER, Simulation, ticket

from kalshi_cli.base.errors import CredentialsError, ExitCode, OutcomeUnknownError
from kalshi_cli.base.units import Price, Ts, cents, contracts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.services.orders.cancel import CancelScope, cancel_orders, ending, failure, match_id
from kalshi_cli.services.orders.kill_switch import KillSwitch, KillSwitchResult, in_flight_orders
from kalshi_cli.simulator.model.listing import ExchangeOptions, MarketSpec, NewOrder, OrderReceipt
from kalshi_cli.views.formats import short_ids
from kalshi_cli.views.orders import order_row


@pytest.fixture
def trailing(tmp_path: Path) -> Iterator[Simulation]:
    """Reads show the account of half a second ago, and the real token buckets are on."""
    made = Simulation(tmp_path, options=ExchangeOptions(read_lag_ms=500))
    yield made
    made.close()


def rest(sim: Simulation, number: int, ticker: str = TICKER) -> list[str]:
    """Orders of alice, resting on both sides."""
    return [
        sim.quote(BID if n % 2 else ASK, 20 + n % 10 if n % 2 else 60 + n % 10, 1, who="alice", ticker=ticker)
        for n in range(number)
    ]


def kill(sim: Simulation, deadline_s: float = 60.0, **scope: str) -> KillSwitchResult:
    return KillSwitch(sim.client, sim.clock, CancelScope(**scope), tell=sim.said.append).run(deadline_s)


def fail(method: str, status: int, times: int, *, after: int = 0, code: str = "internal") -> Any:
    """Requests of a method are answered with an error: so many, after so many that pass."""
    seen = iter(range(1_000_000))

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.method != method or not after <= next(seen) < after + times:
            return None
        return httpx.Response(status, json={"error": {"code": code, "message": "oops"}})

    return before


def test_everything_is_cancelled_and_verified_though_reads_trail(trailing: Simulation) -> None:
    rest(trailing, 120)
    trailing.quote(BID, 10, who="maker")
    trailing.clock.advance(1)
    outcome = kill(trailing)
    assert (outcome.canceled, outcome.remaining, outcome.remaining_orders) == (120, 0, ())
    assert trailing.exchange.resting("alice") == []
    assert len(trailing.exchange.resting("maker")) == 1
    assert trailing.said == ["Found 120 resting orders"]
    assert outcome.seconds < 3


def test_an_order_that_the_list_does_not_show_yet_is_cancelled_too(trailing: Simulation) -> None:
    """The account had one order half a second ago, and has two now."""
    rest(trailing, 1)
    trailing.clock.advance(1)
    rest(trailing, 2)
    assert kill(trailing).remaining == 0
    assert trailing.exchange.resting("alice") == []


def test_nothing_to_cancel_is_a_success(sim: Simulation) -> None:
    outcome = kill(sim)
    assert (outcome.canceled, outcome.remaining, outcome.is_clean) == (0, 0, True)


def test_it_cancels_even_if_no_list_shows_anything(trailing: Simulation) -> None:
    """The order is younger than anything that a read shows."""
    trailing.clock.advance(1)
    rest(trailing, 1)
    assert kill(trailing).is_clean
    assert trailing.exchange.resting("alice") == []


def test_lists_that_never_catch_up_are_no_proof(sim: Simulation) -> None:
    rest(sim, 1)

    def stuck(request: httpx.Request) -> httpx.Response | None:
        is_clock = request.url.path.endswith("user_data_timestamp")
        return httpx.Response(200, content=b'{"as_of_time": "2026-01-01T00:00:00Z"}') if is_clock else None

    sim.wire.before = stuck
    outcome = kill(sim, deadline_s=20.0)
    assert not outcome.is_verified
    assert not outcome.is_clean


def test_an_empty_list_is_no_proof_while_an_order_of_ours_is_on_its_way(sim: Simulation) -> None:
    """Another process has sent it and has no answer yet; it arrives after the first sweep."""
    mine = on_its_way(sim)

    def live() -> list[Order]:
        sweeps = sum(verb == "DELETE" for verb, _ in sim.wire.sent)
        if sweeps == 1 and not sim.exchange.resting("alice"):
            rest(sim, 1)
        return [mine] if sweeps < 3 else []

    outcome = KillSwitch(sim.client, sim.clock, CancelScope(), tell=sim.said.append, live=live).run()
    assert outcome.is_clean
    assert sim.exchange.resting("alice") == []


def test_an_order_that_stays_on_its_way_leaves_it_unverified(sim: Simulation) -> None:
    mine = on_its_way(sim)
    outcome = KillSwitch(sim.client, sim.clock, CancelScope(), tell=sim.said.append, live=lambda: [mine]).run(5.0)
    assert (outcome.remaining, outcome.is_verified) == (0, False)
    assert outcome.in_doubt == (mine,)


def test_an_order_that_cannot_be_cancelled_holds_up_no_other(sim: Simulation) -> None:
    stubborn, *_ = rest(sim, 4)

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.method == "DELETE" and request.url.path.endswith(("/orders", "/batched", stubborn)):
            return httpx.Response(400, content=b'{"error": {"code": "market_inactive", "message": "market inactive"}}')
        return None

    sim.wire.before = refuse
    outcome = kill(sim, deadline_s=10.0)
    assert [order.order_id for order in outcome.remaining_orders] == [stubborn]
    assert (outcome.canceled, outcome.is_verified) == (3, True)


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        ({"ticker": TICKER}, {OTHER}),
        ({"ticker": "*JUL*"}, {TICKER}),
        ({"event": "KXSIM-26JUN"}, {OTHER}),
        ({"event": "KXSIM-26JU"}, {TICKER, OTHER}),
        ({"event": "KXSIM-26JUL", "ticker": "*T4"}, {TICKER, OTHER}),
        ({"ticker": "KXSIM*"}, set()),
    ],
)
def test_a_scope_leaves_the_rest_alone(trailing: Simulation, scope: dict[str, Any], left: set[str]) -> None:
    for ticker in (TICKER, OTHER):
        rest(trailing, 7, ticker)
    trailing.clock.advance(1)
    outcome = kill(trailing, **scope)
    assert outcome.remaining == 0
    assert outcome.canceled == 14 - 7 * len(left)
    assert {t for t in (TICKER, OTHER) if trailing.exchange.resting("alice", t)} == left


def test_an_order_belongs_to_the_event_that_the_exchange_says_whatever_its_ticker(sim: Simulation) -> None:
    odd, alike = "KXODD-T1", "KXSIM-26JUN-X-T1"
    for ticker, event in ((odd, "KXSIM-26JUN"), (alike, "KXSIM-26JUL")):
        spec = MarketSpec(
            ticker=ticker, event_ticker=event, title="Above 9?", open_time=T0, close_time=Ts(T0 + DAY_MS)
        )  # fmt: skip
        sim.exchange.list_market(spec, T0)
    sim.exchange.advance(T0)
    for ticker in (TICKER, odd, alike):
        rest(sim, 2, ticker)
    outcome = kill(sim, event="KXSIM-26JUN")
    assert (outcome.canceled, outcome.is_clean) == (4, True)
    assert [len(sim.exchange.resting("alice", ticker)) for ticker in (TICKER, odd, alike)] == [0, 0, 2]


def test_while_the_exchange_is_paused_what_remains_is_told_within_the_deadline(sim: Simulation) -> None:
    rest(sim, 3)
    sim.exchange.pause("exchange", sim.clock.now())
    outcome = kill(sim, deadline_s=5.0)
    assert (outcome.canceled, outcome.remaining) == (0, 3)
    assert len(outcome.remaining_orders) == 3
    assert 5 <= outcome.seconds <= 6
    assert "Found 3 resting orders" in sim.said


def test_a_pause_of_trading_does_not_stop_a_cancel(sim: Simulation) -> None:
    rest(sim, 3)
    sim.exchange.pause("trading", sim.clock.now())
    assert kill(sim).remaining == 0


def test_a_pause_that_ends_in_time_is_outlasted(sim: Simulation) -> None:
    rest(sim, 3)
    sim.exchange.pause("exchange", sim.clock.now())

    def before(_request: httpx.Request) -> None:
        if sim.clock.monotonic() > 2:
            sim.exchange.resume(sim.clock.now())

    sim.wire.before = before
    outcome = kill(sim)
    assert (outcome.canceled, outcome.remaining) == (3, 0)
    assert sum("paused" in line for line in sim.said) == 1


@pytest.mark.parametrize("scope", [{}, {"ticker": "KXSIM*"}])
@pytest.mark.parametrize(("method", "after"), [("DELETE", 0), ("DELETE", 2), ("GET", 1), ("GET", 3)])
def test_server_errors_in_the_middle_are_gone_through(
    sim: Simulation, method: str, after: int, scope: dict[str, Any]
) -> None:
    rest(sim, 6)
    sim.wire.before = fail(method, 500, 6, after=after)
    assert kill(sim, **scope).remaining == 0
    assert sim.exchange.resting("alice") == []


def test_a_cancel_of_all_that_does_nothing_is_followed_by_single_ones(sim: Simulation) -> None:
    rest(sim, 4)

    def swallow(request: httpx.Request) -> httpx.Response | None:
        is_all = request.method == "DELETE" and request.url.path.endswith("/orders")
        return httpx.Response(200, content=b"{}") if is_all else None

    sim.wire.before = swallow
    assert kill(sim).remaining == 0
    assert sim.exchange.resting("alice") == []


def test_a_program_that_keeps_placing_is_outrun_or_told(sim: Simulation) -> None:
    rest(sim, 2)

    def place_again(request: httpx.Request) -> None:
        if request.method == "DELETE":
            rest(sim, 1)

    sim.wire.after = place_again
    outcome = kill(sim, deadline_s=3.0)
    assert outcome.remaining >= 1
    assert outcome.remaining == len(sim.exchange.resting("alice"))


def test_without_any_list_it_cancels_and_claims_nothing(sim: Simulation) -> None:
    rest(sim, 2)
    sim.wire.before = fail("GET", 503, 1_000)
    outcome = kill(sim, deadline_s=30.0)
    assert not outcome.is_verified
    assert sim.exchange.resting("alice") == []


def test_an_exchange_that_answers_nothing_leaves_it_unverified(sim: Simulation) -> None:
    """Not "unreachable, nothing outstanding": orders may rest."""
    sim.wire.before = lambda _: httpx.Response(503)
    assert not kill(sim, deadline_s=20.0).is_verified


def test_a_key_that_may_not_cancel_ends_it_at_once(sim: Simulation) -> None:
    rest(sim, 1)
    sim.wire.before = fail("DELETE", 403, 100, code="forbidden")
    with pytest.raises(OutcomeUnknownError, match="This key cannot cancel, and 1 order may be live"):
        kill(sim)


# -- groups, shards, subaccounts ------------------------------------------------------------------------------------


@pytest.fixture
def sharded(tmp_path: Path) -> Iterator[Simulation]:
    """Two shards; alice's orders in the market of shard 1 are in a group there."""
    made = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, shards=2))
    spec = MarketSpec(
        ticker=FAR, event_ticker="KXSIM-26JUN", title="Above 9?", open_time=T0, close_time=Ts(T0 + DAY_MS),
        exchange_index=1,
    )  # fmt: skip
    made.exchange.list_market(spec, T0)
    made.exchange.advance(T0)
    made.exchange.deposit("alice", dollars(100), exchange_index=1)
    yield made
    made.close()


FAR = "KXSIM-26JUN-T9"


def in_group(sim: Simulation, limit: int = 50) -> tuple[str, str]:
    """A group on shard 1, and an order in it."""
    group = sim.client.create_order_group(contracts(limit), exchange_index=1).group_id
    order = NewOrder(ticker=FAR, side=BID, price=cents(30), qty=contracts(2), group_id=group)
    receipt = sim.exchange.submit("alice", order, sim.clock.now())
    assert isinstance(receipt, OrderReceipt), receipt
    return group, receipt.order_id


def with_groups(sim: Simulation, deadline_s: float = 60.0) -> KillSwitchResult:
    return KillSwitch(sim.client, sim.clock, CancelScope(), tell=sim.said.append).run(deadline_s, ())


def paths(sim: Simulation, method: str) -> list[str]:
    return [path.removeprefix("/trade-api/v2/portfolio/") for verb, path in sim.wire.sent if verb == method]


def test_a_group_with_orders_is_triggered_before_all_is_cancelled_and_the_others_after(sharded: Simulation) -> None:
    (used, _), (empty, _) = in_group(sharded), in_group(sharded)
    sharded.exchange.cancel_all("alice", sharded.clock.now())
    in_group(sharded)
    rest(sharded, 2)
    assert with_groups(sharded).is_clean
    first = [verb for verb, path in sharded.wire.sent if verb in ("PUT", "DELETE")]
    assert first == ["PUT", "DELETE", "PUT", "PUT"], "the one with an order in it, then all orders, then the others"
    assert {path.split("/")[1] for path in paths(sharded, "PUT")} >= {used, empty}
    again = NewOrder(ticker=FAR, side=BID, price=cents(30), qty=contracts(1), group_id=used)
    assert not isinstance(sharded.exchange.submit("alice", again, sharded.clock.now()), OrderReceipt)
    (said,) = [text for text in sharded.said if "kalshi order group reset ID" in text]
    assert said.startswith("3 order groups triggered")
    assert short_ids([used])[0] in said
    assert used not in said


def test_without_being_asked_no_group_is_triggered(sharded: Simulation) -> None:
    in_group(sharded)
    assert kill(sharded).is_clean
    assert paths(sharded, "PUT") == []


@pytest.mark.parametrize("path", ["/order_groups", "/trigger"])
def test_trouble_with_groups_holds_up_no_cancel(sharded: Simulation, path: str) -> None:
    in_group(sharded)
    sharded.wire.before = lambda request: httpx.Response(500) if request.url.path.endswith(path) else None
    assert with_groups(sharded).is_clean
    assert sharded.exchange.resting("alice") == []
    assert any("500" in line for line in sharded.said)


def test_many_groups_do_not_hold_up_the_cancel_of_everything(tmp_path: Path) -> None:
    """At the pace of the slowest tier ten groups are triggered a second; after ten seconds the rest must wait."""
    sim = Simulation(tmp_path, options=ExchangeOptions(write_rate=0))
    for _ in range(150):
        sim.client.create_order_group(contracts(5))
    rest(sim, 1)
    sim.clock.advance(1)
    assert with_groups(sim).is_clean
    assert any("Not triggered, out of time: " in line for line in sim.said), sim.said
    sim.close()


def test_a_group_of_a_subaccount_is_known_by_its_orders(sharded: Simulation) -> None:
    """The list of groups does not say whose they are."""
    number = sharded.exchange.add_subaccount("alice")
    assert number is not None
    sharded.exchange.deposit("alice", dollars(10), subaccount=number)
    group = sharded.client.create_order_group(contracts(5), subaccount=number).group_id
    order = NewOrder(ticker=TICKER, side=BID, price=cents(30), qty=contracts(2), group_id=group, subaccount=number)
    assert isinstance(sharded.exchange.submit("alice", order, sharded.clock.now()), OrderReceipt)
    assert with_groups(sharded).is_clean
    assert not isinstance(sharded.exchange.submit("alice", order, sharded.clock.now()), OrderReceipt)


def test_the_sweep_finds_orders_of_every_shard_and_subaccount(sharded: Simulation) -> None:
    """The cancel of everything does nothing here: what is left goes in batches, each order named with its place."""
    number = sharded.exchange.add_subaccount("alice")
    assert number is not None
    sharded.exchange.deposit("alice", dollars(10), subaccount=number)
    order = NewOrder(ticker=TICKER, side=BID, price=cents(30), qty=contracts(2), subaccount=number)
    assert isinstance(sharded.exchange.submit("alice", order, sharded.clock.now()), OrderReceipt)
    rest(sharded, 3)
    in_group(sharded)

    def swallow(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(204) if request.method == "DELETE" and request.url.path.endswith("/orders") else None

    sharded.wire.before = swallow
    assert kill(sharded).is_clean
    assert sharded.exchange.resting("alice") == []
    assert [path for path in paths(sharded, "DELETE") if not path.endswith("/orders")] == ["events/orders/batched"]


def test_an_order_of_another_shard_is_cancelled_by_its_id(sharded: Simulation) -> None:
    _, order_id = in_group(sharded)
    assert [one.canceled for one in cancel_orders(sharded.client, [order_id])] == [True]


# -- by id ----------------------------------------------------------------------------------------------------------


def test_each_id_is_answered_for(sim: Simulation) -> None:
    first, second = rest(sim, 2)
    sim.exchange.cancel("alice", second, sim.clock.now())
    found = cancel_orders(sim.client, [first, "00000000-0000-4000-8000-00000000dead", second])
    assert [(one.canceled, one.is_missing, one.is_unknown) for one in found] == [
        (True, False, False),
        (False, True, False),
        (False, True, False),
    ]
    assert sim.exchange.resting("alice") == []


def test_a_cancel_without_an_answer_is_unknown_and_the_next_is_tried(sim: Simulation) -> None:
    first, second = rest(sim, 2)
    sim.wire.before = fail("DELETE", 500, 3)
    assert [(one.canceled, one.is_unknown) for one in cancel_orders(sim.client, [first, second])] == [
        (False, True),
        (True, False),
    ]


def unanswered(act: Callable[[], object]) -> Any:
    """Cancels are acted upon so, and answered with an error."""

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.method != "DELETE":
            return None
        act()
        return httpx.Response(500, json={"error": {"code": "internal", "message": "oops"}})

    return before


def test_the_order_is_read_once_more_after_a_cancel_without_an_answer(sim: Simulation) -> None:
    canceled, filled, resting = rest(sim, 3)
    sim.wire.before = unanswered(lambda: sim.exchange.cancel("alice", canceled, sim.clock.now()))
    (found,) = cancel_orders(sim.client, [canceled])
    assert (found.canceled, found.is_unknown) == (True, False)
    assert found.order is not None
    assert found.order.status is OrderStatus.CANCELED
    assert failure([found]) is None
    sim.wire.before = unanswered(lambda: sim.quote(ASK, 21, 1, who="maker"))
    (found,) = cancel_orders(sim.client, [filled])
    assert (found.canceled, found.is_unknown, found.code) == (False, False, "already_filled")
    sim.wire.before = unanswered(lambda: None)
    (found,) = cancel_orders(sim.client, [resting])
    assert found.is_unknown
    assert found.detail.endswith("; the last read still shows it resting")
    error = failure([found])
    assert error is not None
    assert error.exit_code is ExitCode.UNKNOWN_OUTCOME


def test_a_cancel_without_an_answer_stays_unknown_if_the_order_cannot_be_read_again(sim: Simulation) -> None:
    (order_id,) = rest(sim, 1)
    is_asked: list[bool] = []

    def before(request: httpx.Request) -> httpx.Response | None:
        is_asked.extend([True] if request.method == "DELETE" else [])
        return httpx.Response(500, json={"error": {"code": "internal", "message": "oops"}}) if is_asked else None

    sim.wire.before = before
    began = sim.clock.monotonic()
    (found,) = cancel_orders(sim.client, [order_id])
    assert (found.canceled, found.is_unknown) == (False, True)
    assert "last read" not in found.detail
    assert sim.clock.monotonic() - began < 30


def test_an_exchange_that_cannot_be_read_or_is_paused_does_not_hide_the_others(sim: Simulation) -> None:
    first, second = rest(sim, 2)
    sim.wire.before = fail("GET", 500, 4)
    found = cancel_orders(sim.client, [first, second])
    assert [one.canceled for one in found] == [False, True]
    sim.exchange.pause("exchange", sim.clock.now())
    (paused,) = cancel_orders(sim.client, [first])
    assert (paused.canceled, paused.is_unknown, "paused" in paused.detail) == (False, False, True), paused


def test_a_key_that_may_not_cancel_stops_a_list_of_ids(sim: Simulation) -> None:
    sim.wire.before = fail("DELETE", 403, 100, code="forbidden")
    with pytest.raises(CredentialsError):
        cancel_orders(sim.client, rest(sim, 1))


def test_the_maker_of_these_tests_is_not_alice(sim: Simulation) -> None:
    order = NewOrder(ticker=TICKER, side=BID, price=cents(5), qty=contracts(1))
    sim.exchange.submit("maker", order, sim.clock.now())
    assert kill(sim).canceled == 0


def on_its_way(sim: Simulation) -> Order:
    """One that another program sends at this moment."""
    desk = sim.desk()
    _, proposal = desk.propose(ticket())
    return proposal.submit.order


def test_only_orders_without_an_answer_are_on_their_way(sim: Simulation) -> None:
    sent = on_its_way(sim)
    assert in_flight_orders([sim.place(), sent]) == [sent]


def test_an_id_names_an_order_exactly_before_it_is_a_prefix() -> None:
    def order(order_id: str, client_order_id: str = "") -> Order:
        return Order(
            client_order_id=client_order_id, order_id=order_id, ticker="T", side=BID, price=Price(4_100),
            qty=contracts(1), status=OrderStatus.RESTING, created=Ts(0), updated=Ts(0),
        )  # fmt: skip

    first, second, named = order("abcdef-1"), order("abcdef-2"), order("xyz", "abcdef")
    assert match_id("abcdef", [first, second]) == [first, second]
    assert match_id("abcdef", [first, second, named]) == [named]
    assert match_id("abcdef-1", [first, first, second]) == [first]
    assert match_id("abcde", [first]) == [], "shorter than six characters"
    assert match_id("", [order("a"), order("b")]) == []


def end_of(sim: Simulation, order_id: str) -> str:
    return ending(sim.client, order_row(sim.client.order(order_id)))


def test_a_cancel_in_a_closed_market_says_that_the_exchange_removes_the_order(sim: Simulation) -> None:
    (mine,) = rest(sim, 1)
    sim.clock.advance(DAY_MS / 1000 + 1)

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.method != "DELETE":
            return None
        return httpx.Response(400, content=b'{"error": {"code": "market_inactive", "message": "market inactive"}}')

    sim.wire.before = refuse
    found = sim.client.order(mine)
    error = failure(cancel_orders(sim.client, [mine]))
    assert error is not None
    assert found.status is OrderStatus.RESTING, "the exchange has not removed it yet"
    assert f"{TICKER} has closed: order {mine[:8]} cannot fill any more, and the exchange removes it" in error.message
    assert error.code == "market_inactive"


def test_the_reason_of_an_end_is_told_where_its_time_proves_it(sim: Simulation) -> None:
    by_user, closed = rest(sim, 2)
    sim.client.cancel_order(sim.client.order(by_user))
    assert end_of(sim, by_user) == ""
    order = NewOrder(ticker=TICKER, side=BID, price=cents(10), qty=contracts(1), expires=Ts(sim.clock.now() + 1_000))
    receipt = sim.exchange.submit("alice", order, sim.clock.now())
    assert isinstance(receipt, OrderReceipt)
    sim.clock.advance(2)
    sim.exchange.advance(sim.clock.now())
    assert end_of(sim, receipt.order_id) == "expired"
    assert end_of(sim, closed) == "", "it rests"
    sim.clock.advance(DAY_MS / 1000 + 60)
    sim.exchange.advance(sim.clock.now())
    assert end_of(sim, closed) == "by the exchange: the market closed"
    assert end_of(sim, by_user) == "", "it was canceled before"
