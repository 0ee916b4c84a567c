"""A run of the loop that is halted, paused, stopped with orders in doubt, or interrupted twice."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import msgspec
import pytest
from support.simulation import TICKER, Simulation
from support.trading import Many, TradingSession

from kalshi_cli.base.errors import HaltedError, OutcomeUnknownError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised, StateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import FeedGap, Message, StateCommand, Tick
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.trading.halts import refuse_to_start
from kalshi_cli.services.trading.session import ReportingRecorder
from kalshi_cli.store.pause import pause, remove_pause_file
from kalshi_cli.store.records import Halt
from kalshi_cli.strategies.base import StrategyParams
from kalshi_cli.views.formats import short_ids


def paused(sim: Simulation, reason: str = "lunch") -> None:
    pause(sim.path.parent, reason)


def test_a_run_that_starts_into_a_pause_waits_for_its_end(sim: Simulation) -> None:
    paused(sim)
    run = TradingSession(sim)
    orders: list[int] = []

    def resume(n: int) -> None:
        orders.append(sim.wire.posts())
        if n == 3:
            remove_pause_file(sim.path.parent)

    summary = run.over(run.ticks(6, resume))
    assert sim.said[:2] == [
        "TRADING IS PAUSED: lunch. No new orders until `kalshi resume --reason TEXT`", "TRADING IS ACTIVE",
    ]  # fmt: skip
    assert (orders[:4], summary.orders, summary.cycles) == ([0, 0, 0, 0], 1, 6)
    assert (summary.halt, summary.is_paused) == ("", False)
    refuse_to_start(sim.store)


def test_a_pause_takes_own_orders_back_within_one_interval_and_the_heart_beats_on(sim: Simulation) -> None:
    run = TradingSession(sim)
    seen: list[tuple[int, int]] = []

    def look(n: int) -> None:
        cycle = sim.store.last_cycle()
        seen.append((len(sim.exchange.resting("alice")), cycle.cycles if cycle else 0))
        if n == 2:
            paused(sim)

    summary = run.over(run.ticks(6, look))
    assert seen == [(0, 0), (1, 1), (1, 2), (0, 3), (0, 4), (0, 5)]
    assert (summary.halt, summary.is_paused, summary.stopped_by) == ("", True, "halt")


def test_a_halt_behind_a_pause_is_told_and_is_what_remains(sim: Simulation) -> None:
    run = TradingSession(sim)

    def tighten(n: int) -> None:
        if n == 1:
            paused(sim)
        if n == 3:
            sim.store.set_halt(Halt(TradingState.HALTED, "DAILY_LOSS", "lost 100", sim.clock.now()))
        if n == 5:
            remove_pause_file(sim.path.parent)

    summary = run.over(run.ticks(8, tighten))
    assert [line for line in sim.said if line.startswith("TRADING")] == [
        "TRADING IS PAUSED: lunch. No new orders until `kalshi resume --reason TEXT`",
        "TRADING IS HALTED: DAILY_LOSS lost 100",
    ]
    assert (summary.halt, summary.is_paused) == ("DAILY_LOSS", False)
    with pytest.raises(HaltedError, match="DAILY_LOSS"):
        refuse_to_start(sim.store)


def test_a_halt_that_came_after_the_last_tick_is_in_the_summary_too(sim: Simulation) -> None:
    run = TradingSession(sim)

    def feed() -> Iterator[Message]:
        yield from run.ticks(2)
        sim.store.set_halt(Halt(TradingState.HALTED, "MANUAL", "a person", sim.clock.now()))

    assert run.over(feed()).halt == "MANUAL"


def test_a_stop_looks_for_an_order_in_doubt_at_once_and_cancels_it(sim: Simulation) -> None:
    """Its reply was lost, and the reads of the account after that: the next one is not due for seconds."""
    run = TradingSession(sim, stop_budget_s=1.0)

    def lose(request: httpx.Request) -> None:
        raise httpx.ReadError("lost", request=request)

    def meddle(n: int) -> None:
        sim.wire.after = lose if n < 5 else lambda _: None
        if n == 5:
            run.asked.append(StateCommand(sim.clock.now(), None, "SIGTERM"))

    run.venue = LiveVenue(sim.client, None, sim.clock, live=run.engine.state.orders.live, since=Ts(0))

    def feed() -> Iterator[Message]:
        book = sim.client.orderbook(TICKER)
        for n in range(6):
            sim.clock.advance(2)
            meddle(n)
            if n < 5:
                yield msgspec.structs.replace(book, ts=sim.clock.now())
                yield Tick(sim.clock.now())
        yield run.asked.pop()

    summary = run.over(feed())
    assert summary.stopped_by == "SIGTERM"
    assert (summary.orders, summary.live_orders) == (1, 0)
    assert sim.exchange.resting("alice") == []
    assert run.noted[0] == "Stopping: canceling 1 own order, for up to 1 s"


def test_what_may_be_live_at_the_end_is_said_with_the_next_command(sim: Simulation) -> None:
    run = TradingSession(sim, stop_budget_s=1.0)

    def never_answered(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            raise httpx.ReadTimeout("lost on the way", request=request)
        return None

    sim.wire.before = never_answered
    summary = run.over(run.ticks(1))
    (order,) = run.engine.state.orders.live()
    assert summary.live_orders == 1
    assert f"MAY BE LIVE buy 10 YES {TICKER} at $0.40: client order id {order.client_order_id}" in sim.said
    assert "kalshi order reconcile" in sim.said[-1]


def test_a_second_interrupt_ends_it_at_once_with_a_list_of_what_is_live(sim: Simulation) -> None:
    run = TradingSession(sim, Many(StrategyParams()))

    def feed() -> Iterator[Message]:
        yield from run.ticks(2)
        raise KeyboardInterrupt

    with pytest.raises(OutcomeUnknownError, match="may still be live: 12") as caught:
        run.over(feed())
    assert caught.value.exit_code == 7
    resting = {order_id for order_id, *_ in sim.exchange.resting("alice")}
    assert len(resting) == 12, "nothing was canceled"
    told = [line.split(": order ")[1] for line in sim.said[:-1] if line.startswith("STILL LIVE buy ")]
    assert sorted(told) == sorted(short_ids(list(resting))) != sorted(resting)
    assert sim.said[-1].startswith("next: `kalshi cancel-all`")
    cycle = sim.store.last_cycle()
    assert cycle is not None
    assert cycle.is_running is False


def test_a_second_interrupt_with_nothing_live_says_so_and_is_one(sim: Simulation) -> None:
    run = TradingSession(sim, Many(StrategyParams()))

    def feed() -> Iterator[Message]:
        yield Tick(sim.clock.now())
        raise KeyboardInterrupt

    sim.store.set_halt(Halt(TradingState.HALTED, "MANUAL", "nothing is placed", sim.clock.now()))
    run.engine.state.trading = TradingState.HALTED
    with pytest.raises(KeyboardInterrupt):
        run.over(feed())
    assert sim.said[-1] == "No order of this run is live"


def test_a_guard_that_stops_trading_is_told_once(sim: Simulation) -> None:
    """It changes the state and alerts, in the same words."""
    said: list[str] = []
    reported = ReportingRecorder(sim.store, TradingSession(sim).engine, said.append, said.append)
    now = sim.clock.now()
    reported.record(StateChanged(now, TradingState.REDUCING, "DAILY_LOSS", "lost $25.10 today"))
    reported.record(AlertRaised(now, "critical", "DAILY_LOSS", "account", "lost $25.10 today"))
    assert said == ["TRADING IS REDUCE-ONLY: DAILY_LOSS lost $25.10 today"]
    reported.record(AlertRaised(now, "critical", "BLIND", "account", "cannot be read"))
    assert said[1:] == ["CRITICAL BLIND account: cannot be read"], "what no change of state said is told"
    assert [alert.code for alert in sim.store.alerts()] == ["BLIND", "DAILY_LOSS"], "both are kept"


def test_no_heartbeat_while_the_account_cannot_be_read(sim: Simulation) -> None:
    run = TradingSession(sim)
    beats: list[int] = []

    def dead(request: httpx.Request) -> httpx.Response | None:
        if "/portfolio/" in request.url.path:
            raise httpx.ConnectError("no route", request=request)
        return None

    def look(n: int) -> None:
        sim.wire.before = dead if 2 <= n < 20 else lambda _: None
        cycle = sim.store.last_cycle()
        beats.append(cycle.cycles if cycle else 0)

    run.over(run.ticks(40, look))
    assert beats[:3] == [0, 1, 2]
    assert beats[12] == beats[19], "blind for fifteen seconds and more"
    assert beats[39] == 39, "and seeing again"


def test_after_a_gap_in_everything_the_account_is_read_before_anybody_is_asked(sim: Simulation) -> None:
    """A suspended process: what filled or was canceled meanwhile no message will tell."""
    run = TradingSession(sim)
    run.venue = LiveVenue(sim.client, None, sim.clock, live=run.engine.state.orders.live, since=Ts(0))
    reads: list[int] = []

    def feed() -> Iterator[Message]:
        for gap in (("one", (TICKER,)), ("all", ())):
            yield Tick(sim.clock.now())
            before = len(sim.wire.sent)
            yield FeedGap(sim.clock.now(), gap[1], gap[0])
            reads.append(sum(path.endswith("/portfolio/positions") for _, path in sim.wire.sent[before:]))

    run.over(feed())
    assert reads == [0, 1]
