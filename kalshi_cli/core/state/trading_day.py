"""The P&L of the trading day.

It is the realized profit since midnight, less the fees since midnight, plus open positions at their marks less their
cost. It is counted from fills and settlements by the exchange's times, so neither a restart nor a lost state file
resets it.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState


class TradingDayTotals:
    """A counter of the day's P&L. For the time before midnight it keeps only a sum per market."""

    def __init__(self, state: EngineState, limits: RiskLimits) -> None:
        self._state = state
        self._day_start = limits.day_start
        self._start: Ts | None = None
        self._before: dict[str, Money] = {}
        self._changed: set[str] = set()
        self._marks: dict[tuple[str, bool], Price | None] = {}

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
        ledger, start = self._state.ledger, self._day_start(self._state.now)
        if start != self._start:
            self._start = start
            self._changed.update(ledger.tickers)
        for ticker in self._changed:
            self._before[ticker] = ledger.net_before(ticker, start)
        self._changed.clear()
        before = ledger.carried + sum(self._before.values())
        return Money(ledger.realized - ledger.fees - before + self._unrealized()[0])

    def net_since_first_fill(self) -> tuple[Money, bool]:
        """Return the P&L since the first fill, and whether all open positions have a price."""
        unrealized, is_certain = self._unrealized()
        return Money(self._state.ledger.realized - self._state.ledger.fees + unrealized), is_certain

    def held_up(self) -> Money:
        """Return how much of the value exists only because of our own quotes.

        While an order is in transit, the book and our records can disagree, so this can be too high for a moment.
        """
        return Money(sum(self._state.held_up(ticker, qty) for ticker, qty in self._state.net_held().items()))

    def _unrealized(self) -> tuple[int, bool]:
        held = [position for position in self._state.ledger.positions.values() if position.qty]
        marks = {ticker: self._mark(ticker, qty) for ticker, qty in self._state.net_held().items()}
        gains = [position.unrealized(marks[position.ticker]) for position in held]
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
