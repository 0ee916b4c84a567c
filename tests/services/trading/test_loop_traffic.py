"""What a loop counts of its requests and gaps is in the state file, also while it cannot read the account."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from support.simulation import Simulation
from support.trading import TradingSession

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import FeedGap, Message
from kalshi_cli.core.monitoring.request_traffic import RequestMinute
from kalshi_cli.services.trading.reports.run_reporter import EventLog
from kalshi_cli.store.sqlite_store import MAX_MINUTES
from kalshi_cli.telemetry.request_counts import MOST_MINUTES, RequestCounters


def counted(sim: Simulation) -> list[RequestMinute]:
    return list(sim.store.traffic(Ts(0)))


def test_the_counts_of_each_minute_are_on_file_also_of_a_blind_loop(sim: Simulation) -> None:
    run = TradingSession(sim)
    run.journal = journal = EventLog(sim.clock)
    was_blind: list[int] = []

    def cut(request: httpx.Request) -> None:
        if "/portfolio/" in request.url.path and request.method == "GET":
            raise httpx.ConnectError("no route", request=request)

    def ask(n: int) -> None:
        if n == 3:
            sim.wire.before = cut
        journal.requested("GET", "/portfolio/balance", 0 if n >= 3 else 200, 0.25, b"")
        if run.engine.state.blind_since is not None:
            was_blind.append(sum(minute.failures for minute in counted(sim)))

    run.over(run.ticks(40, ask))
    minutes = counted(sim)
    assert sum(minute.requests for minute in minutes) == 40
    assert sum(minute.failures for minute in minutes) == 37
    assert {minute.p99_ms for minute in minutes} == {250}
    assert len(minutes) >= 2
    assert was_blind[-1] > was_blind[0], "it goes on writing while it is blind"


def test_gaps_of_the_stream_are_counted(sim: Simulation) -> None:
    run = TradingSession(sim)
    run.journal = EventLog(sim.clock)

    def feed() -> Iterator[Message]:
        yield from run.ticks(1)
        yield FeedGap(sim.clock.now(), (), "the stream was cut")
        yield from run.ticks(1)

    run.over(feed())
    assert sum(minute.gaps for minute in counted(sim)) == 1


def test_counts_of_one_minute_add_up_and_old_minutes_go(sim: Simulation) -> None:
    sim.store.add_traffic([RequestMinute(minute=5, requests=2, failures=1, gaps=1, p99_ms=30)])
    sim.store.add_traffic([RequestMinute(minute=5, requests=3, failures=1, p99_ms=None)])
    assert counted(sim) == [RequestMinute(minute=5, requests=5, failures=2, gaps=1, p99_ms=30)]
    sim.store.add_traffic([RequestMinute(minute=5 + MAX_MINUTES - 1, requests=1)])
    assert len(counted(sim)) == 2
    sim.store.add_traffic([RequestMinute(minute=5 + MAX_MINUTES, requests=1)])
    assert [minute.minute for minute in counted(sim)] == [4 + MAX_MINUTES, 5 + MAX_MINUTES]


def test_what_was_taken_is_not_counted_again_and_times_are_remembered_for_a_while(sim: Simulation) -> None:
    traffic = RequestCounters(sim.clock)
    assert (traffic.take(), traffic.p99_ms) == ([], None)
    traffic.requested(200, 0.040)
    assert [(minute.requests, minute.p99_ms) for minute in traffic.take()] == [(1, 40)]
    assert (traffic.take(), traffic.p99_ms) == ([], 40)
    sim.clock.advance(301)
    assert traffic.p99_ms is None


def test_nobody_who_takes_nothing_makes_it_grow(sim: Simulation) -> None:
    traffic = RequestCounters(sim.clock)
    for _ in range(MOST_MINUTES + 5):
        traffic.requested(200, 0.040)
        sim.clock.advance(60)
    assert traffic.requests == len(traffic.take()) == MOST_MINUTES
