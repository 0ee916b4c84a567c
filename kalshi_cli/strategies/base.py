"""What a strategy is: parameters, and hooks that yield intents.

A strategy reads its View, never the clock, the network or a file, and is therefore the same object in a backtest, on
paper and live.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from kalshi_cli.core.model.inputs import Input
from kalshi_cli.core.model.intents import Intent
from kalshi_cli.core.model.messages import FairValue, NewsSignal, PublicTrade, SpotPrice
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.view import StrategyContext


def within(low: float, high: float, text: str) -> msgspec.Meta:
    """Return the range of a parameter, both ends included, and its help."""
    return msgspec.Meta(ge=low, le=high, description=text)


def above(low: float, high: float, text: str) -> msgspec.Meta:
    """Return the range of a parameter that is above `low`, and its help."""
    return msgspec.Meta(gt=low, le=high, description=text)


def about(text: str) -> msgspec.Meta:
    """Return the help of a parameter without a range."""
    return msgspec.Meta(description=text)


class StrategyParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a strategy's parameters: typed fields with defaults, ranges and help by `msgspec.Meta`."""


class Strategy:
    """Base of every strategy. Override the hooks that matter; each may yield Place, Amend and Cancel intents."""

    name: ClassVar[str]
    Params: ClassVar[type[StrategyParams]] = StrategyParams
    waiting: str = ""
    """What it still lacks to decide by ("12 of 30 samples in KXA-1"), as its hooks last set it; "" where nothing. For
    `kalshi status` and `kalshi why`: who sees no edge and who cannot look yet are both silent."""
    is_hedged: ClassVar[bool] = False
    """What it holds in several markets pays for one another: stop-loss and take-profit leave it alone."""

    def __init__(self, params: Any) -> None:
        self.params = params

    def inputs(self) -> tuple[Input, ...]:
        """What it needs to hear from outside the exchange; by default nothing."""
        return ()

    def on_book(self, view: StrategyContext, ticker: str) -> Iterable[Intent] | None:
        """The book of `ticker` changed, and can be believed."""

    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> Iterable[Intent] | None:
        """Somebody traded."""

    def on_fill(self, view: StrategyContext, fill: Fill) -> Iterable[Intent] | None:
        """An order of this strategy traded."""

    def on_spot(self, view: StrategyContext, spot: SpotPrice) -> Iterable[Intent] | None:
        """An outside price moved; called where `inputs` asks for it."""

    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterable[Intent] | None:
        """An outside model said what a market is worth; called where `inputs` asks for it."""

    def on_signal(self, view: StrategyContext, signal: NewsSignal) -> Iterable[Intent] | None:
        """News; called where `inputs` asks for it."""

    def on_tick(self, view: StrategyContext) -> Iterable[Intent] | None:
        """Time passed; called about every interval, whether or not anything else happened."""
