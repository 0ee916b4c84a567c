"""The best prices of a watchlist for a screen, read in a thread of its own: no loop needs to follow its markets."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from kalshi_cli.app.event_source import OpenAccount
from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError, StateFileError, UsageError
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.live import TopRow

EVERY_S = 2.0
NAP_S = 0.2

MAX_FOUND = 50
"""Markets that a search adds."""

OLD_S = 3.0
"""Seconds after which the row of a price says how old it is."""


def empty_rows(tickers: Sequence[str], text: str) -> tuple[TopRow, ...]:
    """Return rows without prices, which say why instead of their title."""
    return tuple(
        TopRow(ticker=ticker, title=TruncatableText(text), bid=None, bid_count=None, ask=None, ask_count=None)
        for ticker in tickers
    )


def aged(rows: tuple[TopRow, ...], age_s: float) -> tuple[TopRow, ...]:
    """Return rows that say how old their prices are, if they are old."""
    if age_s <= OLD_S:
        return rows
    return tuple(replace(row, title=TruncatableText(f"OLD: {age_s:.0f} s. {row.title}")) for row in rows)


def merged(listed: Sequence[TopRow], followed: Sequence[TopRow]) -> tuple[TopRow, ...]:
    """Return the rows of a watchlist, then all others. A row of the loop is newer, so it replaces one of the list."""
    live = {row.ticker: row for row in followed}
    first = {row.ticker: live.get(row.ticker, row) for row in listed}
    return (*first.values(), *(row for row in followed if row.ticker not in first))


Warn = Callable[[str, bool], None]
"""Takes words, and whether they report an error."""


def _silent(_words: str, _is_error: bool) -> None:
    """Say nothing."""


class ListPrices:
    """Reads the prices of some markets every few seconds, and of those that a search finds in the local catalog.

    Prices that cannot be read are not shown, and old ones show their age: the row says so.
    """

    def __init__(self, open_account: OpenAccount, tickers: Sequence[str], clock: Clock, warn: Warn = _silent) -> None:
        """Start with `start` or `search`; `warn` gets why a search cannot find anything."""
        self._open, self._warn = open_account, warn
        self._tickers = tuple(tickers)
        self._clock = clock
        self._is_open, self._is_started, self._words, self._searches = True, False, "", 0
        self._found: tuple[tuple[TopRow, ...], float] = empty_rows(self._tickers, "reading"), math.inf
        """The rows, and the monotonic second since which their prices may be wrong; none for rows without prices."""
        self._taken: tuple[TopRow, ...] = ()
        self._has_failed = False

    def start(self) -> None:
        """Start to read, if there are markets."""
        if self._tickers:
            self._start()

    def search(self, words: str) -> None:
        """Read the open markets with these words too, as far as the local catalog has them; "" for none."""
        self._words = words
        self._searches += 1
        if words:
            self._start()

    def _start(self) -> None:
        if not self._is_started:
            self._is_started = True
            threading.Thread(target=self._read, name="list prices", daemon=True).start()

    def stop(self) -> None:
        """Read no further."""
        self._is_open = False

    def newest(self) -> tuple[TopRow, ...] | None:
        """Return the rows if they changed since the last call."""
        rows, began = self._found
        rows = aged(rows, self._clock.monotonic() - began)
        if rows == self._taken:
            return None
        self._taken = rows
        return rows

    def _read(self) -> None:
        tickers, searches = self._tickers, 0
        while self._is_open:
            try:
                with self._open() as kalshi:
                    while self._is_open:
                        if self._searches != searches:
                            searches = self._searches
                            tickers = self._with_found(kalshi, self._words)
                        began = self._clock.monotonic()
                        self._found = (kalshi.trading.best_prices(tickers), began) if tickers else ((), math.inf)
                        self._wait(searches)
            except KalshiError as error:
                self._found = empty_rows(tickers, f"cannot be read: {error.message}"), math.inf
                self._wait(searches)

    def _with_found(self, kalshi: Kalshi, words: str) -> tuple[str, ...]:
        """Return the markets of the list, and those that the words find; no others without a catalog."""
        found: list[str] = []
        try:
            if words:
                found += (row.ticker for row in kalshi.markets.list(search=words, limit=MAX_FOUND, is_offline=True))
            if self._has_failed:
                self._warn("", False)  # in place of what was wrong
            self._has_failed = False
        except (UsageError, StateFileError) as error:
            self._has_failed = True
            self._warn(f"{error.message}, so the search finds no other markets: {error.hint}", True)
        return tuple(dict.fromkeys((*self._tickers, *found)))

    def _wait(self, searches: int) -> None:
        until = self._clock.monotonic() + EVERY_S
        while self._is_open and self._searches == searches and self._clock.monotonic() < until:
            self._clock.sleep(NAP_S)
