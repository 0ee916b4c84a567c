"""Bars of a coin's price, how much it moves, and what RSI, MACD and VWAP say of it. talipp reckons the indicators."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import NamedTuple

import msgspec

RSI_BARS, MACD_FAST, MACD_SLOW, MACD_SIGNAL = 14, 12, 26, 9
"""As everybody sets them."""
REGIME_BARS = 30
TREND_FROM = 0.3
"""The share of its way that a price went straight on (Kaufman's efficiency ratio), from which it is a trend. A price
that moves by chance has about 1 / sqrt(bars): 0.18."""

HOLE_S = 120.0
"""Nothing was heard for longer than this and ten bars: what was before says nothing of now."""

_HOUR_MS = 3_600_000
_KEPT, _PURGED = 200, 100
"""Values that an indicator keeps, more than it looks back; and how many go at once."""


class _Bar(msgspec.Struct):
    slot: int
    high: float
    low: float
    close: float
    volume: float


class BarIndicators(NamedTuple):
    """What the indicators say. `macd` (the histogram) is in standard deviations of a bar, `vwap` (how far the price is
    above that of the hour) in those of the bars since the hour began.
    """

    rsi: float
    macd: float
    vwap: float
    is_trend: bool


class Bars:
    """Of one coin: `vol_bars` of them count for its volatility."""

    def __init__(self, bar_s: float, vol_bars: int) -> None:
        self._bar_ms = bar_s * 1000
        self._hole_ms = 1000 * HOLE_S + 10 * self._bar_ms
        self._moves: deque[tuple[float, int]] = deque(maxlen=vol_bars)
        self._bar: _Bar | None = None
        self._ahead = 0
        self._forget()

    def _forget(self) -> None:
        from talipp.indicators import MACD, RSI

        self._moves.clear()
        self._closes: deque[float] = deque(maxlen=REGIME_BARS + 1)
        self._rsi, self._macd = RSI(RSI_BARS), MACD(MACD_FAST, MACD_SLOW, MACD_SIGNAL)
        self._begin_hour(-1)

    def _begin_hour(self, hour: int) -> None:
        from talipp.indicators import VWAP

        self._hour, self._vwap = hour, VWAP()

    def add(self, ts: int, price: float, size: float) -> None:
        """A trade at `ts` in milliseconds. One that comes late counts into the bar at hand; after a clock was set back,
        all begins anew.
        """
        slot, bar = int(ts // self._bar_ms), self._bar
        if bar is not None and (bar.slot - slot) * self._bar_ms > self._hole_ms:
            self._forget()
            self._bar = bar = None
        if bar is None or slot > bar.slot:
            if bar is not None:
                self._complete(bar, slot - bar.slot)
            self._bar = _Bar(slot, price, price, price, size)
        else:
            bar.high, bar.low, bar.close = max(bar.high, price), min(bar.low, price), price
            bar.volume += size

    def _complete(self, bar: _Bar, slots: int) -> None:
        """Count a bar; the next one begins `slots` later."""
        from talipp.ohlcv import OHLCV

        if self._closes:
            self._moves.append((math.log(bar.close / self._closes[-1]), self._ahead))
        self._ahead = slots
        self._closes.append(bar.close)
        self._rsi.add(bar.close)
        self._macd.add(bar.close)
        hour = int(bar.slot * self._bar_ms // _HOUR_MS)
        if hour != self._hour:
            self._begin_hour(hour)
        self._vwap.add(OHLCV(bar.close, bar.high, bar.low, bar.close, bar.volume))
        for indicator in (self._rsi, self._macd):
            if len(indicator) >= _KEPT + _PURGED:
                indicator.purge_oldest(_PURGED)
        if slots * self._bar_ms > self._hole_ms:
            self._forget()

    @property
    def count(self) -> int:
        """How many bars the volatility is reckoned from."""
        return len(self._moves)

    @property
    def vol(self) -> float:
        """The standard deviation of the logarithm over one second, as realized; 0 where there are no bars."""
        seconds = sum(slots for _, slots in self._moves) * self._bar_ms / 1000
        return math.sqrt(sum(move * move for move, _ in self._moves) / seconds) if seconds else 0.0

    @property
    def signals(self) -> BarIndicators | None:
        """What the indicators say now; None before there are enough bars, or while nothing moves."""
        macd = self._macd[-1] if len(self._macd) else None
        vwap = self._vwap[-1] if len(self._vwap) else None
        closes, vol = self._closes, self.vol
        if macd is None or macd.histogram is None or vwap is None or len(closes) <= REGIME_BARS or not vol:
            return None
        unit = closes[-1] * vol * math.sqrt(self._bar_ms / 1000)
        way = sum(abs(after - before) for before, after in pairwise(closes))
        is_trend = way > 0 and abs(closes[-1] - closes[0]) >= TREND_FROM * way
        spread = unit * math.sqrt(len(self._vwap))
        return BarIndicators(self._rsi[-1], macd.histogram / unit, (closes[-1] - vwap) / spread, is_trend)
