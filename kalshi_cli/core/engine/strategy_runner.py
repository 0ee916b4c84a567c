"""The strategy runner: it calls the strategies one after the other, and disables one that raises an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
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
"""The longest text of what strategies wait for."""

MAX_INTENTS = 100
"""The most intents that one hook call may yield; the rest is discarded with an alert."""


class StrategyProtocol(Protocol):
    """The interface of a strategy. Each hook yields intents or returns None."""

    @property
    def name(self) -> str:
        """Return the name under which its orders are stored."""

    @property
    def is_hedged(self) -> bool:
        """Return whether its positions offset each other."""

    @property
    def waiting(self) -> str:
        """Return the data that it waits for, empty if none."""

    def on_book(self, view: StrategyContext, ticker: str) -> Iterable[Intent] | None:
        """Handle a changed order book."""

    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> Iterable[Intent] | None:
        """Handle a public trade."""

    def on_fill(self, view: StrategyContext, fill: Fill) -> Iterable[Intent] | None:
        """Handle a fill of its own order."""

    def on_spot(self, view: StrategyContext, spot: SpotPrice) -> Iterable[Intent] | None:
        """Handle an outside price."""

    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterable[Intent] | None:
        """Handle an outside fair value."""

    def on_signal(self, view: StrategyContext, signal: NewsSignal) -> Iterable[Intent] | None:
        """Handle a news signal."""

    def on_tick(self, view: StrategyContext) -> Iterable[Intent] | None:
        """Handle the passing of time."""


class StrategyCall(NamedTuple):
    """A running strategy hook: the number of the call, counted from 1, and the strategy."""

    call: int
    strategy: str


class StrategyTimeoutError(BaseException):
    """Raised inside a hook that does not return, by the watchdog. A strategy must not catch it."""


class StrategyRunner:
    """The runner of all strategies.

    `may_ask` says whether strategies may be called, `consider` receives their intents, and `withdraw` runs after one of
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
        """In calling order."""
        self.hedged = frozenset(strategy.name for strategy in strategies if strategy.is_hedged)
        """Strategies whose positions offset each other, so that exits must not sell one of them."""
        self.failed: dict[str, str] = {}
        """Disabled strategies and their errors."""
        self.asked: StrategyCall | None = None
        """Set only while a strategy's own code runs; another thread or a signal handler may read it."""
        self._calls = 0

    @property
    def waiting(self) -> str:
        """Return which strategies wait for data, in their own words."""
        said = ((strategy.name, strategy.waiting) for strategy, _ in self._running)
        return safe_text("; ".join(f"{name}: {what}" for name, what in said if what), MAX_WAITING_LENGTH)

    def on_book(self, ticker: str) -> list[Effect]:
        """Report a changed book."""
        return self._ask_all(lambda strategy: strategy.on_book, ticker)

    def on_trade(self, trade: PublicTrade) -> list[Effect]:
        """Report a public trade."""
        return self._ask_all(lambda strategy: strategy.on_trade, trade)

    def on_spot(self, spot: SpotPrice) -> list[Effect]:
        """Report an outside price."""
        return self._ask_all(lambda strategy: strategy.on_spot, spot)

    def on_fair(self, fair: FairValue) -> list[Effect]:
        """Report an outside fair value."""
        return self._ask_all(lambda strategy: strategy.on_fair, fair)

    def on_signal(self, signal: NewsSignal) -> list[Effect]:
        """Report a news signal."""
        return self._ask_all(lambda strategy: strategy.on_signal, signal)

    def on_fill(self, owner: str, fill: Fill) -> list[Effect]:
        """Report a fill to the strategy that placed the order."""
        effects: list[Effect] = []
        for strategy, view in tuple(self._running):
            if strategy.name == owner:
                effects += self._ask(strategy, strategy.on_fill, view, fill)
        return effects

    def on_tick(self) -> list[Effect]:
        """Report that time passed."""
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
        """Call one hook. A strategy that raises is disabled, its orders are canceled, and an alert is raised."""
        effects: list[Effect] = []
        if not self._may_ask():
            return effects
        try:
            for count, intent in enumerate(self._answers(strategy.name, hook, args)):
                if count == MAX_INTENTS:
                    text = f"More than {MAX_INTENTS} order requests at once; the rest was discarded"
                    effects.append(AlertRaised(self._state.now, "warning", "STRATEGY_FLOOD", strategy.name, text))
                    break
                effects += self._consider(strategy.name, intent)
        except (Exception, SystemExit, StrategyTimeoutError) as error:
            self._running = [(other, seen) for other, seen in self._running if other is not strategy]
            why = redact(f"{type(error).__name__}: {error}{_meant(error)}{_where(error, hook)}")  # the text is stored
            self.failed[strategy.name] = why
            text = f"{why}; its orders are being canceled"
            code = "STRATEGY_HUNG" if isinstance(error, StrategyTimeoutError) else "STRATEGY_FAILED"
            effects.append(AlertRaised(self._state.now, "critical", code, strategy.name, text))
            effects += self._withdraw()
        return effects

    def _answers(
        self, name: str, hook: Callable[..., Iterable[Intent] | None], args: tuple[object, ...]
    ) -> Iterator[Intent]:
        """Yield the strategy's intents. `asked` is set only while its own code runs."""
        self._calls += 1
        asked = StrategyCall(self._calls, name)
        try:
            self.asked = asked
            answer = hook(*args)
            if answer is None:
                return
            wants = _requests(hook, answer)
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


def _requests(hook: Callable[..., object], answer: Iterable[Intent]) -> Iterator[Intent]:
    """Return an iterator over the answer of a hook; TypeError if it returned a request or another single value."""
    if isinstance(answer, Intent) or not isinstance(answer, Iterable):
        name = getattr(hook, "__name__", "the hook")
        raise TypeError(f"{name} returned {type(answer).__name__}; order requests are yielded: `yield Place(...)`")
    return iter(answer)


def _meant(error: BaseException) -> str:
    """Return the similar attribute that the author of a misspelled one probably meant."""
    if not isinstance(error, AttributeError) or error.obj is None or not isinstance(error.name, str):
        return ""
    near = get_close_matches(error.name, (name for name in dir(type(error.obj)) if not name.startswith("_")), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _where(error: BaseException, hook: Callable[..., object]) -> str:
    """Return the innermost line of the strategy's own file, or of its hook if the error is in the call itself."""
    code = getattr(hook, "__code__", None)
    file, line = (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)
    trace = error.__traceback__
    while trace is not None:
        if not file or trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        if not file and trace.tb_next is None:
            file = trace.tb_frame.f_code.co_filename
        trace = trace.tb_next
    return f" (line {line} of {file})" if file else ""
