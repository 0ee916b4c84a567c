"""The strategy runner: it calls the strategies one after the other, and disables one that raises an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from types import GeneratorType
from typing import Literal, NamedTuple, Protocol

from kalshi_cli.base.errors import named
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.core.engine.request_fields import fields_text
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.effects import AlertRaised, Effect
from kalshi_cli.core.model.inputs import Input
from kalshi_cli.core.model.intents import Intent
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext

MAX_WAITING_LENGTH = 300
"""The longest text of what strategies wait for."""

MAX_INTENTS = 100
"""The most intents that one hook call may yield; the rest is discarded with an alert."""


SLOW_HOOK_S, MIN_SLOW_CALLS = 0.05, 3
"""A hook call that takes this long is slow. Fewer than these in a run are pauses of the machine."""

Watches = Literal["price", "top", "depth"]
"""The part of an order book that a strategy watches: the best prices, the best prices with their sizes, or every
level."""

UNUSED = "is_unused"
"""The attribute of a hook that does nothing, so that it need not be called."""


class StrategyProtocol(Protocol):
    """The part of a strategy that a run needs, beside its hooks. Each hook yields intents or returns None."""

    @property
    def name(self) -> str:
        """Return the name under which its orders are stored."""

    @property
    def is_hedged(self) -> bool:
        """Return whether its positions offset each other."""

    @property
    def waiting(self) -> str:
        """Return the data that it waits for, empty if none."""

    @property
    def watches(self) -> Watches:
        """Return the part of an order book whose changes it must see."""


class StrategyCall(NamedTuple):
    """A running strategy hook: the number of the call, counted from 1, and the strategy."""

    call: int
    strategy: str


class StrategyTimeoutError(BaseException):
    """Raised inside a hook that does not return, by the watchdog. A strategy must not catch it."""


_Hook = Callable[..., Iterable[Intent] | None]


class _Running:
    """A strategy that runs: its context, the hooks that it has, and the tops of the books at its last calls."""

    __slots__ = ("hooks", "name", "seen", "strategy", "view", "watches")

    def __init__(self, strategy: StrategyProtocol, view: StrategyContext) -> None:
        self.strategy = strategy
        self.name = strategy.name
        self.view = view
        self.watches = strategy.watches
        found = {name: getattr(strategy, name, None) for name in _HOOKS}
        self.hooks: dict[str, _Hook] = {
            name: hook for name, hook in found.items() if hook is not None and not getattr(hook, UNUSED, False)
        }
        self.seen: dict[str, object] = {}

    def top(self, book: OrderBook) -> object:
        """Return the watched part of a book: its best prices, also with their sizes."""
        return (book.best_bid, book.best_ask) if self.watches == "price" else book.top


_HOOKS = ("on_book", "on_trade", "on_fill", "on_spot", "on_fair", "on_signal", "on_tick")
_END = object()


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
        self._running = [
            _Running(each, StrategyContext(state, each.name, limits, _inputs_of(each))) for each in strategies
        ]
        """Replaced, never changed, where a strategy fails: loops over it go on."""
        self._consider = consider
        self._withdraw = withdraw
        self.may_ask = may_ask
        self.names = {strategy.name: None for strategy in strategies}.keys()
        """In calling order."""
        self.hedged = frozenset(strategy.name for strategy in strategies if strategy.is_hedged)
        """Strategies whose positions offset each other, so that exits must not sell one of them."""
        self.failed: dict[str, str] = {}
        """Disabled strategies and their errors."""
        self.asked: StrategyCall | None = None
        """Set only while a strategy's own code runs; another thread or a signal handler may read it."""
        self.due: set[str] = set()
        """Markets in which the next end of a group of changes calls every strategy, whatever changed in the book."""
        self.calls = 0
        self.timer: Callable[[], float] = float
        """Returns seconds of real time. The service that runs the loop sets it; by default nothing is measured."""
        self._slow_calls, self._slowest_s = 0, 0.0

    @property
    def slow_calls(self) -> int:
        """Return how many hook calls were slow, 0 for so few that they show nothing."""
        return self._slow_calls if self._slow_calls >= MIN_SLOW_CALLS else 0

    @property
    def slowest_ms(self) -> int | None:
        """Return the time of the slowest hook call, None without slow calls."""
        return round(self._slowest_s * 1000) if self.slow_calls else None

    @property
    def waiting(self) -> str:
        """Return which strategies wait for data, in their own words."""
        said = ((each.name, each.strategy.waiting) for each in self._running)
        return safe_text("; ".join(f"{name}: {what}" for name, what in said if what), MAX_WAITING_LENGTH)

    @property
    def watches(self) -> Watches | None:
        """Return the most that a running strategy watches; None if none has a hook for books."""
        watched = {each.watches for each in self._running if "on_book" in each.hooks}
        order: tuple[Watches, ...] = ("depth", "top", "price")
        return next((watches for watches in order if watches in watched), None)

    def on_book(self, book: OrderBook) -> list[Effect]:
        """Report a book at the end of a group of changes to the strategies that watch what changed.

        A strategy that watches `depth` is called once for each group. The others are called if the top of the book
        differs from that at their last call, or if the market is `due`.
        """
        effects: list[Effect] = []
        for each in self._running:
            hook = each.hooks.get("on_book")
            if hook is not None and self._has_moved(each, book):  # which says that it may be called
                effects += self._call(each, hook, each.view, book.ticker)
        if self.due and self.may_ask():
            self.due.discard(book.ticker)
        return effects

    def forget(self, ticker: str) -> None:
        """Call every strategy at the next end of a group in this market: more than its book changed."""
        if ticker in self._state.books:
            self.due.add(ticker)
            for each in self._running:
                each.seen.pop(ticker, None)

    def _has_moved(self, each: _Running, book: OrderBook) -> bool:
        """Return whether the watched part of a book differs from that at the last call, and remember it.

        It is compared without own orders, because each change of an own order calls it too: behind an own order that is
        the best one, it sees the external market as in a backtest.
        """
        ticker = book.ticker
        top = None if each.watches == "depth" else each.top(self._state.external_book(ticker))
        if top is not None and each.seen.get(ticker) == top:
            return False
        if not self.may_ask():
            self.due.add(ticker)
            return False
        each.seen[ticker] = top
        return True

    def ask_all(self, name: str, *args: object, owner: str | None = None) -> list[Effect]:
        """Call this hook of each strategy, or of one, if strategies may be called."""
        effects: list[Effect] = []
        for each in self._running:
            hook = each.hooks.get(name)
            if hook is not None and owner in (None, each.name) and self.may_ask():
                effects += self._call(each, hook, each.view, *args)
        return effects

    def _call(self, each: _Running, hook: _Hook, *args: object) -> list[Effect]:
        """Call one hook. A strategy that raises is disabled, its orders are canceled, and an alert is raised.

        `asked` is set only while its own code runs, and only that is measured.
        """
        effects: list[Effect] = []
        self.calls += 1
        asked, count, timer, spent_s = StrategyCall(self.calls, each.name), 0, self.timer, 0.0
        try:
            self.asked, begun_s = asked, timer()
            answer = hook(*args)
            wants = answer if type(answer) is GeneratorType else _requests(hook, answer)
            while (intent := next(wants, _END)) is not _END:
                self.asked = None
                spent_s += timer() - begun_s
                if count == MAX_INTENTS:
                    text = f"More than {MAX_INTENTS} order requests at once; the rest was discarded"
                    effects.append(AlertRaised(self._state.now, "warning", "STRATEGY_FLOOD", each.name, text))
                    break
                effects += self._consider(each.name, intent)  # type: ignore[arg-type]
                count += 1
                self.asked, begun_s = asked, timer()
            spent_s += timer() - begun_s
        except KeyboardInterrupt:  # a stop of the program
            raise
        except BaseException as error:
            self.asked = None
            self._running = [other for other in self._running if other is not each]
            where = f"{_where(error, hook)}{_when(self._state.now, *args[1:])}"
            why = redact(f"{named(error)}{_meant(error)}{where}")  # the text is stored
            self.failed[each.name] = why
            none_left = "" if self._running else "; no strategy is enabled now, so nothing is traded until a new run"
            text = f"{why}; its orders are being canceled{none_left}"
            code = "STRATEGY_HUNG" if isinstance(error, StrategyTimeoutError) else "STRATEGY_FAILED"
            effects.append(AlertRaised(self._state.now, "critical", code, each.name, text))
            effects += self._withdraw()
        finally:
            self.asked = None
        if spent_s >= SLOW_HOOK_S:
            self._slow_calls += 1
            self._slowest_s = max(self._slowest_s, spent_s)
        return effects


def _inputs_of(strategy: StrategyProtocol) -> Iterable[Input] | None:
    """Return the data inputs that a strategy requests, None if it has no `inputs` and may read everything."""
    inputs: Callable[[], Iterable[Input]] | None = getattr(strategy, "inputs", None)
    return None if inputs is None else inputs()


def _requests(hook: Callable[..., object], answer: Iterable[Intent] | None) -> Iterator[Intent]:
    """Return an iterator over the answer of a hook; TypeError if it returned a request or another single value."""
    if answer is None:
        return iter(())
    if isinstance(answer, Intent) or not isinstance(answer, Iterable):
        name = getattr(hook, "__name__", "the hook")
        raise TypeError(f"{name} returned {type(answer).__name__}; order requests are yielded: `yield Place(...)`")
    return iter(answer)


def _meant(error: BaseException) -> str:
    """Return the attribute that the author of a misspelled one probably meant, or the fields of a wrong request."""
    if not isinstance(error, AttributeError) or error.obj is None or not isinstance(error.name, str):
        return fields_text(error)
    near = get_close_matches(error.name, (name for name in dir(type(error.obj)) if not name.startswith("_")), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _when(now: Ts, *args: object) -> str:
    """Return the market that a hook was called for, if it is one, and the time of the run."""
    found = (arg if isinstance(arg, str) else getattr(arg, "ticker", "") for arg in args)
    ticker = next(filter(None, found), "")
    return f" {f'in {ticker} ' if ticker else ''}at {format_ts(now)}"


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
