"""A strategy that does not come back, as the watchdog sees it: real threads and signals, and little patience."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from support.simulation import T0, TICKER, Simulation

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import StrategyCall
from kalshi_cli.core.model.effects import AlertRaised, Effect
from kalshi_cli.core.model.intents import Intent
from kalshi_cli.core.model.messages import Tick
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.trading.strategy_watchdog import INTERRUPT_SIGNAL, Watchdog, cancel_orders
from kalshi_cli.strategies.base import Strategy, StrategyParams

LIMIT_S = 0.1


class Told(Strategy):
    """On a tick, does what the test says."""

    name = "told"

    def __init__(self, do: Callable[[], Any]) -> None:
        super().__init__(StrategyParams())
        self.do = do
        self.ticks = 0

    def on_tick(self, view: StrategyContext) -> Iterable[Intent] | None:
        self.ticks += 1
        answer: Iterable[Intent] | None = self.do()
        return answer


class Watched:
    """An engine with these strategies under a watchdog; what it said, kept and withdrew."""

    def __init__(
        self, *do: Callable[[], Any], remembers: bool = True, withdrawn_after: int = 1, limit_s: float = LIMIT_S
    ) -> None:
        self.strategies = [Told(each) for each in do]
        self.engine = TradingEngine(
            EngineState(now=T0), RiskLimits(), self.strategies, new_id=lambda: "c", order_expiry_s=90.0
        )
        self.said: list[str] = []
        self.kept: list[AlertRaised] = []
        self.withdrawals = 0
        self._remembers = remembers
        self._withdrawn_after = withdrawn_after
        self.dog = Watchdog(
            lambda: self.engine.hooks.asked, limit_s, SystemClock(),
            tell=self.said.append, remember=self._remember, withdraw=self._withdraw,
        )  # fmt: skip

    def _remember(self, alert: AlertRaised) -> None:
        if not self._remembers:
            raise StateFileError("disk full")
        self.kept.append(alert)

    def _withdraw(self) -> bool:
        self.withdrawals += 1
        return self.withdrawals >= self._withdrawn_after

    def ticks(self, number: int = 1) -> list[Effect]:
        with self.dog.watching():
            return [effect for n in range(number) for effect in self.engine.step(Tick(Ts(T0 + n)))]


def spin() -> None:
    while True:
        pass


def sleep() -> None:
    time.sleep(600)


def swallow() -> None:
    while True:
        with suppress(Exception):
            time.sleep(600)


def wait() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def swallow_everything_for_a_while(times: int) -> Callable[[], None]:
    """As code that cannot be interrupted, which comes back after so many tries."""

    def hold_out() -> None:
        for _ in range(times):
            with suppress(BaseException):
                time.sleep(600)

    return hold_out


@pytest.mark.parametrize("hang", [spin, sleep, swallow, wait], ids=lambda hang: str(hang.__name__))
def test_a_hook_that_hangs_is_broken_off_and_the_others_are_asked(hang: Callable[[], None]) -> None:
    watched = Watched(hang, lambda: None, limit_s=0.6)  # less of it passes until it counts as stuck
    effects = watched.ticks(3)
    assert [effect.code for effect in effects if isinstance(effect, AlertRaised)] == ["STRATEGY_HUNG"]
    assert [strategy.ticks for strategy in watched.strategies] == [1, 3]
    assert watched.said == ["CRITICAL STRATEGY_HUNG told: no response for 0.6 s; interrupting it"]
    assert (watched.kept, watched.withdrawals) == ([], 0), "the engine cancels its orders, as ever"


def test_one_that_is_slow_but_comes_back_is_left_alone() -> None:
    watched = Watched(lambda: time.sleep(0.1), limit_s=0.8)
    assert watched.ticks(10) == []
    assert watched.said == []
    assert watched.strategies[0].ticks == 10, "each call has a time of its own, however many there are"


def test_where_it_cannot_be_interrupted_orders_are_withdrawn_until_none_is_left() -> None:
    watched = Watched(swallow_everything_for_a_while(8), withdrawn_after=3)
    assert watched.ticks() == [], "it came back by itself in the end"
    assert watched.withdrawals == 3
    (alert,) = watched.kept
    assert (alert.code, alert.subject) == ("STRATEGY_STUCK", "told")
    assert "kill -9" in watched.said[1]


def test_an_alert_that_cannot_be_kept_is_told_all_the_same() -> None:
    watched = Watched(swallow_everything_for_a_while(8), remembers=False)
    watched.ticks()
    assert any("STRATEGY_STUCK" in line for line in watched.said)
    assert watched.said[-1] == "This could not be saved: disk full"


def test_nothing_but_the_hook_that_hung_is_ever_broken_into() -> None:
    """The signal that comes too late meets our own code, or the next call of a hook."""
    watched = Watched(sleep, lambda: None)
    watched.ticks()
    asked: list[StrategyCall | None] = []

    def late() -> None:
        asked.append(watched.engine.hooks.asked)
        signal.raise_signal(INTERRUPT_SIGNAL)

    watched.strategies[1].do = late
    with watched.dog.watching():
        signal.raise_signal(INTERRUPT_SIGNAL)  # between two steps of ours
        assert watched.engine.step(Tick(Ts(T0 + 9))) == []
    assert asked[0] is not None
    assert asked[0].call > 1
    signal.raise_signal(INTERRUPT_SIGNAL)  # nobody watches any more: ignored, as by default


# -- what is withdrawn ------------------------------------------------------------------------------------------------


def test_the_orders_of_the_loop_are_canceled_and_no_others(sim: Simulation) -> None:
    sim.market()
    mine, typed = sim.place(), sim.place()
    own = msgspec.structs.replace(mine, strategy="told")
    said: list[str] = []
    assert cancel_orders(sim.client, lambda: [own, typed], said.append)
    assert [order_id for order_id, *_ in sim.exchange.resting("alice", TICKER)] == [typed.order_id]
    assert cancel_orders(sim.client, lambda: [own], said.append), "gone already is as good"
    assert said[-1].startswith("1 order of the loop canceled or ended")


def test_what_could_not_be_canceled_is_tried_again(sim: Simulation) -> None:
    sim.market()
    own = msgspec.structs.replace(sim.place(), strategy="told")
    sim.exchange.pause("exchange", sim.clock.now())
    said: list[str] = []
    assert not cancel_orders(sim.client, lambda: [own], said.append)
    assert said == ["0 orders of the loop canceled or ended, 1 could not be canceled"]
    sim.exchange.resume(sim.clock.now())
    assert cancel_orders(sim.client, lambda: [own], said.append)


def test_orders_that_move_while_they_are_looked_at_mean_that_the_loop_does_too(sim: Simulation) -> None:
    def moving() -> list[Order]:
        raise RuntimeError("dictionary changed size during iteration")

    assert not cancel_orders(sim.client, moving, sim.said.append)
    assert sim.said == []
