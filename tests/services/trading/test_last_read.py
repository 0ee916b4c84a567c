"""A graceful stop reads the account once: what traded before it is booked, or the user is told that it may not be."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from support.simulation import TICKER, Simulation
from support.trading import TradingSession

from kalshi_cli.core.model.messages import Message, StateCommand, Tick
from kalshi_cli.core.model.order_terms import ASK, BID

NOT_IN_FILE = "; to book them now, run `kalshi order reconcile`"


def suspended(run: TradingSession, sim: Simulation) -> Iterator[Message]:
    """Feed a run that sleeps until after its stop was requested; its order trades meanwhile."""
    yield from run.ticks(2)
    sim.take(ASK, 40, 10)
    sim.clock.advance(50)
    yield StateCommand(sim.clock.now(), None, "SIGTERM")


def booked(sim: Simulation) -> int:
    return sum(fill.qty for fill in sim.store.fills())


def test_fills_of_a_suspended_loop_are_booked_when_it_ends(sim: Simulation) -> None:
    run = TradingSession(sim)
    summary = run.over(suspended(run, sim))
    assert (summary.fills, booked(sim), sim.said) == (1, 1_000, [])
    assert [line for line in run.noted if line.startswith(f"Open position: 10 YES {TICKER}")]


def test_a_loop_without_live_orders_reads_the_account_when_it_ends(sim: Simulation) -> None:
    """Only a manual order traded while the loop did not run: nothing is left to cancel."""
    sim.quote(BID, 41, 3, who="alice")
    run = TradingSession(sim)

    def feed() -> Iterator[Message]:
        yield Tick(sim.clock.now())
        sim.take(ASK, 41, 3)
        sim.clock.advance(50)
        yield StateCommand(sim.clock.now(), None, "SIGTERM")

    run.over(feed())
    assert booked(sim) == 300
    assert not [line for line in sim.said if line.endswith(NOT_IN_FILE)]


def test_an_account_that_cannot_be_read_at_the_end_is_told(sim: Simulation) -> None:
    run = TradingSession(sim)

    def feed() -> Iterator[Message]:
        yield Tick(sim.clock.now())
        sim.wire.before = lambda request: httpx.Response(503, request=request)
        yield StateCommand(sim.clock.now(), None, "SIGTERM")

    run.over(feed())
    (line,) = [line for line in sim.said if line.endswith(NOT_IN_FILE)]
    assert line.startswith("The account was not read while stopping")


def test_an_order_whose_fills_are_missing_at_the_end_is_told(sim: Simulation) -> None:
    run = TradingSession(sim)

    def without_fills(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("/portfolio/fills"):
            return None
        return httpx.Response(200, json={"fills": [], "cursor": ""}, request=request)

    def feed() -> Iterator[Message]:
        yield from run.ticks(2)
        sim.wire.before = without_fills
        sim.take(ASK, 40, 10)
        yield StateCommand(sim.clock.now(), None, "SIGTERM")

    run.over(feed())
    assert booked(sim) == 0
    (line,) = [line for line in sim.said if line.endswith(NOT_IN_FILE)]
    assert line.startswith("Fills of 1 order are not in the state file yet")


def test_a_run_that_an_error_ended_reads_nothing_where_nothing_is_live(sim: Simulation) -> None:
    run = TradingSession(sim)
    reads: list[int] = []

    def feed() -> Iterator[Message]:
        yield Tick(sim.clock.now())
        reads.append(len(sim.wire.sent))
        raise LookupError("lost my way")

    with pytest.raises(LookupError):
        run.over(feed())
    assert reads == [len(sim.wire.sent)]
