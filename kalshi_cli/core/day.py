"""What the trading day has brought so far: a function of what was booked, what it is worth, and where the day began.

Realized since midnight, less the fees since midnight, plus what is open now against what it cost. It is counted from
fills and settlements by the exchange's times, so neither a restart nor a lost state file makes it start again.
"""

from __future__ import annotations

from kalshi_cli.core.model import Fill, Settlement
from kalshi_cli.core.state import Limits, State
from kalshi_cli.units import Money, Price, Ts


class DayCount:
    """Counts the day as cheaply as it can: of what came before midnight only the sum is kept, market by market."""

    def __init__(self, state: State, limits: Limits) -> None:
        self._state = state
        self._day_start = limits.day_start
        self._start: Ts | None = None
        self._before: dict[str, Money] = {}
        self._changed: set[str] = set()
        self._marks: dict[str, Price | None] = {}

    def booked(self, entry: Fill | Settlement) -> None:
        """Something new is in the ledger. What is of today changes nothing of what came before, except that a
        settlement can take the place of an older one."""
        if isinstance(entry, Settlement) or self._start is None or entry.ts < self._start:
            self._changed.add(entry.ticker)

    def net(self) -> Money:
        """The day so far. What nobody knows a price of counts at what it cost."""
        ledger, start = self._state.ledger, self._day_start(self._state.now)
        if start != self._start:
            self._start = start
            self._changed.update(ledger.tickers)
        for ticker in self._changed:
            self._before[ticker] = ledger.net_before(ticker, start)
        self._changed.clear()
        self._mark()
        held = (position.unrealized(self._marks.get(position.ticker)) or 0 for position in ledger.positions.values())
        return Money(ledger.realized - ledger.fees - sum(self._before.values()) + sum(held))

    def _mark(self) -> None:
        """While a book cannot be trusted its last price stands: a gap of a second is no loss."""
        for ticker, price in self._state.marks().items():
            book = self._state.books.get(ticker)
            if book is None or book.is_usable or ticker not in self._marks:
                self._marks[ticker] = price
