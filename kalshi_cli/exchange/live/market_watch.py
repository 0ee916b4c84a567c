"""Current markets: read again when the stream announces a change, and by local timers.

The exchange announces nothing when a market opens or closes on schedule, and an announcement is only a hint to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ExchangeError, UnreachableError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import MarketChange
from kalshi_cli.exchange.client import KalshiClient

MAX_AT_ONCE = 100
"""Markets read by one request."""

AGAIN_S = 5.0
"""Delay after a failed read, or one that shows a market open after its close."""

CLOSED_AGAIN_S = 30.0
"""Interval for reading a closed market until it is final."""

MAX_MISSES = 5
"""Responses without a market after which it is given up."""


class MarketWatch:
    """The markets of a feed, and when each must be read again."""

    def __init__(self, client: KalshiClient, clock: Clock, tell: Callable[[str], None]) -> None:
        self._client = client
        self._clock = clock
        self._tell = tell
        self._markets: dict[str, Market] = {}
        self._due: dict[str, float] = {}
        self._misses: dict[str, int] = {}
        self._is_failing = False

    @property
    def tickers(self) -> list[str]:
        """Return the markets that are not final."""
        return list(self._markets)

    @property
    def markets(self) -> list[Market]:
        """Return the markets as last read."""
        return list(self._markets.values())

    def follow(self, markets: Iterable[Market]) -> None:
        """Watch these markets too."""
        for market in markets:
            self._markets[market.ticker] = market

    def mark(self, tickers: Iterable[str], delay_s: float = 0.0) -> None:
        """Read these markets again after `delay_s`; an earlier appointment stays."""
        at = self._clock.monotonic() + delay_s
        for ticker in tickers:
            if ticker in self._markets:
                self._due[ticker] = min(at, self._due.get(ticker, at))

    def refresh_soon(self, ticker: str, close_time: Ts) -> MarketChange | None:
        """Apply an earlier close announced by the stream, which cannot wait for a read."""
        market = self._markets.get(ticker)
        if market is None or close_time >= market.close_time:
            return None
        self._markets[ticker] = msgspec.structs.replace(market, close_time=close_time)
        return MarketChange(self._clock.now(), self._markets[ticker])

    def changes(self) -> list[MarketChange]:
        """Return changes by schedule, and the markets that were due for a read. It never raises."""
        found = self._by_clock()
        now = self._clock.monotonic()
        due = [ticker for ticker, at in self._due.items() if at <= now][:MAX_AT_ONCE]
        if due:
            found += self._read(due)
        return found

    def _by_clock(self) -> list[MarketChange]:
        now = self._clock.now()
        found = []
        for ticker, market in self._markets.items():
            if market.status is MarketStatus.ACTIVE and now >= market.close_time:
                self._markets[ticker] = msgspec.structs.replace(market, status=MarketStatus.CLOSED)
                found.append(MarketChange(now, self._markets[ticker]))
                self._due[ticker] = self._clock.monotonic() + AGAIN_S
            elif market.status is MarketStatus.INITIALIZED and now >= market.open_time:
                self.mark((ticker,))
        return found

    def _read(self, due: list[str]) -> list[MarketChange]:
        for ticker in due:
            del self._due[ticker]
        try:
            markets = list(self._client.markets(tickers=due))
        except (ExchangeError, UnreachableError) as error:
            if not self._is_failing:
                self._tell(f"Markets could not be read again: {error}")
            self._is_failing = True
            self.mark(due, AGAIN_S)
            return []
        self._is_failing = False
        self._count_missing(set(due) - {market.ticker for market in markets})
        now = self._clock.now()
        return [MarketChange(now, self._take(market)) for market in markets if market.ticker in self._markets]

    def _take(self, market: Market) -> Market:
        self._misses.pop(market.ticker, None)
        if market.status is MarketStatus.ACTIVE and self._clock.now() >= market.close_time:
            market = msgspec.structs.replace(market, status=MarketStatus.CLOSED)  # reads lag behind the clock
            self._due[market.ticker] = self._clock.monotonic() + AGAIN_S
        self._markets[market.ticker] = market
        if market.status is MarketStatus.FINALIZED:
            del self._markets[market.ticker]
        elif market.status is MarketStatus.INITIALIZED:
            self.mark((market.ticker,), AGAIN_S)
        elif market.status is not MarketStatus.ACTIVE:
            self.mark((market.ticker,), CLOSED_AGAIN_S)
        return market

    def _count_missing(self, missing: set[str]) -> None:
        """Count missing markets; one can be missing for a moment right after its creation."""
        for ticker in missing:
            self._misses[ticker] = self._misses.get(ticker, 0) + 1
            if self._misses[ticker] < MAX_MISSES:
                self.mark((ticker,), AGAIN_S)
            else:
                self._tell(f"The exchange no longer knows market {ticker}; it is not watched any longer")
                del self._markets[ticker], self._misses[ticker]
