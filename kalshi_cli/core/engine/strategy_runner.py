"""The strategies of a run: asked one after the other, and contained. One that raises is taken out; the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.core.model.effects import AlertRaised, Effect
from kalshi_cli.core.model.intents import Intent
from kalshi_cli.core.model.messages import FairValue, NewsSignal, PublicTrade, SpotPrice
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext

MAX_WAITING_LENGTH = 300
"""Characters of what strategies say that they lack."""

MAX_INTENTS = 100
"""Intents that one hook of a strategy may yield; the rest of a longer answer is dropped with an alert."""


class StrategyProtocol(Protocol):
    """What the engine calls. Hooks yield intents, or return None."""

    @property
    def name(self) -> str: ...
    @property
    def is_hedged(self) -> bool: ...
    @property
    def waiting(self) -> str: ...
    def on_book(self, view: StrategyContext, ticker: str) -> Iterable[Intent] | None: ...
    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> Iterable[Intent] | None: ...
    def on_fill(self, view: StrategyContext, fill: Fill) -> Iterable[Intent] | None: ...
    def on_spot(self, view: StrategyContext, spot: SpotPrice) -> Iterable[Intent] | None: ...
    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterable[Intent] | None: ...
    def on_signal(self, view: StrategyContext, signal: NewsSignal) -> Iterable[Intent] | None: ...
    def on_tick(self, view: StrategyContext) -> Iterable[Intent] | None: ...


class StrategyCall(NamedTuple):
    """Code of a strategy that is running: in which call of a hook, counted from 1, and whose."""

    call: int
    strategy: str


class StrategyTimeoutError(BaseException):
    """Raised in the middle of a hook that does not come back, by whoever watches it. Not for a strategy to catch."""


class StrategyRunner:
    """Asks the strategies, while `may_ask` allows it. `consider` takes what they want, `withdraw` follows when one of
    them failed.
    """

    def __init__(
        self,
        state: EngineState,
        limits: RiskLimits,
        strategies: Sequence[StrategyProtocol],
        consider: Callable[[str, Intent], list[Effect]],
        withdraw: Callable[[], list[Effect]],
        may_ask: Callable[[], bool],
    ) -> None:
        self._state = state
        self._running = [(strategy, StrategyContext(state, strategy.name, limits)) for strategy in strategies]
        self._consider = consider
        self._withdraw = withdraw
        self._may_ask = may_ask
        self.names = {strategy.name: None for strategy in strategies}.keys()
        """In the order in which they are asked."""
        self.hedged = frozenset(strategy.name for strategy in strategies if strategy.is_hedged)
        """What they hold pays for one another, so no exit may look at a part of it."""
        self.failed: dict[str, str] = {}
        """Strategies that were taken out, and why."""
        self.asked: StrategyCall | None = None
        """Set exactly while a strategy's own code is running; another thread, or a signal handler, may look."""
        self._calls = 0

    @property
    def waiting(self) -> str:
        """Which strategies lack what to decide by, in their words."""
        said = ((strategy.name, strategy.waiting) for strategy, _ in self._running)
        return safe_text("; ".join(f"{name}: {what}" for name, what in said if what), MAX_WAITING_LENGTH)

    def on_book(self, ticker: str) -> list[Effect]:
        return self._ask_all(lambda strategy: strategy.on_book, ticker)

    def on_trade(self, trade: PublicTrade) -> list[Effect]:
        return self._ask_all(lambda strategy: strategy.on_trade, trade)

    def on_spot(self, spot: SpotPrice) -> list[Effect]:
        return self._ask_all(lambda strategy: strategy.on_spot, spot)

    def on_fair(self, fair: FairValue) -> list[Effect]:
        return self._ask_all(lambda strategy: strategy.on_fair, fair)

    def on_signal(self, signal: NewsSignal) -> list[Effect]:
        return self._ask_all(lambda strategy: strategy.on_signal, signal)

    def on_fill(self, owner: str, fill: Fill) -> list[Effect]:
        """Tell the one strategy whose order it was."""
        effects: list[Effect] = []
        for strategy, view in tuple(self._running):
            if strategy.name == owner:
                effects += self._ask(strategy, strategy.on_fill, view, fill)
        return effects

    def on_tick(self) -> list[Effect]:
        return self._ask_all(lambda strategy: strategy.on_tick)

    def _ask_all(
        self, hook: Callable[[StrategyProtocol], Callable[..., Iterable[Intent] | None]], *args: object
    ) -> list[Effect]:
        effects: list[Effect] = []
        for strategy, view in tuple(self._running):
            effects += self._ask(strategy, hook(strategy), view, *args)
        return effects

    def _ask(
        self, strategy: StrategyProtocol, hook: Callable[..., Iterable[Intent] | None], *args: object
    ) -> list[Effect]:
        """Run one hook. A strategy that raises is taken out, its orders are cancelled, and somebody is told."""
        effects: list[Effect] = []
        if not self._may_ask():
            return effects
        try:
            for count, intent in enumerate(self._answers(strategy.name, hook, args)):
                if count == MAX_INTENTS:
                    text = f"more than {MAX_INTENTS} intents at once; the rest was dropped"
                    effects.append(AlertRaised(self._state.now, "warning", "STRATEGY_FLOOD", strategy.name, text))
                    break
                effects += self._consider(strategy.name, intent)
        except (Exception, SystemExit, StrategyTimeoutError) as error:
            self._running = [(other, seen) for other, seen in self._running if other is not strategy]
            why = redact(f"{type(error).__name__}: {error}{_where(error)}")  # it is written down
            self.failed[strategy.name] = why
            text = f"{why}; its orders are being canceled"
            code = "STRATEGY_HUNG" if isinstance(error, StrategyTimeoutError) else "STRATEGY_FAILED"
            effects.append(AlertRaised(self._state.now, "critical", code, strategy.name, text))
            effects += self._withdraw()
        return effects

    def _answers(
        self, name: str, hook: Callable[..., Iterable[Intent] | None], args: tuple[object, ...]
    ) -> Iterator[Intent]:
        """What a strategy wants. `asked` is set while its own code runs, and never while ours does."""
        self._calls += 1
        asked = StrategyCall(self._calls, name)
        try:
            self.asked = asked
            answer = hook(*args)
            if answer is None:
                return
            wants = iter(answer)
            while True:
                self.asked = asked
                try:
                    intent = next(wants)
                except StopIteration:
                    return
                self.asked = None
                yield intent
        finally:
            self.asked = None


def _where(error: BaseException) -> str:
    """The innermost place in the code, for whoever wrote the strategy."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" (line {trace.tb_lineno} of {trace.tb_frame.f_code.co_filename})" if trace is not None else ""
