"""Whether fills earn what they were expected to: in standard deviations, over a sample that says something.

A fill at a price better than its fair value is expected to earn the difference. What it earns on top of that is luck,
if fair values are fair: then they go up as much as down, and end at 0 or at 1. So the sum of position times change of
fair value over all fills should be zero, and its variance is what those changes were, plus f(1 - f) for the last one.
Nothing is assumed of how fair values move. Markets of one event move together; their deviations are added up as if
wholly so, which makes a verdict slower, never rasher.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model.orders import Fill

MIN_FILLS = 30
MIN_EVENTS = 10
"""Fewer of them say nothing: a thousand fills on one outcome are one bet."""


class EdgeSample(msgspec.Struct, frozen=True, kw_only=True):
    """A fill of a strategy: signed contracts, and what it believed one YES to be worth when it decided."""

    ts: Ts
    qty: int
    fair: Price


class EdgeRealization(msgspec.Struct, frozen=True, kw_only=True):
    """`sigma` is how far what was earned is above what was expected, in standard deviations; None where the sample is
    too small to say.
    """

    sigma: float | None
    fills: int
    events: int


def bets_of(fills: Iterable[Fill], fairs: Mapping[str, Price]) -> dict[str, list[EdgeSample]]:
    """By market, oldest first; `fairs` is by order id, and a fill without one is nobody's bet."""
    found: dict[str, list[EdgeSample]] = {}
    for fill in sorted(fills, key=lambda fill: fill.ts):
        fair = fairs.get(fill.order_id)
        if fair is not None:
            found.setdefault(fill.ticker, []).append(EdgeSample(ts=fill.ts, qty=fill.side.sign * fill.qty, fair=fair))
    return found


def edge_kept(
    bets: Mapping[str, Sequence[EdgeSample]], values: Mapping[str, Price], event_of: Mapping[str, str]
) -> EdgeRealization:
    """Over markets that settled (`values`: the payout of one YES) and those whose bets are closed."""
    luck, fills = 0.0, 0
    deviations: dict[str, float] = {}
    for ticker, placed in bets.items():
        counted = _counted(placed, values.get(ticker))
        if counted is None:
            continue
        earned, variance = counted
        event = event_of.get(ticker, ticker)
        luck += earned
        fills += len(placed)
        deviations[event] = deviations.get(event, 0.0) + math.sqrt(variance)
    spread = math.sqrt(sum(each * each for each in deviations.values()))
    says_something = fills >= MIN_FILLS and len(deviations) >= MIN_EVENTS and spread > 0
    return EdgeRealization(sigma=luck / spread if says_something else None, fills=fills, events=len(deviations))


def _counted(placed: Sequence[EdgeSample], value: Price | None) -> tuple[float, float] | None:
    """What one market earned beyond what was expected, and the variance of that; None while it is open."""
    earned = variance = 0.0
    held = 0
    for bet, after in pairwise(placed):
        held += bet.qty
        change = held * (after.fair - bet.fair)
        earned += change
        variance += change * change
    held, last = held + placed[-1].qty, placed[-1].fair
    if held and value is None:
        return None
    if value is not None:
        earned += held * (value - last)
        variance += held * held * last * (ONE_DOLLAR - last)
    return earned, variance
