"""Open and closed markets in the state file.

A market in `open_markets` is counted from its fills. For any other, `closed_markets` has the result of each strategy. A
trigger opens a market in the transaction that books a fill or a settlement there, or that saves an order there that has
traded, whichever program writes it. Closing reads the entries and saves their result in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from operator import attrgetter

import msgspec

from kalshi_cli.base.units import Price, Ts
from kalshi_cli.core.account import closed_markets
from kalshi_cli.core.account.closed_markets import ClosedMarket, ClosedTotals, StrategyResult
from kalshi_cli.core.account.realized_edge import MarketEdge
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.store import records, rows
from kalshi_cli.store.database import UnreadableRowError
from kalshi_cli.store.records import NEVER

LOOK_AGAIN_MS = 86_400_000
"""The time after which a market that was due, but not final, is looked at again. A booking there sets its own time."""

_OPEN = "IN (SELECT ticker FROM open_markets)"
_NEWEST = "SELECT MAX((SELECT COALESCE(MAX(ts), 0) FROM fills), (SELECT COALESCE(MAX(ts), 0) FROM settlements))"
_DUE = (
    "SELECT ticker FROM open_markets WHERE due <= ?"
    " AND (SELECT COUNT(*) FROM fills WHERE fills.ticker = open_markets.ticker) <= ? ORDER BY due, ticker LIMIT ?"
)
_LIVE_THERE = "SELECT 1 FROM orders WHERE status IN ('submitted', 'unknown', 'resting') AND ticker = ?"
_LOOK_LATER = "UPDATE open_markets SET due = ? WHERE ticker = ?"
_FORGET = "DELETE FROM closed_markets WHERE ticker = ?"
_PUT = "INSERT INTO closed_markets (ticker, strategy, realized, fees, wins, losses) VALUES (?, ?, ?, ?, ?, ?)"
_PUT_TOTALS = rows.insert("closed_totals", ClosedTotals, key="ticker", verb="INSERT OR REPLACE")
_CLOSE = "DELETE FROM open_markets WHERE ticker = ?"
FILLS_OF = f"SELECT {rows.columns(Fill)} FROM fills WHERE ticker = ? ORDER BY ts, trade_id, order_id"  # noqa: S608
SETTLEMENT_OF = f"SELECT {rows.columns(Settlement)} FROM settlements WHERE ticker = ?"  # noqa: S608
_ORDERS_OF = rows.ORDERS + (  # noqa: S608 - constants
    " WHERE key IN (SELECT client_order_id FROM fills WHERE ticker = ?1)"
    " OR order_id <> '' AND order_id IN (SELECT order_id FROM fills WHERE ticker = ?1) ORDER BY created, key"
)
ANY_DUE = "SELECT 1 FROM open_markets WHERE due <= ? LIMIT 1"
CLOSED = "SELECT 1 FROM closed_markets WHERE ticker = ? LIMIT 1"
_RESULTS_OF = "SELECT strategy, realized, fees, wins, losses FROM closed_markets WHERE ticker = ?"

OPEN_FILLS = f"SELECT {rows.columns(Fill)} FROM fills WHERE ticker {_OPEN} ORDER BY ts, trade_id, order_id"  # noqa: S608
OPEN_SETTLEMENTS = f"SELECT {rows.columns(Settlement)} FROM settlements WHERE ticker {_OPEN} ORDER BY ts, ticker"  # noqa: S608
# The results of closed markets by strategy, without those markets.
_SUMS_WITHOUT = (
    "strategy, SUM(realized), SUM(fees), SUM(wins), SUM(losses) FROM (SELECT * FROM closed_sums UNION ALL"
    " SELECT strategy, -realized, -fees, -wins, -losses, -1 FROM closed_markets WHERE ticker {})"
    " GROUP BY strategy HAVING SUM(markets) > 0 ORDER BY strategy"
)
RESULTS = f"SELECT {_SUMS_WITHOUT.format(_OPEN)}"

# Markets whose entries are counted: the open ones, those with a booking since then, and those named.
_COUNTED = (
    "IN (SELECT ticker FROM open_markets UNION SELECT ticker FROM fills WHERE ts >= ?1"
    " UNION SELECT ticker FROM settlements WHERE ts >= ?1 UNION SELECT value FROM json_each(?2))"
)
_COUNTED_FILLS = f"SELECT {rows.columns(Fill)} FROM fills WHERE ticker {_COUNTED} ORDER BY ts, trade_id, order_id"  # noqa: S608
_COUNTED_SETTLEMENTS = f"SELECT {rows.columns(Settlement)} FROM settlements WHERE ticker {_COUNTED} ORDER BY ts, ticker"  # noqa: S608
_COUNTED_ORDERS = rows.ORDERS + (  # noqa: S608
    f" WHERE key IN (SELECT client_order_id FROM fills WHERE ticker {_COUNTED})"  # noqa: S608
    f" OR order_id <> '' AND order_id IN (SELECT order_id FROM fills WHERE ticker {_COUNTED}) ORDER BY created, key"
)
# One row for each market: `strategy` is empty.
_UNCOUNTED = (
    "SELECT c.ticker, COALESCE(s.event_ticker, ''), '', c.realized, c.fees, c.wins, c.losses FROM"  # noqa: S608
    " (SELECT ticker, SUM(realized) AS realized, SUM(fees) AS fees, SUM(wins) AS wins, SUM(losses) AS losses"
    f" FROM closed_markets WHERE ticker NOT {_COUNTED} GROUP BY ticker) AS c"
    " LEFT JOIN settlements AS s ON s.ticker = c.ticker ORDER BY c.ticker"
)
_UNCOUNTED_SUMS = f"SELECT '', '', {_SUMS_WITHOUT.format(_COUNTED)}"
_IS_SUBACCOUNT_USED = "SELECT 1 FROM fills WHERE subaccount = ? AND subaccount <> 0 LIMIT 1"


def close_markets(execute: rows.Execute, now: Ts, limit: int, most_fills: int) -> None:
    """Save the results of up to `limit` final markets with at most `most_fills`, within a transaction.

    A market is final by the newest booking, and by the clock: a wrong date of one of them closes nothing early.
    """
    until = min(now, execute(_NEWEST).fetchone()[0])
    for (ticker,) in execute(_DUE, (until, most_fills, limit)).fetchall():
        market = market_of(execute, ticker)
        is_live = execute(_LIVE_THERE, (ticker,)).fetchone() is not None
        results = None if is_live else closed_markets.closing_results(market.entries, market.orders)
        if results is None:
            execute(_LOOK_LATER, (until + LOOK_AGAIN_MS, ticker))
            continue
        execute(_FORGET, (ticker,))
        for result in results:
            execute(_PUT, (ticker, *rows.row(result)))
        execute(_PUT_TOTALS, (ticker, *rows.row(closed_markets.closing_totals(market.entries, market.orders))))
        execute(_CLOSE, (ticker,))


def market_of(execute: rows.Execute, ticker: str) -> ClosedMarket:
    """Return the history of a market, with the results from its last closing."""

    def select(kind: type[rows.T], sql: str) -> list[rows.T]:
        try:
            return [rows.read(kind, found) for found in execute(sql, (ticker,)).fetchall()]
        except msgspec.ValidationError as error:
            raise UnreadableRowError(f"{kind.__name__}: {error}") from error

    entries: list[Fill | Settlement] = [*select(Fill, FILLS_OF), *select(Settlement, SETTLEMENT_OF)]
    return ClosedMarket(
        orders=tuple(select(Order, _ORDERS_OF)),
        entries=tuple(sorted(entries, key=lambda entry: (entry.ts, isinstance(entry, Settlement)))),
        results=tuple(select(StrategyResult, _RESULTS_OF)),
    )


_RECOUNTED = "SELECT ticker, completed FROM recount"
_OPEN_AGAIN = "INSERT OR IGNORE INTO open_markets (ticker, due) VALUES (?, 0)"
_PUT_RECOUNTED = "INSERT OR REPLACE INTO recount (id, ticker, completed) VALUES (1, ?, ?)"
_CLOSED_AFTER = (
    f"SELECT DISTINCT ticker FROM closed_markets WHERE ticker > ? AND ticker NOT {_OPEN} ORDER BY ticker LIMIT 10000"  # noqa: S608
)
# Triggers keep the sizes; a market that was opened again is counted once.
_SIZE = (
    "SELECT (SELECT count FROM sizes WHERE name = 'fills'), (SELECT count FROM sizes WHERE name = 'closed_markets')"
    " + (SELECT COUNT(*) FROM open_markets AS o"
    " WHERE NOT EXISTS (SELECT 1 FROM closed_markets WHERE ticker = o.ticker))"
)
_EDGE = f"SELECT {rows.columns(records.CountedEdge)} FROM edge"  # noqa: S608
_PUT_EDGE = rows.insert("edge", records.CountedEdge, key="id", verb="INSERT OR REPLACE")
_TOTALS_OF = f"SELECT {rows.columns(ClosedTotals)} FROM closed_totals WHERE ticker = ?"  # noqa: S608
_STRADDLING = f"SELECT ticker FROM closed_totals WHERE last >= ?1 AND first < ?1 AND ticker NOT {_OPEN}"  # noqa: S608
_CLOSES = (
    "SELECT COALESCE(SUM(wins), 0), COALESCE(SUM(losses), 0) FROM closed_totals"  # noqa: S608
    f" WHERE last >= ?1 AND first >= ?1 AND ticker NOT {_OPEN} AND ticker NOT IN (SELECT value FROM json_each(?2))"
)
_EDGES = (
    "SELECT event_ticker, SUM(bets), SUM(earned), SUM(deviation) FROM closed_totals"  # noqa: S608
    f" WHERE bets > 0 AND ticker NOT {_OPEN} GROUP BY event_ticker ORDER BY event_ticker"
)
_SLICE_FILLS = f"SELECT {rows.columns(Fill)} FROM fills WHERE ts >= ? AND ts < ? ORDER BY ts"  # noqa: S608
_SLICE_SETTLEMENTS = (
    f"SELECT {rows.columns(Settlement)} FROM settlements WHERE ticker IN (SELECT value FROM json_each(?))"  # noqa: S608
)
_BOOKED: list[tuple[type[Fill] | type[Settlement], str]] = [
    (kind, f"SELECT number, {', '.join(f'{table}.{name}' for name in kind.__struct_fields__)}"  # noqa: S608
     f" FROM booked JOIN {table} {on} WHERE number > ?1 AND number <= ?1 + ?2 ORDER BY number")
    for kind, table, on in (
        (Fill, "fills", "USING (trade_id, order_id)"),
        (Settlement, "settlements", "ON booked.trade_id = '' AND booked.ticker = settlements.ticker"),
    )
]  # fmt: skip
_REOPENED = (
    "SELECT MIN(COALESCE(totals.first, 1)) FROM open_markets AS o JOIN closed_markets USING (ticker)"
    " LEFT JOIN closed_totals AS totals ON totals.ticker = o.ticker"
)
MAX_BOOKED = 10_000
"""The bookings whose order is known; a trigger deletes earlier numbers."""

_SUMS = "SELECT * FROM closed_sums WHERE markets > 0 ORDER BY strategy"
_ALL_RESULTS = (
    "SELECT strategy, SUM(realized), SUM(fees), SUM(wins), SUM(losses), COUNT(*) FROM closed_markets"
    " GROUP BY strategy ORDER BY strategy"
)
_FORGET_SUMS = "DELETE FROM closed_sums"
_PUT_SUMS = f"INSERT INTO closed_sums {_ALL_RESULTS}"
WRONG_SUMS = "sum of closed markets"
"""The name of the sum of all closed markets, in place of a market."""

TOTALS = "totals"
"""The mark of a state file in which every closed market has its statistics."""

_by_name = attrgetter("strategy")

MAX_SUBACCOUNTS = 64


class HistoryTables(rows.StructReader):
    """Fills and settlements for reports, entry by entry only as far as they ask. Use it in the store's thread."""

    def newest(self) -> Ts:
        """Return the time of the newest booking; 0 without any."""
        return Ts(self._database.read(_NEWEST)[0][0])

    def counted(
        self, since: Ts = NEVER, also: Iterable[str] = (), *, by_market: bool = False
    ) -> records.CountedHistory:
        """Return the history of open markets, of those with a booking since then, and of those named.

        Of all other markets it has the results: one `by_market`, or the sum of all by strategy.
        """
        values = (since, json.dumps(sorted(also)))
        with self._database.snapshot():
            return records.CountedHistory(
                fills=self._select(Fill, _COUNTED_FILLS, values),
                settlements=self._select(Settlement, _COUNTED_SETTLEMENTS, values),
                orders=self._select(Order, _COUNTED_ORDERS, values),
                closed=self._select(records.ClosedResult, _UNCOUNTED if by_market else _UNCOUNTED_SUMS, values),
            )

    def entries(self, since: Ts) -> list[Fill | Settlement]:
        """Return the fills and settlements of open markets, and of those with a booking since then; of all since 0."""
        with self._database.snapshot():
            if not since:
                return [*self._select(Fill, rows.FILLS, (0,)), *self._select(Settlement, rows.SETTLEMENTS, (0,))]
            values = (since, "[]")
            return [
                *self._select(Fill, _COUNTED_FILLS, values), *self._select(Settlement, _COUNTED_SETTLEMENTS, values)
            ]  # fmt: skip

    def opening_marks(self) -> dict[Ts, dict[str, Price]]:
        """Return the saved closing prices at the start of each trading day, oldest first."""
        found: dict[Ts, dict[str, Price]] = {}
        for day, ticker, mark in self._database.read(rows.ALL_OPENING_MARKS):
            found.setdefault(Ts(day), {})[ticker] = Price(mark)
        return found

    @property
    def is_used(self) -> bool:
        """Return whether there is any order or fill."""
        return bool(self._database.read("SELECT 1 FROM orders UNION ALL SELECT 1 FROM fills LIMIT 1"))

    def size(self) -> tuple[int, int]:
        """Return the number of fills and of markets."""
        (found,) = self._database.read(_SIZE)
        return int(found[0]), int(found[1])

    def edge(self, now: Ts) -> records.CountedEdge | None:
        """Return the edge of strategies as counted within the last day; None where it must be counted."""
        found = self._select(records.CountedEdge, _EDGE)
        return found[0] if found and 0 <= now - found[0].counted < LOOK_AGAIN_MS else None

    def set_edge(self, edge: records.CountedEdge) -> None:
        """Save the edge of strategies."""
        with self._database.writing(durable=False) as execute:
            execute(_PUT_EDGE, (1, *rows.row(edge)))

    def traded(self, since: Ts) -> dict[str, int]:
        """Return the contracts of booked fills by order id, in the markets of orders that ended since then."""
        return dict(self._database.read(rows.TRADED_LATELY, (since,)))

    def recount(self, now: Ts, most_fills: int) -> records.Recount:
        """Count closed markets again, at most once a day each; find those whose result differs from their entries.

        Those are opened, so that they are counted from their entries from now on. Counts about `most_fills` and goes on
        from there the next time.
        """
        found = self._database.read(_RECOUNTED)
        after, completed = found[0] if found else ("", 0)
        if not after and 0 <= now - completed < LOOK_AGAIN_MS:
            return records.Recount(wrong=(), after="")
        wrong, counted = [], 0
        totals: dict[str, ClosedTotals] = {}
        with self._database.snapshot() as execute:
            for (ticker,) in execute(_CLOSED_AFTER, (after,)).fetchall():
                market = market_of(execute, ticker)
                results = closed_markets.closing_results(market.entries, market.orders)
                if results is None or sorted(results, key=_by_name) != sorted(market.results, key=_by_name):
                    wrong.append(ticker)
                elif self._select(ClosedTotals, _TOTALS_OF, (ticker,)) != (
                    stated := (closed_markets.closing_totals(market.entries, market.orders),)
                ):
                    totals[ticker] = stated[0]
                after, counted = ticker, counted + len(market.entries)
                if counted >= most_fills:
                    break
            else:
                after, completed = "", now
        with self._database.writing(durable=False) as execute:
            execute(_PUT_RECOUNTED, (after, completed))
            for ticker in wrong:
                execute(_OPEN_AGAIN, (ticker,))
            for ticker, each in totals.items():
                execute(_PUT_TOTALS, (ticker, *rows.row(each)))
            if not after:
                execute(rows.PUT_MARK, (TOTALS, 1))
            if (wrong or not after) and execute(_SUMS).fetchall() != execute(_ALL_RESULTS).fetchall():
                wrong.append(WRONG_SUMS)
                execute(_FORGET_SUMS)
                execute(_PUT_SUMS)
        return records.Recount(wrong=tuple(wrong), after=after)

    def numbered_after(self, number: int, most: int) -> list[tuple[int, Fill | Settlement]]:
        """Return fills and settlements booked after that number, up to `most` numbers on, in the order of booking."""
        found: list[tuple[int, Fill | Settlement]] = []
        for kind, sql in _BOOKED:
            found += [(int(each[0]), rows.read(kind, each[1:])) for each in self._database.read(sql, (number, most))]
        return sorted(found, key=lambda each: each[0])

    def booked_after(self, number: int) -> list[Fill | Settlement] | None:
        """Return fills and settlements booked after that number; None where some of them are not known any more."""
        first, last = self._database.read("SELECT COALESCE(MIN(number), 0), COALESCE(MAX(number), 0) FROM booked")[0]
        if not first - 1 <= number <= last:
            return None
        return [entry for _, entry in self.numbered_after(number, MAX_BOOKED)]

    def reopened(self) -> Ts:
        """Return the time of the oldest entry of markets that were closed and opened again; the newest time if none."""
        return Ts(self._database.read(_REOPENED)[0][0] or self.newest())

    @property
    def has_totals(self) -> bool:
        """Return whether every closed market has its statistics; false until an older file was recounted once."""
        return bool(self._database.read("SELECT 1 FROM alert_marks WHERE name = ?", (TOTALS,)))

    def straddling(self, since: Ts) -> list[str]:
        """Return the closed markets that were traded or settled both before and since that time."""
        return [str(ticker) for (ticker,) in self._database.read(_STRADDLING, (since,))]

    def closes(self, since: Ts, without: Iterable[str]) -> tuple[int, int]:
        """Return the wins and losses of closed markets that began since then, without those named."""
        ((wins, losses),) = self._database.read(_CLOSES, (since, json.dumps(sorted(without))))
        return int(wins), int(losses)

    def edges(self) -> tuple[MarketEdge, ...]:
        """Return the edge of closed markets by event."""
        return self._select(MarketEdge, _EDGES)

    def placements(self, client_order_ids: Iterable[str]) -> dict[str, int]:
        """Return the placement time of these orders in milliseconds, by client order id, as far as it is saved."""
        return dict(self._database.read(rows.PLACEMENTS, (json.dumps(list(client_order_ids)),)))

    def part(self, since: Ts, until: Ts) -> tuple[Fill, ...]:
        """Return the fills from `since` to before `until`, oldest first."""
        return self._select(Fill, _SLICE_FILLS, (since, until))

    def settlements_of(self, tickers: Iterable[str]) -> tuple[Settlement, ...]:
        """Return the settlements of these markets."""
        return self._select(Settlement, _SLICE_SETTLEMENTS, (json.dumps(sorted(tickers)),))

    def oldest_of(self, before: Ts, count: int) -> Ts:
        """Return the time of the oldest of the last `count` fills before a time; 0 if there are no more."""
        found = self._database.read(
            "SELECT ts FROM fills WHERE ts < ? ORDER BY ts DESC LIMIT 1 OFFSET ?", (before, count)
        )
        return Ts(min(found[0][0] + 1, before - 1)) if found else Ts(0)

    def newest_since(self, count: int) -> Ts:
        """Return the time of the first of the newest `count` fills; 0 if there are no more."""
        found = self._database.read("SELECT ts FROM fills ORDER BY ts DESC LIMIT 1 OFFSET ?", (count,))
        return Ts(found[0][0] + 1) if found else Ts(0)

    def subaccounts(self) -> list[int]:
        """Return the subaccounts beside the primary one that have fills."""
        read = self._database.read
        return [number for number in range(1, MAX_SUBACCOUNTS) if read(_IS_SUBACCOUNT_USED, (number,))]
