"""How long reads may hold up a loop: cancels, and its own interval, wait as long."""

from __future__ import annotations

import httpx
from support.simulation import T0, Simulation

from kalshi_cli.core.model.messages import AccountSnapshot, Message, Tick
from kalshi_cli.exchange.live.live_venue import LiveVenue

ANSWER_S, READ_S = 3.0, 10.0


def observed(sim: Simulation, said: list[str]) -> list[Message]:
    """What the first read of the account brings."""
    venue = LiveVenue(sim.client, None, sim.clock, live=tuple, since=T0, tell=said.append)
    return list(venue.observe(Tick(sim.clock.now())))


def test_each_answer_of_a_read_is_waited_for_three_seconds(sim: Simulation) -> None:
    waits: list[float] = []

    def before(request: httpx.Request) -> None:
        waits.append(request.extensions["deadline"] - sim.clock.monotonic())

    sim.wire.before = before
    assert any(isinstance(message, AccountSnapshot) for message in observed(sim, []))
    assert waits
    assert max(waits) <= ANSWER_S


def test_a_read_whose_answers_all_come_just_in_time_ends_after_ten_seconds(sim: Simulation) -> None:
    def before(_request: httpx.Request) -> None:
        sim.clock.advance(ANSWER_S - 0.1)

    sim.wire.before = before
    said: list[str] = []
    began = sim.clock.monotonic()
    assert not any(isinstance(message, AccountSnapshot) for message in observed(sim, said))
    assert "reading exceeded its time limit" in said[0]
    account_s = sum(ANSWER_S - 0.1 for _, path in sim.wire.sent if "/portfolio/" in path or "user_data" in path)
    assert account_s <= READ_S + ANSWER_S
    assert sim.clock.monotonic() - began < 60
