"""Statistics of a backtest as pure functions: ratios with their standard error, drawdowns, exposure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum, sqrt

import msgspec

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.pnl import LedgerEntry, sort_by_time

MIN_OBSERVATIONS = 20
"""Fewer observations give no ratio: its standard error would be about as large as the ratio."""


class RatioEstimate(msgspec.Struct, frozen=True):
    """A ratio of a sample and its standard error."""

    value: float
    error: float


def sharpe(gains: Sequence[int]) -> RatioEstimate | None:
    """Return the mean over the standard deviation (n - 1), per observation and not annualized.

    None for fewer than `MIN_OBSERVATIONS`, or without variation. The standard error assumes independent observations of
    any distribution (Mertens 2002): the square root of (1 - skewness * S + (kurtosis - 1) / 4 * S^2) / n.
    """
    count = len(gains)
    if count < MIN_OBSERVATIONS or len(set(gains)) == 1:
        return None
    mean = fsum(gains) / count
    squares = fsum((gain - mean) ** 2 for gain in gains)
    spread, population = sqrt(squares / (count - 1)), sqrt(squares / count)
    ratio = mean / population
    scores = [(gain - mean) / population for gain in gains]
    influence = [score - ratio / 2 * (score * score - 1) for score in scores]
    return RatioEstimate(mean / spread, _error(influence))


def sortino(gains: Sequence[int]) -> RatioEstimate | None:
    """Return the mean over the root mean square of the losses, per observation and not annualized.

    Gains count as zero in the denominator, and the target is zero. None for fewer than `MIN_OBSERVATIONS`, or without a
    loss. The standard error is that of the delta method for independent observations.
    """
    count = len(gains)
    if count < MIN_OBSERVATIONS or min(gains) >= 0:
        return None
    mean = fsum(gains) / count
    downside = sqrt(fsum(min(gain, 0) ** 2 for gain in gains) / count)
    ratio = mean / downside
    influence = [(gain - mean) / downside - ratio / 2 * ((min(gain, 0) / downside) ** 2 - 1) for gain in gains]
    return RatioEstimate(ratio, _error(influence))


def _error(influence: Sequence[float]) -> float:
    return sqrt(fsum(part * part for part in influence)) / len(influence)


def drawdowns(curve: Iterable[tuple[Ts, Money]]) -> list[tuple[Ts, Money]]:
    """Return the distance below the highest value so far, which begins at zero, at each point."""
    peak, found = 0, []
    for ts, value in curve:
        peak = max(peak, value)
        found.append((ts, Money(peak - value)))
    return found


def highest_cost(entries: Iterable[LedgerEntry]) -> Money:
    """Return the highest cost that open positions had together after any fill or settlement.

    The cost of a position is the most that it can lose before fees. Resting orders are not included.
    """
    ledger, highest = Ledger(), 0
    for entry in sort_by_time(entries):
        ledger.add(entry)
        highest = max(highest, ledger.realized - ledger.fees - ledger.cash)
    return Money(highest)
