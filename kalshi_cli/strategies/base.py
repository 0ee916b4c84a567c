"""What a strategy is: parameters, and hooks that yield intents.

A strategy reads its View, never the clock, the network or a file, and is therefore the same object in a backtest, on
paper and live.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from kalshi_cli.core.messages import Intent, PublicTrade
from kalshi_cli.core.model import Fill
from kalshi_cli.core.state import View


class StrategyParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a strategy's parameters: typed fields with defaults, ranges and help by `msgspec.Meta`."""


class Strategy:
    """Base of every strategy. Override the hooks that matter; each may yield Place and Cancel intents."""

    name: ClassVar[str]
    Params: ClassVar[type[StrategyParams]] = StrategyParams

    def __init__(self, params: Any) -> None:
        self.params = params

    def on_book(self, view: View, ticker: str) -> Iterable[Intent] | None:
        """The book of `ticker` changed, and can be believed."""

    def on_trade(self, view: View, trade: PublicTrade) -> Iterable[Intent] | None:
        """Somebody traded."""

    def on_fill(self, view: View, fill: Fill) -> Iterable[Intent] | None:
        """An order of this strategy traded."""

    def on_tick(self, view: View) -> Iterable[Intent] | None:
        """Time passed; called about every interval, whether or not anything else happened."""
