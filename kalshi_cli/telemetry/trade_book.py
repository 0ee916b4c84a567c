"""The results that a loop writes to the tables: each fill with its realized gain, each trading day with its result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.pnl import group_by, sort_by_time
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.telemetry.log_fields import edge
from kalshi_cli.telemetry.tables import DayRow, Tables, TradeRow


class _Day(msgspec.Struct):
    """The totals of one trading day."""

    trades: int = 0
    realized: int = 0
    fees: int = 0


class TradeBook:
    """A second ledger of the account that returns the gain of each single entry.

    `find` looks up an order by either id; `day_of` names the trading day of a time.
    """

    def __init__(self, tables: Tables, find: Callable[[str], Order | None], day_of: Callable[[Ts], str]) -> None:
        self._tables = tables
        self._find = find
        self._day_of = day_of
        self._ledger = Ledger()
        self._realized: dict[str, int] = {}
        self._days: dict[str, _Day] = {}
        self._last: dict[str, Fill | Settlement] = {}
        self._is_late = False

    def open(self, entries: Iterable[Fill | Settlement]) -> None:
        """Book the past entries of the account, and add its trades that are missing in the table."""
        ordered = sort_by_time(entries)
        missing = {fill.key for fill in self._tables.missing([each for each in ordered if isinstance(each, Fill)])}
        gains = [(entry, self._book(entry)) for entry in ordered]
        self._tables.add([self._row(e, gain) for e, gain in gains if isinstance(e, Fill) and e.key in missing])

    def book(self, entry: Fill | Settlement) -> Money:
        """Book an entry, add a trade to the table, and return the realized gain before fees."""
        realized = self._book(entry)
        if isinstance(entry, Fill) and self._tables.missing([entry]):
            self._tables.add([self._row(entry, realized)])
        return realized

    def write_days(self, now: Ts, unrealized: Money, balance: Money | None) -> None:
        """Write all days with entries; a late entry counts on its own day."""
        if self._is_late:
            self._count_days()
        today = self._day_of(now)
        self._days.setdefault(today, _Day())
        rows = {
            name: DayRow(
                day=name, trades=day.trades, realized=Money(day.realized), fees=Money(day.fees),
                net=Money(day.realized - day.fees),
                unrealized=unrealized if name == today else None, balance=balance if name == today else None,
            )
            for name, day in self._days.items()
        }  # fmt: skip
        self._tables.put_days(rows, today)

    def _count_days(self) -> None:
        """Count all days again, as for `pnl`: a late entry changes the gains of entries booked before it."""
        entries = self._ledger.entries
        made = group_by(entries, {}, lambda _, entry: self._day_of(entry.ts) if entry is not None else "")
        trades = Counter(self._day_of(entry.ts) for entry in entries if isinstance(entry, Fill))
        counted = {name: _Day(trades[name], day.realized, day.fees) for name, day in made.items()}
        self._days = {name: _Day() for name in self._days} | counted
        self._is_late = False

    def _book(self, entry: Fill | Settlement) -> Money:
        if not (self._ledger.book(entry) if isinstance(entry, Fill) else self._ledger.settle(entry)):
            return Money(0)
        last = self._last.setdefault(entry.ticker, entry)
        self._is_late |= entry.ts < last.ts or (last is not entry and isinstance(last, Settlement))
        if entry.ts >= last.ts:
            self._last[entry.ticker] = entry
        before = self._realized.get(entry.ticker, 0)
        after = sum(position.realized for position in self._ledger.holdings(entry.ticker))
        self._realized[entry.ticker] = after
        day = self._days.setdefault(self._day_of(entry.ts), _Day())
        day.realized += after - before
        if isinstance(entry, Fill):
            day.trades += 1
            day.fees += entry.fee
        return Money(after - before)

    def _row(self, fill: Fill, realized: Money) -> TradeRow:
        order = self._find(fill.order_id)
        return TradeRow(
            ts=fill.ts, ticker=fill.ticker, side=fill.side, price=fill.price, qty=fill.qty, fee=fill.fee,
            is_taker=fill.is_taker, strategy=order.strategy if order else "", realized=realized,
            edge=edge(fill.side, order.fair, fill.price) if order else None, trade_id=fill.trade_id,
            order_id=fill.order_id, client_order_id=fill.client_order_id or (order.client_order_id if order else ""),
            subaccount=fill.subaccount,
        )  # fmt: skip
