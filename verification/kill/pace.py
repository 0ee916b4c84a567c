"""F06 and F41: three busy programs of one account against the simulator's real bucket, without a 429."""

from __future__ import annotations

import tempfile
from pathlib import Path

from support.simulation import Simulation, Wire

from kalshi_cli.base.errors import RateLimitedError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.call import Timeouts
from kalshi_cli.exchange.rest.rate_limits import NUMBERS, Priority, RateLimiter
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.store.shared_counters import SharedCounters
from verification.kill.exact import Counted
from verification.kill.result import Line

AT_ONCE = Timeouts(total=0.001)
"""A call that would have to wait for the pace is not made: somebody else may go first."""


def three_programs(seconds: float, *, is_shared: bool = True) -> tuple[int, list[int]]:
    """How often the exchange refused for pace, and how many reads each program got: the loop, and two others."""
    with tempfile.TemporaryDirectory() as folder:
        sim = Simulation(Path(folder), options=ExchangeOptions())
        clock, counted = sim.clock, Counted(sim.checked)
        sim.wire = Wire(counted)
        clients: list[KalshiClient] = []
        for rank in (Priority.CHECK, Priority.CHECK, Priority.TRADER):  # the loop asks last, and still goes first
            shared = SharedCounters(Path(folder) / "pace", NUMBERS, clock) if is_shared else None
            limiter = RateLimiter(clock, shared=shared)
            limiter.rank = rank
            clients.append(sim.connect(limiter=limiter, timeouts=AT_ONCE))
        passed = [0] * len(clients)
        until = clock.monotonic() + seconds
        while clock.monotonic() < until:
            for number, client in enumerate(clients):
                try:
                    client.balance()
                except RateLimitedError:
                    continue
                passed[number] += 1
            clock.advance(0.01)
        sim.close()
    return counted.statuses[429], passed[::-1]


def lines(seconds: float) -> list[Line]:
    refused, (loop, *others) = three_programs(seconds)
    possible = 200 * seconds / 10
    return [
        Line("F41 three busy programs, Basic: answers 429", refused, 0, 1, "429s"),
        Line("F41 reads that the loop did not get", possible - loop, 0.1 * possible, 1, "reads"),
        Line("F41 reads left unused by all three", possible - loop - sum(others), 0.05 * possible, 1, "reads"),
    ]
