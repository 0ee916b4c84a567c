"""The results that a loop writes to the tables: each fill with its realized gain, each trading day with its result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.pnl import group_by, sort_by_time
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.telemetry.log_fields import edge
from kalshi_cli.telemetry.tables import DayRow, Tables, TradeRow


class PastEntries(NamedTuple):
    """Entries of whole markets, and the trading day after which they are all entries of the account."""

    entries: Sequence[Fill | Settlement]
    after_day: str


class _Day(msgspec.Struct):
    """The totals of one trading day."""

    trades: int = 0
    realized: int = 0
    fees: int = 0


class TradeBook:
    """A second ledger of the account that returns the gain of each single entry.

    `find` looks up an order by either id; `day_of` names the trading day of a time. `since` reads the markets with an
    entry since a time, `closed` the entries of a closed market.
    """

    def __init__(
        self,
        tables: Tables,
        find: Callable[[str], Order | None],
        day_of: Callable[[Ts], str],
        *,
        since: Callable[[Ts], PastEntries],
        closed: Callable[[str], Sequence[Fill | Settlement]],
    ) -> None:
        self._tables = tables
        self._find = find
        self._day_of = day_of
        self._since = since
        self._closed = closed
        self._forget("")

    def _forget(self, after_day: str) -> None:
        """Begin anew, with the days after this one."""
        self._after_day = after_day
        self._ledger = Ledger()
        self._realized: dict[str, int] = {}
        self._days: dict[str, _Day] = {}
        self._last: dict[str, Fill | Settlement] = {}
        self._is_late = False

    def open(self, past: PastEntries, newer: Sequence[Fill | Settlement] | None = None) -> None:
        """Book past entries, and add those trades that are missing in the table; with `newer`, only those of them."""
        self._forget(past.after_day)
        ordered = sort_by_time(past.entries)
        fills = [each for each in (ordered if newer is None else newer) if isinstance(each, Fill)]
        missing = {fill.key for fill in self._tables.missing(fills)}
        gains = [(entry, self._book(entry)) for entry in ordered]
        self._tables.add([self._row(e, gain) for e, gain in gains if isinstance(e, Fill) and e.key in missing])

    def book(self, entry: Fill | Settlement) -> Money:
        """Book an entry, add a trade to the table, and return the realized gain before fees."""
        if not self._ledger.has(entry.ticker):
            for each in sort_by_time(self._closed(entry.ticker)):
                if each != entry:
                    self._book(each)
        before = [each.ts for each in self._ledger.entries_of(entry.ticker) if isinstance(each, Settlement)]
        realized = self._book(entry)
        if isinstance(entry, Fill) and self._tables.missing([entry]):
            self._tables.add([self._row(entry, realized)])
        self._reach_back(min([entry.ts, *(before if isinstance(entry, Settlement) else ())]))
        return realized

    def has(self, entry: Fill | Settlement) -> bool:
        """Return whether a fill, or a settlement of that market, was booked here."""
        if isinstance(entry, Fill):
            return self._ledger.is_booked(entry)
        return any(isinstance(each, Settlement) for each in self._ledger.entries_of(entry.ticker))

    def _reach_back(self, ts: Ts) -> None:
        """Read the days from that time on, if an entry changes days that are not known here."""
        if self._day_of(ts) > self._after_day:
            return
        past = self._since(ts)
        self._forget(past.after_day)
        for entry in sort_by_time(past.entries):
            self._book(entry)

    def write_days(self, now: Ts, unrealized: Money, balance: Money | None) -> bool:
        """Write the known days with entries, and return whether they are written.

        A late entry counts on its own day.
        """
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
        return self._tables.put_days(rows, today)

    def _count_days(self) -> None:
        """Count all days again, as for `pnl`: a late entry changes the gains of entries booked before it."""
        entries = self._ledger.entries
        made = group_by(entries, {}, lambda _, entry: self._day_of(entry.ts) if entry is not None else "")
        trades = Counter(self._day_of(entry.ts) for entry in entries if isinstance(entry, Fill))
        counted = {
            name: _Day(trades[name], day.realized, day.fees) for name, day in made.items() if name > self._after_day
        }
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
        name = self._day_of(entry.ts)
        if name <= self._after_day:
            return Money(after - before)
        day = self._days.setdefault(name, _Day())
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
