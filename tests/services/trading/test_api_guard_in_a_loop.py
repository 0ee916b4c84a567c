"""API_GUARD with the real client, venue, store and exchange: nothing new leaves, and what closes leaves ever later."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import msgspec
import pytest
from support.simulation import TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import StateCommand
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams

LIMITS = RiskLimits(min_edge=None, cooldown_after_loss_ms=0)


class Seller(Strategy):
    """Sells one of what it holds at each tick; at the first it buys ten."""

    name = "seller"

    def __init__(self) -> None:
        super().__init__(StrategyParams())
        self.has_bought = False

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        side, qty = (ASK, contracts(1)) if self.has_bought else (BID, contracts(10))
        price = cents(40 if self.has_bought else 44)
        if not self.has_bought or view.position(TICKER) > 0:
            yield Place(TICKER, side, price, qty, tif=TimeInForce.IOC, reduce_only=self.has_bought)
        self.has_bought = True


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulation]:
    made = Simulation(tmp_path)
    made.market(40, 44)
    yield made
    made.close()


class Creates:
    """When orders reached the wire; while `is_lost` none gets an answer, nor arrives."""

    def __init__(self, sim: Simulation) -> None:
        self._virtual = sim
        self.at: dict[str, Ts] = {}
        self.is_lost = False
        sim.wire.before = self._look

    def _look(self, request: httpx.Request) -> None:
        if request.method == "POST" and request.url.path.endswith("/orders"):
            name = msgspec.json.decode(request.read())["client_order_id"]
            self.at.setdefault(name, self._virtual.clock.now())
            if self.is_lost:
                raise httpx.ReadTimeout("no answer", request=request)

    def since(self, start: Ts) -> list[float]:
        """Seconds after `start`."""
        return [(at - start) / 1000 for at in self.at.values() if at >= start]


def tripped(loop: TradingLoop, creates: Creates) -> Ts:
    """Let orders get lost until the guard holds; when that was."""
    creates.is_lost = True
    for _ in range(120):
        loop.ticks(1, 1)
        if loop.engine.state.back_off is not None:
            return loop.sim.clock.now()
    raise AssertionError("the guard never tripped")


def test_a_market_maker_that_holds_nothing_sends_nothing_whoever_else_holds_something(sim: Simulation) -> None:
    """What a person holds is no reason to quote the other side as if that closed anything."""
    sim.place(price=cents(44), qty=contracts(20))
    loop = TradingLoop(sim, registry.make("market-maker", {}), limits=LIMITS)
    creates = Creates(sim)
    start = tripped(loop, creates)
    creates.is_lost = False
    for second in range(60):
        sim.market(40 + second % 3, 44 + second % 3)
        loop.ticks(1, 1)
    assert loop.engine.state.trading is TradingState.REDUCING
    assert loop.engine.state.held(TICKER) == contracts(20)
    assert creates.since(Ts(start + 1)) == []


def test_what_a_strategy_closes_leaves_ever_later_and_soon_again_after_a_success(sim: Simulation) -> None:
    sim.place(price=cents(44), qty=contracts(20))
    loop = TradingLoop(sim, Seller(), limits=LIMITS)
    creates = Creates(sim)
    loop.ticks(2, 1)
    start = tripped(loop, creates)
    loop.ticks(90, 1)
    left = [0.0, *creates.since(Ts(start + 1))]
    assert [round(after - before) for before, after in pairwise(left)] == [1, 2, 4, 8, 16, 32]
    creates.is_lost = False
    held = sim.exchange.position("alice", TICKER)
    loop.ticks(70, 1)
    assert sim.exchange.position("alice", TICKER) < held
    soon = [after - before for before, after in pairwise(creates.since(Ts(start + 1))[6:])]
    assert soon[0] <= 60
    assert soon[1:3] == [1, 1], "after a success the next one goes soon"


@pytest.mark.parametrize("first", ["", "DAILY_LOSS", "DRAWDOWN"])
def test_the_back_off_outlives_a_restart_whatever_guard_tripped_first(sim: Simulation, first: str) -> None:
    loop = TradingLoop(sim, Seller(), limits=LIMITS)
    creates = Creates(sim)
    loop.ticks(2, 1)
    if first:
        loop.take(StateCommand(sim.clock.now(), TradingState.REDUCING, first, "too much was lost"))
    tripped(loop, creates)
    assert sim.store.halt().code == (first or "API_GUARD")
    sim.clock.advance(120)
    seller = Seller()
    seller.has_bought = True
    again = TradingLoop(sim, seller, limits=LIMITS)
    start = sim.clock.now()
    again.ticks(8, 0.5)
    assert creates.since(start) == [1.0, 3.0]
