"""The probability that a coin ends above a strike: a normal model, shifted slightly by indicators.

All functions are pure. Coin prices are floats in dollars here; a probability becomes an integer price later.
"""

from __future__ import annotations

import math

from kalshi_cli.strategies.crypto.bars import BarIndicators

AVERAGE_S = 60.0
"""The exchange settles on the average of the last minute, which moves less than a price."""

CALMEST = 1e-5
"""The lowest volatility per second, 0.3% a day: a price that does not move means a stuck feed, not a calm coin."""

_RSI_EXTREME = 20.0
"""The distance from 50: the usual thresholds are 30 and 70."""


def chance(spot: float, low: float, high: float, left_s: float, vol: float, tilt: float = 0.0) -> float:
    """Return the probability that the last minute's average before a time `left_s` away is in [low, high).

    `vol` is the standard deviation of the log price over one second. The log of the average is assumed to be normal
    around that of the spot price, shifted by `tilt` standard deviations. Within the last minute, the known part of the
    average is assumed to equal the spot price.
    """
    left = max(0.0, left_s)
    seconds = left - AVERAGE_S * 2 / 3 if left >= AVERAGE_S else left**3 / (3 * AVERAGE_S**2)
    sd = max(max(vol, CALMEST) * math.sqrt(seconds), 1e-9)

    def below(bound: float) -> float:
        at = math.log(bound / spot) / sd if 0 < bound < math.inf else math.copysign(math.inf, bound - spot)
        return 0.5 * math.erfc((tilt - at) / math.sqrt(2))

    return below(high) - below(low)


def tilt(signals: BarIndicators, most: float) -> float:
    """Return the shift by the indicators in standard deviations, at most `most` either way.

    In a trend the three indicators count a third each. In a range the price is expected to return: RSI and the distance
    from VWAP count half each, with the opposite sign.
    """
    rsi = _bounded((signals.rsi - 50) / _RSI_EXTREME)
    macd, vwap = _bounded(signals.macd), _bounded(signals.vwap)
    return most * (rsi + macd + vwap) / 3 if signals.is_trend else -most * (rsi + vwap) / 2


def _bounded(value: float) -> float:
    return max(-1.0, min(1.0, value))
