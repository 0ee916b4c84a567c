"""A comparison of earned and expected profit, in standard deviations.

A fill at a better price than its fair value is expected to earn the difference. If fair values are right, anything
beyond that is luck: they rise as often as they fall, and end at 0 or 1. The sum of position times change of fair value
over all fills should then be zero, with a variance equal to the squared changes plus f(1 - f) for the last one. Nothing
is assumed about how fair values move. Markets of one event move together; their deviations are added as if fully
correlated, which delays a verdict but makes no false one more likely.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model.orders import Fill

MIN_FILLS = 30
MIN_EVENTS = 10
"""Smaller samples are not judged: a thousand fills on one outcome are one bet."""


class EdgeSample(msgspec.Struct, frozen=True, kw_only=True):
    """A fill of a strategy: its signed contracts, and the fair value of one YES when the strategy decided."""

    ts: Ts
    qty: int
    fair: Price


class MarketEdge(msgspec.Struct, frozen=True):
    """The fills of a market that is over, or of several of one event: how many, and the profit beyond expectation.

    `earned` and `deviation` are in units of `Price` times `Qty`.
    """

    event: str
    fills: int
    earned: float
    deviation: float


class EdgeRealization(msgspec.Struct, frozen=True, kw_only=True):
    """The result. `sigma` is the profit above expectation in standard deviations, None for a small sample."""

    sigma: float | None
    fills: int
    events: int


def bets_of(fills: Iterable[Fill], fairs: Mapping[str, Price]) -> dict[str, list[EdgeSample]]:
    """Return the samples by market, oldest first. `fairs` is by order id; fills without a fair value are left out."""
    found: dict[str, list[EdgeSample]] = {}
    for fill in sorted(fills, key=lambda fill: fill.ts):
        fair = fairs.get(fill.order_id)
        if fair is not None:
            found.setdefault(fill.ticker, []).append(EdgeSample(ts=fill.ts, qty=fill.side.sign * fill.qty, fair=fair))
    return found


def market_edges(
    bets: Mapping[str, Sequence[EdgeSample]], values: Mapping[str, Price], event_of: Mapping[str, str]
) -> Iterator[MarketEdge]:
    """Yield the edge of each market that is over: settled, or without a position."""
    for ticker, placed in bets.items():
        counted = _counted(placed, values.get(ticker))
        if counted is not None:
            earned, variance = counted
            yield MarketEdge(event_of.get(ticker, ticker), len(placed), earned, math.sqrt(variance))


def edge_of(markets: Iterable[MarketEdge]) -> EdgeRealization:
    """Compare earned with expected profit over these markets."""
    luck, fills = 0.0, 0
    deviations: dict[str, float] = {}
    for market in markets:
        luck += market.earned
        fills += market.fills
        deviations[market.event] = deviations.get(market.event, 0.0) + market.deviation
    spread = math.sqrt(sum(each * each for each in deviations.values()))
    says_something = fills >= MIN_FILLS and len(deviations) >= MIN_EVENTS and spread > 0
    return EdgeRealization(sigma=luck / spread if says_something else None, fills=fills, events=len(deviations))


def _counted(placed: Sequence[EdgeSample], value: Price | None) -> tuple[float, float] | None:
    """Return the profit of one market beyond expectation and its variance; None while it is open."""
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
