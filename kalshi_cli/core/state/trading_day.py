"""The P&L of the trading day.

It is the realized profit since midnight, less the fees since midnight, plus the change since midnight of the unrealized
P&L. It is counted from fills and settlements by the exchange's times, so neither a restart nor a lost state file resets
it.

A position carried over midnight needs its closing price at that time: the last one that this engine saw before, else
the one that `EngineState.opening_marks` finds. Without either, its loss counts in full and its gain not at all, so that
yesterday's gain cannot hide a loss of today.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState

OPENING_AGE_MS = 3_600_000
"""The longest time before midnight at which an engine can have seen the prices of the new day's start."""


class TradingDayTotals:
    """A counter of the day's P&L. For the time before midnight it keeps only a sum per market."""

    def __init__(self, state: EngineState, limits: RiskLimits) -> None:
        self._state = state
        self._day_start = limits.day_start
        self._start: Ts | None = None
        self._before: dict[str, Money] = {}
        self._changed: set[str] = set()
        self._marks: dict[tuple[str, bool], Price | None] = {}
        self._seen: tuple[Ts, dict[str, Price]] = (Ts(0), {})
        """The time and the marks of the last count."""
        self.unpriced: set[str] = set()
        """The markets carried over midnight whose closing price at that time is unknown."""

    def booked(self, entry: Fill | Settlement) -> None:
        """Note a new ledger entry.

        An entry of today does not change the sum before midnight, except that a settlement can replace an older one.
        """
        if isinstance(entry, Settlement) or self._start is None or entry.ts < self._start:
            self._changed.add(entry.ticker)

    def reopened(self, ticker: str) -> None:
        """Note that the entries of a closed market were read again."""
        self._changed.add(ticker)

    def net(self) -> Money:
        """Return the P&L of the day. A position without a price counts at cost."""
        ledger = self._state.ledger
        self._open_day(self._day_start(self._state.now))
        self._count_before()
        before = ledger.carried + sum(self._before.values())
        marks = self._current_marks()
        self._seen = (self._state.now, {ticker: mark for ticker, mark in marks.items() if mark is not None})
        hidden = sum(max(0, self._unrealized(marks, ticker)[0]) for ticker in self.unpriced)
        return Money(ledger.realized - ledger.fees - before + self._unrealized(marks)[0] - hidden)

    def _open_day(self, start: Ts) -> None:
        """Begin another trading day, with the last marks that were seen before its midnight."""
        if start == self._start:
            return
        self._start = start
        seen, marks = self._seen
        self._state.opening = (start, marks if start - OPENING_AGE_MS <= seen < start else {})
        self.unpriced.clear()
        self._changed.update(self._state.ledger.tickers)

    def _count_before(self) -> None:
        """Count what the changed markets had gained by midnight, open positions included."""
        start, opening = self._state.opening
        past = {ticker: self._state.ledger.before(ticker, start) for ticker in self._changed}
        self._changed.clear()
        held = {ticker: each.net_held for ticker, each in past.items()}
        missing = {ticker: qty for ticker, qty in held.items() if qty is not None and ticker not in opening}
        if missing:
            opening |= self._state.opening_marks(start, missing)
        for ticker, each in past.items():
            carried = each.unrealized(opening)
            (self.unpriced.discard if carried is not None else self.unpriced.add)(ticker)
            self._before[ticker] = Money(each.realized - each.fees + (carried or 0))

    def net_since_first_fill(self) -> tuple[Money, bool]:
        """Return the P&L since the first fill, and whether all open positions have a price."""
        unrealized, is_certain = self._unrealized(self._current_marks())
        return Money(self._state.ledger.realized - self._state.ledger.fees + unrealized), is_certain

    def held_up(self) -> Money:
        """Return how much of the value exists only because of our own quotes.

        While an order is in transit, the book and our records can disagree, so this can be too high for a moment.
        """
        return Money(sum(self._state.held_up(ticker, qty) for ticker, qty in self._state.net_held().items()))

    def count_at_cost(self) -> int:
        """Return the number of markets with a position and no price: their open P&L is not counted."""
        return sum(mark is None for mark in self._current_marks().values())

    def _current_marks(self) -> dict[str, Price | None]:
        return {ticker: self._mark(ticker, qty) for ticker, qty in self._state.net_held().items()}

    def _unrealized(self, marks: Mapping[str, Price | None], ticker: str = "") -> tuple[int, bool]:
        """Return the unrealized P&L, of one market or of all, and whether all of its positions have a price."""
        ledger = self._state.ledger
        positions = ledger.holdings(ticker) if ticker else ledger.positions.values()
        gains = [position.unrealized(marks[position.ticker]) for position in positions if position.qty]
        return sum(gain or 0 for gain in gains), None not in gains

    def _mark(self, ticker: str, qty: Qty) -> Price | None:
        """Return the mark of a position. While its book is unusable, the last mark stays: a short gap is not a loss."""
        book, market, side = self._state.books.get(ticker), self._state.seen(ticker), (ticker, qty > 0)
        if book is not None and book.is_usable:
            self._marks[side] = self._state.mark_of(ticker, qty)
        is_settled = market is not None and market.settlement_value is not None
        return self._marks[side] if side in self._marks and not is_settled else self._state.mark_of(ticker, qty)


def day_of(ts: Ts, zone: ZoneInfo) -> str:
    """Return the trading day of a time, as YYYY-MM-DD."""
    return datetime.fromtimestamp(ts / 1000, zone).strftime("%Y-%m-%d")


def day_start(ts: Ts, zone: ZoneInfo) -> Ts:
    """Return the midnight before `ts` in the zone. On two days of the year it is 23 or 25 hours before the next."""
    local = datetime.fromtimestamp(ts / 1000, zone)
    # for zones whose clocks go back at midnight
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return Ts(int(midnight.timestamp() * 1000))
