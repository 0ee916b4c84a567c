"""The kill switch of a simulated exchange whose clock differs from the machine's: one clock is compared with itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from support.simulation import KEY, TICKER, Simulation

from kalshi_cli.base.clock import ShiftedClock
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.services.orders.cancel import CancelScope
from kalshi_cli.services.orders.kill_switch import KillSwitch, KillSwitchResult
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.serving.in_process_transport import SimTransport

HOUR_MS = 3_600_000
LAG_MS = 5_000


class World:
    """The exchange lives in its own time; people sign by the machine's, and so are its dates."""

    def __init__(self, folder: Path, ahead_ms: int) -> None:
        self.ahead_ms = ahead_ms
        options = ExchangeOptions(read_rate=0, write_rate=0, read_lag_ms=LAG_MS)
        self.sim = Simulation(folder, options=options, offset_ms=lambda: self.ahead_ms)
        self.clock = ShiftedClock(self.sim.clock, lambda: self.ahead_ms)
        self.said: list[str] = []

    def press(self, tell: Callable[[str], None] = lambda _text: None) -> KillSwitchResult:
        machine = self.sim.clock
        client = KalshiClient(
            "http://localhost/trade-api/v2", clock=self.clock, rng=random.Random(1), machine=machine,
            signer=Signer("alice-key", KEY, machine), transport=SimTransport(self.sim.exchange, self.clock),
        )  # fmt: skip
        with client:
            return KillSwitch(client, self.clock, CancelScope(ticker=TICKER), tell=tell).run(60.0)


@pytest.mark.parametrize("ahead_ms", [0, 3 * HOUR_MS, -3 * HOUR_MS, 72 * HOUR_MS], ids=str)
def test_a_list_is_proof_once_the_exchange_has_moved_past_the_cancels(tmp_path: Path, ahead_ms: int) -> None:
    world = World(tmp_path, 0)
    world.sim.quote(BID, 30, 1, who="alice")
    world.sim.clock.advance(20)
    world.sim.exchange.advance(world.sim.clock.now())
    world.ahead_ms = ahead_ms
    outcome = world.press()
    assert outcome.is_clean
    assert LAG_MS / 1000 < outcome.seconds < LAG_MS / 1000 + 2


def test_a_clock_that_is_set_back_meanwhile_holds_up_the_proof_and_no_more(tmp_path: Path) -> None:
    world = World(tmp_path, 3 * HOUR_MS)

    def back(_text: str) -> None:
        world.ahead_ms = 0

    world.sim.exchange.advance(world.clock.now())
    world.sim.quote(BID, 30, 1, who="alice")
    world.sim.clock.advance(20)
    outcome = world.press(tell=back)
    assert world.ahead_ms == 0
    assert outcome.is_clean
