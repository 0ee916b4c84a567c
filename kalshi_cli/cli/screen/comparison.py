"""The rows of `kalshi backtest compare` on a terminal."""

from __future__ import annotations

from typing import ClassVar

from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow


class ComparisonLine(OutputRow, frozen=True, kw_only=True):
    """A comparison row on a terminal: long values are wrapped, so that the difference has room."""

    measure: str
    a: TruncatableText | None
    b: TruncatableText | None
    difference: str | None

    vital: ClassVar[tuple[str, ...]] = ("difference",)
    wraps = breaks_words = True


class DifferingOrderLine(ComparisonLine, frozen=True, kw_only=True):
    """The first orders, or fills, of a market that differ, on a terminal."""

    shown = piped = ("measure", "a", "b")
    vital = ()
