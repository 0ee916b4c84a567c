"""The order groups of a run: made at the start, taken up after a crash, and what follows when one is triggered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.simulation import DAY_MS, T0, TICKER, Simulation
from support.trading import TradingSession

from kalshi_cli.base.errors import KalshiError, UnreachableError
from kalshi_cli.base.units import Qty, Ts, contracts
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import GroupChange, Message, StateCommand
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.trading.run_order_groups import RunOrderGroups
from kalshi_cli.simulator.model.listing import ExchangeOptions, MarketSpec
from kalshi_cli.store.records import RunGroup

FAR = "KXSIM-26JUN-T9"
FIFTY = contracts(50)


@pytest.fixture
def sharded(tmp_path: Path) -> Iterator[Simulation]:
    """A market on each of two shards."""
    made = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, shards=2))
    spec = MarketSpec(
        ticker=FAR, event_ticker="KXSIM-26JUN", title="Above 9?", open_time=T0, close_time=Ts(T0 + DAY_MS),
        exchange_index=1,
    )  # fmt: skip
    made.exchange.list_market(spec, T0)
    made.exchange.advance(T0)
    yield made
    made.close()


def groups_of(sim: Simulation, state: EngineState | None = None, limit: Qty | None = FIFTY) -> RunOrderGroups:
    return RunOrderGroups(sim.client, sim.store, state or EngineState(now=T0), limit, sim.said.append)


def markets(sim: Simulation, *tickers: str) -> list[Market]:
    return [sim.client.market(ticker) for ticker in tickers]


def at_exchange(sim: Simulation) -> set[str]:
    return {group.group_id for group in sim.client.order_groups()}


# -- made, taken up, deleted ------------------------------------------------------------------------------------------


def test_a_start_makes_one_group_for_each_shard_that_it_trades(sharded: Simulation) -> None:
    state = EngineState(now=T0)
    groups_of(sharded, state).open(markets(sharded, TICKER, FAR, TICKER))
    assert sorted(state.groups) == [0, 1]
    found = {group.group_id: (group.exchange_index, group.limit) for group in sharded.client.order_groups()}
    assert found == {state.groups[0]: (0, contracts(50)), state.groups[1]: (1, contracts(50))}


def test_a_start_after_a_crash_takes_the_groups_up_again(sharded: Simulation) -> None:
    before, after = EngineState(now=T0), EngineState(now=T0)
    groups_of(sharded, before).open(markets(sharded, TICKER, FAR))
    groups_of(sharded, after, contracts(20)).open(markets(sharded, TICKER, FAR))
    assert after.groups == before.groups
    assert {group.limit for group in sharded.client.order_groups()} == {contracts(20)}


def test_a_group_that_somebody_deleted_meanwhile_is_made_anew(sim: Simulation) -> None:
    before, after = EngineState(now=T0), EngineState(now=T0)
    groups_of(sim, before).open(markets(sim, TICKER))
    sim.client.delete_order_group(OrderGroup(group_id=before.groups[0]))
    groups_of(sim, after).open(markets(sim, TICKER))
    assert at_exchange(sim) == {after.groups[0]} != {before.groups[0]}
    assert [group.group_id for group in sim.store.groups()] == [after.groups[0]]


def test_a_market_found_later_on_another_shard_gets_its_group_first(sharded: Simulation) -> None:
    state = EngineState(now=T0)
    groups = groups_of(sharded, state)
    groups.open(markets(sharded, TICKER))
    found = markets(sharded, TICKER, FAR)
    sharded.wire.before = lambda request: httpx.Response(503) if request.url.path.endswith("/create") else None
    assert [market.ticker for market in groups.admit(found)] == [TICKER]
    assert any("shard 1" in line for line in sharded.said)
    sharded.wire.before = lambda _: None
    assert [market.ticker for market in groups.admit(found)] == [TICKER, FAR]
    assert sorted(state.groups) == [0, 1]


def test_without_a_limit_no_group_is_made(sim: Simulation) -> None:
    state = EngineState(now=T0)
    groups = groups_of(sim, state, None)
    assert groups.admit(markets(sim, TICKER)) != []
    groups.close([])
    assert (state.groups, at_exchange(sim)) == ({}, set())


def test_where_no_group_can_be_made_nothing_is_traded_and_it_is_told(sim: Simulation) -> None:
    sim.wire.before = lambda request: (_ for _ in ()).throw(httpx.ConnectError("down"))
    with pytest.raises(UnreachableError):
        groups_of(sim).open([virtual_market(sim)])
    assert any("trade.group_limit: null" in line for line in sim.said)


def virtual_market(sim: Simulation) -> Market:
    before, sim.wire.before = sim.wire.before, lambda _: None
    market = sim.client.market(TICKER)
    sim.wire.before = before
    return market


@pytest.mark.parametrize("status", [404, 410])
def test_an_exchange_without_order_groups_is_traded_without_and_asked_once(sim: Simulation, status: int) -> None:
    state, groups = EngineState(now=T0), None
    groups = groups_of(sim, state)
    body = b'{"error": {"code": "gone", "message": "gone"}}'
    sim.wire.before = lambda r: httpx.Response(status, content=body) if r.url.path.endswith("/create") else None
    groups.open(markets(sim, TICKER))
    groups.open(markets(sim, TICKER))
    assert (state.groups, sim.wire.posts()) == ({}, 1)


def test_an_orderly_stop_leaves_no_group_behind(sharded: Simulation) -> None:
    groups = groups_of(sharded)
    groups.open(markets(sharded, TICKER, FAR))
    groups.close([])
    assert (at_exchange(sharded), sharded.store.groups()) == (set(), ())


def test_no_group_is_deleted_while_an_order_of_the_run_may_be_live(sim: Simulation) -> None:
    run = TradingSession(sim)
    groups = groups_of(sim, run.engine.state)
    groups.open(markets(sim, TICKER))
    for message in run.ticks(1):
        for effect in run.engine.step(message):
            sim.store.record(effect)
            for reply in run.venue.perform(effect):
                run.engine.step(reply)
    assert [order.order_group_id for order in run.engine.state.orders.live()] == [run.engine.state.groups[0]]
    groups.close(run.engine.state.orders.live())
    assert at_exchange(sim) == {run.engine.state.groups[0]}


def test_a_group_that_cannot_be_deleted_is_left_to_the_next_start(sim: Simulation) -> None:
    state = EngineState(now=T0)
    groups = groups_of(sim, state)
    groups.open(markets(sim, TICKER))
    group_id = state.groups[0]
    sim.wire.before = lambda _: httpx.Response(503)
    groups.close([])
    assert [group.group_id for group in sim.store.groups()] == [group_id]
    assert any(group_id in line and "next start" in line for line in sim.said)


# -- triggered, in the loop -------------------------------------------------------------------------------------------


def grouped(sim: Simulation) -> tuple[TradingSession, RunOrderGroups]:
    run = TradingSession(sim)
    groups = groups_of(sim, run.engine.state)
    groups.open(markets(sim, TICKER))
    return run, groups


def test_every_order_of_the_loop_is_in_its_group(sim: Simulation) -> None:
    run, groups = grouped(sim)
    group_id = run.engine.state.groups[0]
    run.over(run.ticks(3))
    orders = sim.store.orders()
    assert [order.order_group_id for order in orders] == [group_id]
    groups.close(run.engine.state.orders.live())
    assert at_exchange(sim) == set()


def trip(sim: Simulation, run: TradingSession, *, is_told: bool) -> Iterator[Message]:
    """The group is triggered at the third look, by somebody; the stream tells of it, or nobody does."""
    group_id = run.engine.state.groups[0]
    for n, message in enumerate(run.ticks(12)):
        if n == 4:
            sim.client.trigger_order_group(OrderGroup(group_id=group_id))
            if is_told:
                yield GroupChange(sim.clock.now(), group_id, "triggered")
        yield message


@pytest.mark.parametrize("is_told", [True, False])
def test_after_a_trigger_the_loop_quotes_no_more_and_says_so(sim: Simulation, is_told: bool) -> None:
    run, groups = grouped(sim)
    group_id = run.engine.state.groups[0]
    run.over(trip(sim, run, is_told=is_told))
    assert sim.exchange.resting("alice") == []
    creates = [path for verb, path in sim.wire.sent if verb == "POST" and path.endswith("/events/orders")]
    assert len(creates) == (1 if is_told else 2), "without the stream one refusal tells of it"
    assert run.engine.tally.denied.get("GROUP_TRIGGERED", 0) > 2
    [alert] = [alert for alert in sim.store.alerts() if alert.code == "GROUP_TRIGGERED"]
    assert alert.subject == group_id
    assert {order.status for order in sim.store.orders()} <= {OrderStatus.CANCELED, OrderStatus.REJECTED}
    groups.close(run.engine.state.orders.live())
    assert at_exchange(sim) == {group_id}, "a stop must not undo what only a person may"


def test_with_the_stream_the_reason_of_the_cancel_is_kept(sim: Simulation) -> None:
    run, _ = grouped(sim)
    run.over(trip(sim, run, is_told=True))
    [order] = sim.store.orders()
    assert (order.status, order.code) == (OrderStatus.CANCELED, "GROUP_TRIGGERED")


def test_a_restart_does_not_undo_a_trigger_and_a_reset_does(sim: Simulation) -> None:
    run, groups = grouped(sim)
    group_id = run.engine.state.groups[0]
    run.over(trip(sim, run, is_told=True))
    groups.close(run.engine.state.orders.live())
    sim.said.clear()
    again, _ = grouped(sim)
    assert again.engine.state.groups == {0: group_id}
    assert any(group_id[:8] in line and "kalshi resume --reason TEXT --reset-groups" in line for line in sim.said)
    posts = sim.wire.posts()
    again.over(again.ticks(3))
    assert sim.wire.posts() == posts

    sim.client.reset_order_group(OrderGroup(group_id=group_id))
    sim.store.save_order_group(RunGroup(group_id, 0))  # as `kalshi order group reset` does
    third, _ = grouped(sim)
    third.over(third.ticks(3))
    assert sim.wire.posts() == posts + 1


def test_a_group_of_the_run_that_is_deleted_under_it_stops_it_quoting(sim: Simulation) -> None:
    run, _ = grouped(sim)
    group_id = run.engine.state.groups[0]

    def feed() -> Iterator[Message]:
        for n, message in enumerate(run.ticks(8)):
            if n == 4:
                sim.client.delete_order_group(OrderGroup(group_id=group_id))
                yield GroupChange(sim.clock.now(), group_id, "deleted")
            yield message
        yield StateCommand(sim.clock.now(), None, "SIGTERM")

    run.over(feed())
    creates = [path for verb, path in sim.wire.sent if verb == "POST" and path.endswith("/events/orders")]
    assert len(creates) == 1
    with pytest.raises(KalshiError):
        sim.client.order_group(group_id)
