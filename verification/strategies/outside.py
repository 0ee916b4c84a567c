"""Outside data for strategies, derived from the world itself: prices of coins, a model, news."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model.inputs import FairInput, Input, SignalInput, SpotInput
from kalshi_cli.core.model.messages import FairValue, Message, NewsSignal, SpotPrice
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.model.seeded_random import SeededRandom
from kalshi_cli.simulator.world.underlyings import spike
from kalshi_cli.simulator.world.world import STEP_MS
from verification.strategies.stage import Stage

SPOT_EVERY_MS = 1_000
MODEL_SD, WRONG_FOR_MS = 200.0, 600_000
"""How far the model is off the truth, in one market: two cents, and for as long as ten minutes the same way."""

EARLIEST_MS, LATEST_MS = -4_000, 2_000
"""News come so long before or after the crowd begins to move a market."""

WRONG = 0.15
"""The share of the news that says the opposite of what the crowd does."""

LARGEST_PUSH = 1_300.0


class _Due(NamedTuple):
    ts: Ts
    signal: NewsSignal


class Outside:
    """Brings what the strategies of a run asked for."""

    def __init__(self, stage: Stage, inputs: Iterable[Input], bring: Callable[[Message], None]) -> None:
        self._stage = stage
        self._bring = bring
        wanted = set(inputs)
        self._symbols = sorted({one.symbol for one in wanted if isinstance(one, SpotInput)})
        self._models = [one for one in wanted if isinstance(one, FairInput)]
        self._has_news = any(isinstance(one, SignalInput) for one in wanted)
        self._heard: set[str] = set()
        self._due: list[_Due] = []
        stage.after_each_step(self._look)

    def _look(self, now: Ts) -> None:
        if now % SPOT_EVERY_MS < STEP_MS:
            for symbol in self._symbols:
                size = SeededRandom(self._stage.seed, "size", symbol, now).heavy(0.02, 5)
                price = round(self._stage.world.spot(symbol, now) * ONE_DOLLAR)
                self._bring(SpotPrice(now, symbol, price, "world", round(size * 100_000_000)))
        for model in self._models:
            if now % round(model.every_s * 1000) < STEP_MS:
                self._believe(model, now)
        if self._has_news:
            self._report(now)

    def _believe(self, model: FairInput, now: Ts) -> None:
        """The world's own chance, not quite."""
        world = self._stage.world
        for ticker in world._open:
            noise = MODEL_SD * SeededRandom(self._stage.seed, "model", ticker, now // WRONG_FOR_MS).normal()
            fair = Price(max(1, min(ONE_DOLLAR - 1, round(world.fair(ticker) + noise))))
            self._bring(FairValue(now, ticker, fair, model.source, Ts(now + round(model.valid_s * 1000))))

    def _report(self, now: Ts) -> None:
        """What moves the crowd, a little before or after it does."""
        for ticker in self._stage.world._open if now % 1_000 < STEP_MS else ():
            push = spike(self._stage.seed, ticker, now - EARLIEST_MS)
            name = "" if push is None else f"{ticker}@{push.at}"
            if push is None or name in self._heard or push.at + LATEST_MS < now:
                continue
            self._heard.add(name)
            dice = SeededRandom(self._stage.seed, "news", name)
            at = Ts(push.at + round(dice.between(EARLIEST_MS, LATEST_MS)))
            is_up = (push.size > 0) != dice.chance(WRONG)
            confidence = round(10_000 * min(1.0, abs(push.size) / LARGEST_PUSH))
            self._due.append(_Due(at, NewsSignal(at, name, ticker, BID if is_up else ASK, confidence)))
        for due in [due for due in self._due if due.ts <= now]:
            self._due.remove(due)
            self._bring(due.signal)
