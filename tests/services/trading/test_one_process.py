"""A strategy that forks does not run the loop twice: the copy ends before it sends anything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.simulation import TICKER, Simulation
from support.trading import TradingSession

from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams

ENGINE = """
import os, sys
from kalshi_cli.services.trading.one_process import OneProcess

class Engine:
    def step(self, message):
        if os.fork() == 0 and message == "raises":
            raise SystemExit(0)
        return ["order"]

print(*OneProcess(Engine()).step(sys.argv[1]), flush=True)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.parametrize("message", ["returns", "raises"])
def test_the_copy_of_a_process_ends_inside_the_step(message: str) -> None:
    words = [sys.executable, "-c", ENGINE, message]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == ["order", "1"]
    assert ended.stderr.count("A strategy copied the trading process with os.fork(). The copy ended") == 1


class Forking(Strategy):
    """Forks at its first tick, and then buys, in either process."""

    name = "forking"
    pid = -1

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        if self.pid == -1:
            self.pid = os.fork()
            yield Place(TICKER, BID, cents(30), contracts(1), fair=cents(60))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_sends_the_order_of_a_strategy_that_forks_once(sim: Simulation) -> None:
    strategy = Forking(StrategyParams())
    run = TradingSession(sim, strategy)
    run.over(run.ticks(3))
    _, status = os.waitpid(strategy.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert run.engine.tally.orders == 1
