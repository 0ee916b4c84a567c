"""Bars of a coin's price, their volatility, and the indicators RSI, MACD and VWAP, computed by talipp."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import NamedTuple

import msgspec

RSI_BARS, MACD_FAST, MACD_SLOW, MACD_SIGNAL = 14, 12, 26, 9
"""The usual settings."""
REGIME_BARS = 30
TREND_FROM = 0.3
"""The efficiency ratio (Kaufman) that counts as a trend. A random walk has about 1 / sqrt(bars): 0.18."""

HOLE_S = 120.0
"""After a gap longer than this plus ten bars, earlier prices are discarded."""

_HOUR_MS = 3_600_000
_KEPT, _PURGED = 200, 100
"""The values that an indicator keeps beyond its look-back, and how many are removed at once."""


class _Bar(msgspec.Struct):
    slot: int
    high: float
    low: float
    close: float
    volume: float


class BarIndicators(NamedTuple):
    """The indicators.

    `macd` is the histogram in standard deviations of a bar. `vwap` is the distance of the price from the hour's VWAP,
    in standard deviations of the bars since the hour began.
    """

    rsi: float
    macd: float
    vwap: float
    is_trend: bool


class Bars:
    """The bars of one coin; the volatility uses `vol_bars` of them."""

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
        """Add a trade at `ts` in milliseconds.

        A late trade counts in the current bar. If the clock was set back, everything starts again.
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
        """Complete a bar; the next one begins `slots` later."""
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
        """Return the number of bars in the volatility."""
        return len(self._moves)

    @property
    def vol(self) -> float:
        """Return the realized volatility: the standard deviation of the log price over one second, 0 without bars."""
        seconds = sum(slots for _, slots in self._moves) * self._bar_ms / 1000
        return math.sqrt(sum(move * move for move, _ in self._moves) / seconds) if seconds else 0.0

    @property
    def signals(self) -> BarIndicators | None:
        """Return the indicators, None without enough bars or without any movement."""
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
