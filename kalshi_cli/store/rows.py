"""Structs as rows: the constant SQL of each table, and the conversion of rows to structs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.core.model.effects import AlertRaised, OrderRefused
from kalshi_cli.core.model.orders import NEVER_SENT, Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.request_traffic import RequestMinute
from kalshi_cli.store import records
from kalshi_cli.store.database import Database, damaged, recover_rows

if TYPE_CHECKING:
    from sqlite3 import Cursor

Execute = Callable[..., "Cursor"]
T = TypeVar("T", bound=msgspec.Struct)

row = msgspec.structs.astuple
"""The values of a struct in the order of its columns."""


def columns(kind: type[msgspec.Struct]) -> str:
    """Return the column names of a struct, for a statement."""
    return ", ".join(kind.__struct_fields__)


def insert(table: str, kind: type[msgspec.Struct], *, verb: str = "INSERT", key: str = "") -> str:
    """Return an INSERT of a struct; `key` names one more column, in front."""
    names = (key, *kind.__struct_fields__) if key else kind.__struct_fields__
    return f"{verb} INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def read(kind: type[T], values: tuple[object, ...]) -> T:
    """Return a row as a struct. msgspec.ValidationError where the values do not fit."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, values, strict=True)), prepared(kind), strict=False)


class StructReader:
    """Reads structs of a state file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _select(self, kind: type[T], sql: str, values: Sequence[object] = ()) -> tuple[T, ...]:
        try:
            return tuple(read(kind, found) for found in self._database.read(sql, values))
        except msgspec.ValidationError as error:
            raise damaged(self._database.path, f"{kind.__name__}: {error}") from error


def recover(path: Path, sql: str, make: Callable[[tuple[object, ...]], T]) -> tuple[list[T], bool]:
    """Return what `make` reads from the rows of an unusable file, and whether these are all. Raises nothing."""
    found, is_all = recover_rows(path, sql)
    made: list[T] = []
    for each in found:
        try:
            made.append(make(each))
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            is_all = False
    return made, is_all


INSERT_INTENT = insert("orders", Order, key="key")
DROP_NEVER_SENT = (
    "DELETE FROM orders WHERE key = ? AND status = 'rejected' AND order_id = ''"  # noqa: S608 - constants
    f" AND code IN ({', '.join(map(repr, NEVER_SENT))})"
)
# Two programs write one order, and the stream of one of them may be late: an order that is over on file stays over,
# unless it was increased elsewhere. A repair may reopen it: its end on file was false.
PUT_REPAIRED = insert("orders", Order, key="key") + (
    f" ON CONFLICT (key) DO UPDATE SET {', '.join(f'{each} = excluded.{each}' for each in Order.__struct_fields__)}"
).replace(
    # A program that met the order as an external one does not know what was typed, nor the best price then.
    "outcome = excluded.outcome",
    "outcome = CASE excluded.outcome WHEN '' THEN orders.outcome ELSE excluded.outcome END",
).replace("best = excluded.best", "best = COALESCE(excluded.best, orders.best)")
# The end on file stays as it is, too: only the stream tells an expiry from a cancel, so two programs may record the
# same end differently. Fills that came late and the reason still change.
PUT_ORDER = PUT_REPAIRED.replace(
    "status = excluded.status",
    "status = CASE WHEN orders.status IN ('filled', 'canceled', 'expired') AND excluded.qty <= orders.qty"
    " THEN orders.status ELSE excluded.status END",
) + (
    " WHERE NOT (orders.status IN ('filled', 'canceled', 'expired')"
    " AND excluded.status IN ('submitted', 'unknown', 'resting') AND excluded.qty <= orders.qty)"
)
BOOK_FILL = insert("fills", Fill, verb="INSERT OR IGNORE")
PUT_SETTLEMENT = insert("settlements", Settlement, verb="INSERT OR REPLACE")
PUT_HALT = insert("halt", records.Halt, key="id", verb="INSERT OR REPLACE")
PUT_MARK = "INSERT OR REPLACE INTO alert_marks (name, value) VALUES (?, ?)"
DROP_MARK = "DELETE FROM alert_marks WHERE name = ?"
PUT_CYCLE = insert("cycle", records.Heartbeat, key="id", verb="INSERT OR REPLACE")
ADD_ALERT = insert("alerts", AlertRaised)
SEE_BEST = insert("best", records.AccountHigh, key="id") + (
    " ON CONFLICT (id) DO UPDATE SET gained = excluded.gained, ts = excluded.ts WHERE excluded.gained > gained"
)
FORGET_BEST = "DELETE FROM best"
PUT_OPENING_MARK = "INSERT OR IGNORE INTO opening_marks (day, ticker, mark) VALUES (?, ?, ?)"
OPENING_MARKS = "SELECT ticker, mark FROM opening_marks WHERE day = ?"
ALL_OPENING_MARKS = "SELECT day, ticker, mark FROM opening_marks ORDER BY day"
PUT_CASH_BASE = insert("cash_base", records.CashBaseline, key="id", verb="INSERT OR REPLACE")
PUT_KEY_LOCK = insert("key_locks", records.KeyRestriction, verb="INSERT OR REPLACE")
ADD_TRAFFIC = insert("traffic", RequestMinute) + (
    " ON CONFLICT (minute) DO UPDATE SET requests = requests + excluded.requests,"
    " failures = failures + excluded.failures, gaps = gaps + excluded.gaps,"
    " p99_ms = COALESCE(excluded.p99_ms, p99_ms)"
)
TRIM_TRAFFIC = "DELETE FROM traffic WHERE minute <= (SELECT MAX(minute) FROM traffic) - ?"
TRAFFIC = f"SELECT {columns(RequestMinute)} FROM traffic WHERE minute >= ? ORDER BY minute"  # noqa: S608
PUT_MARKET_LOCK = insert("market_locks", records.MarketLock, verb="INSERT OR REPLACE")
DROP_MARKET_LOCK = "DELETE FROM market_locks WHERE ticker = ?"
DROP_PAST_LOCKS = "DELETE FROM market_locks WHERE until <= ?"
_LOCKED = "SELECT until FROM market_locks WHERE ticker = ? AND until > ? AND until > ?"
MARKET_LOCKS = f"SELECT {columns(records.MarketLock)} FROM market_locks ORDER BY ticker"  # noqa: S608
PUT_GROUP = insert("run_groups", records.RunGroup, verb="INSERT OR REPLACE")
SWITCH_GROUP = "UPDATE run_groups SET is_triggered = ? WHERE group_id = ?"
DROP_GROUP = "DELETE FROM run_groups WHERE group_id = ?"

ORDERS = f"SELECT {columns(Order)} FROM orders"  # noqa: S608 - constants, as below
FILLS = f"SELECT {columns(Fill)} FROM fills WHERE ts >= ? ORDER BY ts, trade_id, order_id"  # noqa: S608
SETTLEMENTS = f"SELECT {columns(Settlement)} FROM settlements WHERE ts >= ? ORDER BY ts, ticker"  # noqa: S608
HALT = f"SELECT {columns(records.Halt)} FROM halt"  # noqa: S608
CASH_BASE = f"SELECT {columns(records.CashBaseline)} FROM cash_base"  # noqa: S608
KEY_LOCK = f"SELECT {columns(records.KeyRestriction)} FROM key_locks WHERE key_id = ?"  # noqa: S608
BEST = f"SELECT {columns(records.AccountHigh)} FROM best"  # noqa: S608
CYCLE = f"SELECT {columns(records.Heartbeat)} FROM cycle"  # noqa: S608
GROUPS = f"SELECT {columns(records.RunGroup)} FROM run_groups ORDER BY exchange_index"  # noqa: S608
DENIED = f"SELECT {columns(OrderRefused)} FROM denials WHERE ts >= ? AND ? IN ('', ticker) ORDER BY ts DESC LIMIT ?"  # noqa: S608
ALERTS = f"SELECT {columns(AlertRaised)} FROM alerts WHERE ts >= ? ORDER BY id DESC LIMIT ?"  # noqa: S608

ORDER_BY_ID = ORDERS + " WHERE key = ?1 OR (order_id = ?1 AND order_id <> '')"
# Two indexes, neither of which an order request writes: live orders, and the time of the others.
_LIVE_KEYS = "SELECT key FROM orders WHERE status IN ('submitted', 'unknown', 'resting')"
_ENDED_KEYS = "SELECT key FROM orders WHERE status NOT IN ('submitted', 'unknown', 'resting')"
ORDERS_SINCE = ORDERS + (
    f" WHERE key IN ({_LIVE_KEYS} AND updated >= ?1 UNION {_ENDED_KEYS} AND updated >= ?1) AND ?2 IN ('', ticker)"
    " ORDER BY created, key"
)
_LIVE = ORDERS + " WHERE status IN ('submitted', 'unknown', 'resting')"
# The orders of fills in open markets, whose strategies the fills belong to.
_OF_OPEN = (
    "SELECT client_order_id FROM fills WHERE ticker IN (SELECT ticker FROM open_markets)"
    " UNION SELECT key FROM orders WHERE order_id <> '' AND order_id IN"
    " (SELECT order_id FROM fills WHERE ticker IN (SELECT ticker FROM open_markets))"
)
# The fills of an order in a closed market are not read, so a traded order there would seem to lack them.
_NOT_CLOSED = (
    "(filled = 0 OR ticker IN (SELECT ticker FROM open_markets)"
    " OR NOT EXISTS (SELECT 1 FROM closed_markets WHERE closed_markets.ticker = orders.ticker))"
)
LIVE_ORDERS = _LIVE + " ORDER BY created, key"
# An order's filled count arrives before its fills: those of a recent trade may not be booked yet.
_LATELY = _ENDED_KEYS + " AND filled > 0 AND updated >= COALESCE((SELECT MAX(ts) FROM fills), 0) - 3600000"  # noqa: S608
# The latest orders count in the order rate, whatever their result: by number, because a clock may have been set since.
_NEWEST = "SELECT key FROM (SELECT key FROM intents ORDER BY number DESC LIMIT 1000)"
ORDERS_TO_REMEMBER = ORDERS + (
    f" WHERE key IN ({' UNION '.join((_LIVE_KEYS, _OF_OPEN, _LATELY, _NEWEST))}) AND {_NOT_CLOSED}"
    " ORDER BY created, key"
)
ADD_INTENT = "INSERT INTO intents (key) VALUES (?)"
ADD_AMEND = "INSERT INTO intents (key, amended) VALUES (?, ?)"
COUNT_AMENDS = """SELECT strategy, COUNT(*) FROM intents JOIN orders USING (key)
    WHERE amended >= ? AND ? IN ('', ticker) GROUP BY strategy"""
LAST_INTENT = "SELECT COALESCE(MAX(number), 0) FROM intents"
# What other programs may have changed since a review, in one statement: the halt, a lock of the market, an order.
CHANGES_BESIDE = f"SELECT (SELECT state FROM halt), ({_LOCKED}), ({LAST_INTENT})"  # noqa: S608
ORDERS_BESIDE = ORDERS + " WHERE key IN (SELECT key FROM intents WHERE number > ?) ORDER BY created, key"  # noqa: S608
# Where both have a client order id, it must be the same: a false reply can give an own order the id of another one.
TWIN = (
    "SELECT key, strategy, fair, reason FROM orders WHERE order_id = ?1 AND order_id <> '' AND key <> ?2"
    " AND (client_order_id IN ('', ?3) OR ?3 = '' OR (?4 AND key = ?1))"
)

COUNT_DENIALS = """SELECT strategy, code, SUM(count) FROM denials WHERE minute >= ? AND ? IN ('', ticker)
    GROUP BY strategy, code ORDER BY strategy, SUM(count) DESC, code"""
ADD_DENIALS = """INSERT INTO denials (minute, code, strategy, ticker, count, ts, detail) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (minute, code, strategy, ticker)
    DO UPDATE SET count = count + excluded.count, ts = excluded.ts, detail = excluded.detail"""
TRIM_DENIALS = "DELETE FROM denials WHERE rowid <= (SELECT MAX(rowid) FROM denials) - ?"
ADD_PLACEMENT = "INSERT INTO placements (client_order_id, latency_ms) VALUES (?, ?)"
TRIM_PLACEMENTS = "DELETE FROM placements WHERE rowid <= (SELECT MAX(rowid) FROM placements) - ?"
PLACEMENTS = """SELECT client_order_id, latency_ms FROM placements
    WHERE client_order_id IN (SELECT value FROM json_each(?)) ORDER BY rowid"""
TRADED_LATELY = """SELECT order_id, SUM(qty) FROM fills WHERE ticker IN (SELECT ticker FROM orders
    WHERE status NOT IN ('submitted', 'unknown', 'resting') AND filled > 0 AND updated >= ?) GROUP BY order_id"""
TRIM_ALERTS = "DELETE FROM alerts WHERE id <= (SELECT MAX(id) FROM alerts) - ?"


# -- within a transaction -----------------------------------------------------------------------------------------


def halt_on_file(execute: Execute) -> records.Halt:
    """Return the halt of the state file, without the files beside it: a pause hides a reduce-only state."""
    found = execute(HALT).fetchone()
    return read(records.Halt, found) if found else records.NO_HALT


def put_order(execute: Execute, order: Order, *, is_repaired: bool = False) -> None:
    """Write an order as one row, which stays the row of the program that placed it.

    Two programs may know one order: the one that placed it, and a trade loop that saw it as external. A repair also
    takes the exchange's id from an external order under another name.
    """
    key = key_of(order)
    twin = execute(TWIN, (order.order_id, key, order.client_order_id, is_repaired)).fetchone()
    if twin is not None and order.is_foreign:
        key, strategy, fair, reason = twin
        order = msgspec.structs.replace(order, is_foreign=False, strategy=strategy, fair=fair, reason=reason)
    elif twin is not None:
        execute("DELETE FROM orders WHERE key = ?", (twin[0],))
    execute(PUT_REPAIRED if is_repaired else PUT_ORDER, (key, *row(order)))


def key_of(order: Order) -> str:
    """Return the key of an order's row: the client order id of an own order, the exchange's id of an external one."""
    return order.order_id if order.is_foreign else order.client_order_id
