"""How likely a coin ends above a strike: the normal model over what is left, tilted a little by indicators.

All pure. Prices of coins are dollars as floats here: a chance becomes an integer price only once it is one.
"""

from __future__ import annotations

import math

from kalshi_cli.strategies.crypto.bars import BarIndicators

AVERAGE_S = 60.0
"""The index that decides is averaged over the last minute, and an average moves less than a price."""

CALMEST = 1e-5
"""Standard deviation of a second, 0.3 % a day: a price that stands still is a feed that hangs, not a coin at rest."""

_RSI_EXTREME = 20.0
"""From 50: the usual bounds are 30 and 70."""


def chance(spot: float, low: float, high: float, left_s: float, vol: float, tilt: float = 0.0) -> float:
    """How likely the average over the last minute before a moment `left_s` away lies in [low, high).

    `vol` is the standard deviation of the logarithm over one second. The logarithm of the average is taken to be normal
    around that of the spot, moved by `tilt` standard deviations. Within the last minute a part of the average is known
    already; here it is taken for the spot.
    """
    left = max(0.0, left_s)
    seconds = left - AVERAGE_S * 2 / 3 if left >= AVERAGE_S else left**3 / (3 * AVERAGE_S**2)
    sd = max(max(vol, CALMEST) * math.sqrt(seconds), 1e-9)

    def below(bound: float) -> float:
        at = math.log(bound / spot) / sd if 0 < bound < math.inf else math.copysign(math.inf, bound - spot)
        return 0.5 * math.erfc((tilt - at) / math.sqrt(2))

    return below(high) - below(low)


def tilt(signals: BarIndicators, most: float) -> float:
    """What the indicators say about where it goes, in standard deviations, never more than `most` either way.

    In a trend all three are followed, a third each. In a range what has run away from the middle is expected back: RSI
    and the distance from VWAP count half each, the other way round.
    """
    rsi = _bounded((signals.rsi - 50) / _RSI_EXTREME)
    macd, vwap = _bounded(signals.macd), _bounded(signals.vwap)
    return most * (rsi + macd + vwap) / 3 if signals.is_trend else -most * (rsi + vwap) / 2


def _bounded(value: float) -> float:
    return max(-1.0, min(1.0, value))
