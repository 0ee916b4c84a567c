"""The position of a loop in its tables, so that the next start reads only newer bookings.

The position is three marks of the state file: the last booking that is in the tables, and the size and the checksum of
`trades.csv`. All of history is read where they do not fit: the first time, and where a table was moved or edited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kalshi_cli.base.units import Ts
from kalshi_cli.core.account.closed_markets import FINAL_MS
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.telemetry.tables import TableEnd
from kalshi_cli.telemetry.trade_book import PastEntries, TradeBook

if TYPE_CHECKING:
    from kalshi_cli.store.sqlite_store import Store
    from kalshi_cli.telemetry.tables import Tables

BOOKED, SIZE, CHECK = "tables_booked", "tables_size", "tables_check"
"""The marks of the state file."""

LONGEST_DAY_MS = 26 * 3_600_000
"""Longer than any trading day, also where a clock is changed."""


class TablePosition:
    """The tables of a run, and how far they are written."""

    def __init__(self, tables: Tables, store: Store, day_of: Callable[[Ts], str]) -> None:
        self._tables = tables
        self._marks = store.alert_book
        self._history = store.history
        self._day_of = day_of
        self._booked = 0
        self.book = TradeBook(
            tables, store.order, day_of, since=self._since, closed=lambda ticker: _entries(store, ticker)
        )

    def open(self) -> None:
        """Write the trades that are missing in the tables; read only newer bookings where the position fits."""
        mark = self._marks.mark
        last, end = mark(BOOKED), TableEnd(mark(SIZE), mark(CHECK))
        newer = self._history.booked_after(last) if last and self._tables.resume(end) else None
        if newer is None:
            self._booked = self._marks.last_booked()
            self.book.open(self._since(Ts(0)))
            return
        self._booked = last
        final = self._history.newest() - FINAL_MS
        first = min([final, self._history.reopened(), *(each.ts for each in newer)])
        self.book.open(self._since(Ts(first)), newer)

    def save(self) -> None:
        """Save the position, unless another program made a booking that this run has not seen yet."""
        end, newer = self._tables.end(), self._history.booked_after(self._booked)
        if end is None or newer is None or not all(map(self.book.has, newer)):
            return
        self._booked = self._marks.last_booked()
        for name, value in ((BOOKED, self._booked), (SIZE, end.size), (CHECK, end.check)):
            self._marks.set_mark(name, value)

    def _since(self, since: Ts) -> PastEntries:
        """Return the entries of open markets, and of those with an entry since the day before that time; 0 is all."""
        start = Ts(max(0, since - LONGEST_DAY_MS))
        return PastEntries(self._history.entries(start), self._day_of(start) if start else "")


def _entries(store: Store, ticker: str) -> Sequence[Fill | Settlement]:
    """Return the entries of a closed market; none of any other."""
    market = store.closed_market(ticker)
    return market.entries if market is not None else ()
