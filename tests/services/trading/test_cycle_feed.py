"""What a loop writes down of its feed and of its strategies, for `status`."""

from __future__ import annotations

from collections.abc import Iterator

from support.simulation import TICKER, Simulation
from support.trading import TradingSession

from kalshi_cli.core.model.messages import FeedGap, Message, Tick
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams


def test_a_cycle_says_which_open_market_has_no_book_and_why_and_that_it_has_one_again(sim: Simulation) -> None:
    run = TradingSession(sim)
    said: list[str] = []

    def feed() -> Iterator[Message]:
        yield from run.ticks(1)
        for message in (FeedGap(sim.clock.now(), (TICKER,), "error 11"), sim.client.orderbook(TICKER)):
            yield message
            yield Tick(sim.clock.now())
            cycle = sim.store.last_cycle()
            assert cycle is not None
            said.append(cycle.no_book)

    run.over(feed())
    assert said == [f"{TICKER}: error 11", ""]


class Learner(Strategy):
    """Says what it lacks, until it has heard two ticks."""

    name = "learner"

    def on_tick(self, _view: StrategyContext) -> None:
        self.waiting = "" if self.waiting else "1 of 2\x1b[31m ticks"


def test_a_cycle_says_what_its_strategies_lack(sim: Simulation) -> None:
    run = TradingSession(sim, Learner(StrategyParams()))
    said: list[str] = []

    def feed() -> Iterator[Message]:
        for tick in run.ticks(2):
            yield tick
            cycle = sim.store.last_cycle()
            said.extend([cycle.waiting] if cycle is not None and isinstance(tick, Tick) else [])

    run.over(feed())
    assert said == ["learner: 1 of 2[31m ticks", ""]
