"""The public trades and recent prices of a market for a screen, read in a thread of its own."""

from __future__ import annotations

import threading
from typing import NamedTuple

from kalshi_cli.app.event_source import OpenAccount
from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Price
from kalshi_cli.views.market_history import PublicTradeRow

EVERY_S = 3.0
NAP_S = 0.2
MAX_TRADES = 50


class History(NamedTuple):
    """Public trades, the newest first, and the closing prices of the last three hours by the minute."""

    trades: tuple[PublicTradeRow, ...] = ()
    closes: tuple[Price, ...] = ()
    problem: str = ""


class MarketHistory:
    """Reads the history of one market until it is stopped."""

    def __init__(self, open_account: OpenAccount, ticker: str, clock: Clock) -> None:
        self._open = open_account
        self._ticker = ticker
        self._clock = clock
        self._is_open = True
        self.newest = History()

    def start(self) -> None:
        """Start to read."""
        threading.Thread(target=self._read, name="market history", daemon=True).start()

    def stop(self) -> None:
        """Read no further."""
        self._is_open = False

    def _read(self) -> None:
        while self._is_open:
            try:
                with self._open() as kalshi:
                    closes = self._closes(kalshi)
                    while self._is_open:
                        trades = tuple(kalshi.markets.trades(self._ticker, limit=MAX_TRADES))
                        self.newest = History(trades, closes)
                        self._wait()
            except KalshiError as error:
                self.newest = History(problem=error.message)
                self._wait()

    def _closes(self, kalshi: Kalshi) -> tuple[Price, ...]:
        candles = kalshi.markets.candles(self._ticker, "1m")
        return tuple(each.close for each in candles if each.close is not None)

    def _wait(self) -> None:
        until = self._clock.monotonic() + EVERY_S
        while self._is_open and self._clock.monotonic() < until:
            self._clock.sleep(NAP_S)
