"""The base classes of strategies: parameters, and hooks that yield order requests.

A strategy reads only its context, never the clock, the network or a file. The same code therefore runs in backtests, on
paper and live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.core.engine.strategy_runner import UNUSED, Watches
from kalshi_cli.core.model.inputs import Input
from kalshi_cli.core.model.intents import Intent
from kalshi_cli.core.model.messages import FairValue, NewsSignal, PublicTrade, SpotPrice
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.view import StrategyContext


def within(low: float, high: float, text: str) -> msgspec.Meta:
    """Return the inclusive range and the help text of a parameter."""
    return msgspec.Meta(ge=low, le=high, description=text)


def above(low: float, high: float, text: str) -> msgspec.Meta:
    """Return the range (`low` excluded) and the help text of a parameter."""
    return msgspec.Meta(gt=low, le=high, description=text)


def about(text: str) -> msgspec.Meta:
    """Return the help text of a parameter without a range."""
    return msgspec.Meta(description=text)


def parameter_error(strategy: str, problem: str, example: str) -> UsageError:
    """Return the error for invalid parameters of a strategy."""
    return UsageError(f"Strategy {strategy}: {problem}", hint=f"for example {example}", code="bad_parameter")


class StrategyParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base class of parameters: typed fields with defaults, and ranges and help texts by `msgspec.Meta`.

    Declare prices as `Price`, quantities as `Qty`: users then enter `0.30` or `30c`, and contracts.
    """


_Hook = TypeVar("_Hook", bound=Callable[..., object])


def _unused(hook: _Hook) -> _Hook:
    """Mark a hook that does nothing: the engine does not call it."""
    setattr(hook, UNUSED, True)
    return hook


class Strategy:
    """The base class of all strategies.

    Set `name` and `Params`, and override the hooks that the strategy needs. A hook yields `Place`, `Amend` and `Cancel`
    requests, which the risk controls check one by one, or returns None. A strategy that raises an error is disabled for
    the run and its orders are canceled.
    """

    name: ClassVar[str]
    Params: ClassVar[type[StrategyParams]] = StrategyParams
    waiting: str = ""
    """The data that the strategy still waits for ("12 of 30 samples in KXA-1"), set by its hooks; empty if it can
    decide. `kalshi status` and `kalshi why` show it, so that waiting differs from having found no edge."""
    watches: ClassVar[Watches] = "depth"
    """The part of an order book on which decisions depend: `price` (the best prices), `top` (with their sizes) or
    `depth` (every level). `on_book` is called only when that changed, or the orders or the position in the market; once
    for all changes with one exchange time."""
    is_hedged: ClassVar[bool] = False
    """True if positions in several markets offset each other: stop-loss and take-profit then ignore the strategy."""

    def __init__(self, params: Any) -> None:
        self.params = params

    def inputs(self) -> tuple[Input, ...]:
        """Return the data inputs from outside the exchange that the strategy needs; none by default."""
        return ()

    @_unused
    def on_book(self, view: StrategyContext, ticker: str) -> Iterable[Intent] | None:
        """Handle a change of the watched part of the order book of `ticker`, which is usable."""

    @_unused
    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> Iterable[Intent] | None:
        """Handle a public trade."""

    @_unused
    def on_fill(self, view: StrategyContext, fill: Fill) -> Iterable[Intent] | None:
        """Handle a fill of this strategy's own order."""

    @_unused
    def on_spot(self, view: StrategyContext, spot: SpotPrice) -> Iterable[Intent] | None:
        """Handle an outside price of a coin. Called only if `inputs` requests it."""

    @_unused
    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterable[Intent] | None:
        """Handle an outside model's fair value of a market. Called only if `inputs` requests it."""

    @_unused
    def on_signal(self, view: StrategyContext, signal: NewsSignal) -> Iterable[Intent] | None:
        """Handle a news signal. Called only if `inputs` requests it."""

    @_unused
    def on_tick(self, view: StrategyContext) -> Iterable[Intent] | None:
        """Handle the passing of time. Called about once per interval, whatever else happens."""
