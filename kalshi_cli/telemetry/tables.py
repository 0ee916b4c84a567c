"""The spreadsheets `trades.csv` and `daily_pnl.csv`.

A trade is in the file exactly once: the file is read at the start, and rows are identified by trade and order id. The
days are rewritten atomically each time. A problem with the disk is reported once; trading continues.
"""

from __future__ import annotations

import csv
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from kalshi_cli.base.files import make_folder, open_own
from kalshi_cli.base.text import csv_line, csv_text, safe_text
from kalshi_cli.base.units import Money, Price, Qty, Ts, format_money, format_price, format_qty, format_ts
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Fill

TRADES = "trades.csv"
DAYS = "daily_pnl.csv"


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fill. `realized` is the closed profit or loss before fees, `edge` the gain per contract to the fair value."""

    ts: Ts
    ticker: str
    side: Side
    price: Price
    qty: Qty
    fee: Money
    is_taker: bool
    strategy: str
    realized: Money
    edge: Price | None
    trade_id: str
    order_id: str
    client_order_id: str
    subaccount: int


class DayRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trading day. `net` is realized less fees; `unrealized` and `balance` are from the last write of the day."""

    day: str
    trades: int
    realized: Money
    fees: Money
    net: Money
    unrealized: Money | None
    balance: Money | None


class TableEnd(NamedTuple):
    """The size of `trades.csv` in bytes, and a checksum of its end."""

    size: int
    check: int


Cell = Callable[[Any], str]

_TRADE: dict[str, Cell] = {
    "ts": format_ts, "ticker": safe_text, "side": str, "price": format_price, "qty": format_qty, "fee": format_money,
    "is_taker": lambda value: str(value).lower(), "strategy": safe_text, "realized": format_money,
    "edge": format_price, "trade_id": safe_text, "order_id": safe_text, "client_order_id": safe_text,
    "subaccount": str,
}  # fmt: skip
_DAY: dict[str, Cell] = {
    "day": str, "trades": str, "realized": format_money, "fees": format_money, "net": format_money,
    "unrealized": format_money, "balance": format_money,
}  # fmt: skip
_IS_TEXT = frozenset({"ticker", "strategy", "trade_id", "order_id", "client_order_id"})
_BLOCK = 65_536
_LAST_KNOWN = ("unrealized", "balance")
"""Columns of a past day that keep their last written value."""


class Tables:
    """The two files of one account in `folder`, written by its only trading loop."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._known: set[tuple[str, ...]] | None = None
        self._has_told = False

    def resume(self, end: TableEnd) -> bool:
        """Go on after this end of the trades; return False where the tables are not those, so that all is read.

        Then `missing` knows only the trades after it.
        """
        path = self._folder / TRADES
        try:
            _mend(path)
            with open(path, "rb", opener=open_own) as file:
                if not (self._folder / DAYS).exists() or _end_at(file, end.size) != end:
                    return False
                file.seek(end.size)
                lines = file.read().decode().splitlines(keepends=True)
            found = list(csv.DictReader(lines, list(_TRADE), strict=True))
            self._known = {(row["trade_id"], row["order_id"]) for row in found}
        except (OSError, ValueError, csv.Error):
            return False
        return not any(None in row or None in row.values() for row in found)

    def end(self) -> TableEnd | None:
        """Return the end of the trades; None where they cannot be read or written."""
        if self._known is None:
            return None
        try:
            with open(self._folder / TRADES, "rb", opener=open_own) as file:
                return _end_at(file, file.seek(0, os.SEEK_END))
        except OSError:
            return None

    def missing(self, fills: Sequence[Fill]) -> list[Fill]:
        """Return the fills that are not in the file; none if the file cannot be read, so that it is not changed."""
        if self._known is None:
            self._known = self._read_known()
        known = self._known
        return [] if known is None else [fill for fill in fills if _written(fill.key) not in known]

    def add(self, rows: Sequence[TradeRow]) -> None:
        """Append trades that are `missing`."""
        if not rows or self._known is None:
            return
        path = self._folder / TRADES
        try:
            make_folder(self._folder)
            with open(path, "a", encoding="utf-8", newline="", opener=open_own) as file:
                head = "" if file.tell() else csv_line(_TRADE)
                file.write(head + "".join(csv_line(_cells(row, _TRADE)) for row in rows))
        except OSError as error:
            self._known = None  # The file is read again before the next write.
            self._complain(path, error)
            return
        self._known.update(_written((row.trade_id, row.order_id)) for row in rows)

    def put_days(self, rows: Mapping[str, DayRow], today: str) -> bool:
        """Write these days and keep the other days of the file; return whether they are written."""
        path = self._folder / DAYS
        try:
            days = {row["day"]: row for row in _read(path, _DAY)}
            for day, row in rows.items():
                fresh = dict(zip(_DAY, _cells(row, _DAY), strict=True))
                if day != today and day in days:
                    fresh.update({name: days[day][name] for name in _LAST_KNOWN})
                days[day] = fresh
            make_folder(self._folder)
            draft = path.with_suffix(".draft")
            with open(draft, "w", encoding="utf-8", newline="", opener=open_own) as file:
                file.write(csv_line(_DAY))
                file.write("".join(csv_line(days[day].values()) for day in sorted(days)))
            draft.replace(path)
        except (OSError, ValueError, csv.Error) as error:
            self._complain(path, error)
            return False
        return True

    def _read_known(self) -> set[tuple[str, ...]] | None:
        path = self._folder / TRADES
        try:
            _mend(path)
            return {(row["trade_id"], row["order_id"]) for row in _read(path, _TRADE)}
        except (OSError, ValueError, csv.Error) as error:
            self._complain(path, error)
            return None

    def _complain(self, path: Path, error: Exception) -> None:
        if not self._has_told:
            self._has_told = True
            why = error.strerror if isinstance(error, OSError) else error
            self._tell(f"Warning: cannot write {path} ({why}); kalshi goes on without it")


def _written(key: Iterable[str]) -> tuple[str, ...]:
    """Return a key as it is written in the file."""
    return tuple(csv_text(safe_text(part)) for part in key)


def _cells(row: msgspec.Struct, of: Mapping[str, Cell]) -> list[str]:
    """Return the cells of a row: a missing value is empty, external text never becomes a formula."""
    cells = []
    for name, write in of.items():
        value = getattr(row, name)
        text = "" if value is None else write(value)
        cells.append(csv_text(text) if name in _IS_TEXT else text)
    return cells


def _read(path: Path, of: Mapping[str, Cell]) -> list[dict[str, str]]:
    """Return the rows of a file, none if it does not exist. Raises ValueError if it has different columns."""
    if not os.path.lexists(path):
        return []
    with open(path, encoding="utf-8", newline="", opener=open_own) as file:
        reader = csv.DictReader(file, strict=True)
        if list(reader.fieldnames or ()) != list(of):
            raise ValueError("it has different columns; move it away")
        rows = list(reader)
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("it has an incomplete or overlong line; move it away")
    return rows


def _mend(path: Path) -> None:
    """Remove a last line that a crash cut short; its trade is written again."""
    if not os.path.lexists(path):
        return
    with open(path, "r+b", opener=open_own) as file:
        size = start = file.seek(0, os.SEEK_END)
        text = b""
        while start and b"\n" not in text:
            start = max(0, start - _BLOCK)
            file.seek(start)
            text = file.read(size - start)
        if text and not text.endswith(b"\n"):
            file.truncate(start + text.rfind(b"\n") + 1)


def _end_at(file: BinaryIO, size: int) -> TableEnd:
    """Return the end that the file has, or had, at this size."""
    start = max(0, size - _BLOCK)
    file.seek(start)
    return TableEnd(size, zlib.crc32(file.read(size - start)))
