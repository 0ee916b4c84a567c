"""`trades.csv` and `daily_pnl.csv`: for whoever opens them in a spreadsheet.

A trade is in the file once, whatever happens in between: what is there is read at the start, and known by trade and
order. The days are written anew each time, all or nothing. What is wrong with the disk is said once; trading goes on.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kalshi_cli.base.files import make_folder, open_own
from kalshi_cli.base.text import csv_line, csv_text, safe_text
from kalshi_cli.base.units import Money, Price, Qty, Ts, format_money, format_price, format_qty, format_ts
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Fill

TRADES = "trades.csv"
DAYS = "daily_pnl.csv"


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One fill. `realized` is what it closed at a profit or a loss, before fees; `edge` what was gained a contract
    against the fair value of its order; None where there was none.
    """

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
    """One trading day. `net` is realized less fees, so that the days add up; `unrealized` and `balance` are as of the
    last time that the day was written, None where they were not known.
    """

    day: str
    trades: int
    realized: Money
    fees: Money
    net: Money
    unrealized: Money | None
    balance: Money | None


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
_LAST_KNOWN = ("unrealized", "balance")
"""Of a day that is over, these stay as they were written then."""


class Tables:
    """The two files of one account in `folder`. Written by its one trade loop."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._known: set[tuple[str, ...]] | None = None
        self._has_told = False

    def missing(self, fills: Sequence[Fill]) -> list[Fill]:
        """Those that are not in the file; none where it cannot be read, and so must not be written to."""
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
            with open(path, "a", encoding="utf-8", newline="", opener=_private) as file:
                head = "" if file.tell() else csv_line(_TRADE)
                file.write(head + "".join(csv_line(_cells(row, _TRADE)) for row in rows))
        except OSError as error:
            self._known = None  # what is there now is looked at before the next
            self._complain(path, error)
            return
        self._known.update(_written((row.trade_id, row.order_id)) for row in rows)

    def put_days(self, rows: Mapping[str, DayRow], today: str) -> None:
        """Write these days, and leave the others as they are."""
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
            with open(draft, "w", encoding="utf-8", newline="", opener=_private) as file:
                file.write(csv_line(_DAY))
                file.write("".join(csv_line(days[day].values()) for day in sorted(days)))
            draft.replace(path)
        except (OSError, ValueError, csv.Error) as error:
            self._complain(path, error)

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
            self._tell(f"warning: {path} cannot be kept ({why}); trading goes on")


def _written(key: Iterable[str]) -> tuple[str, ...]:
    """A key as it stands in the file."""
    return tuple(csv_text(safe_text(part)) for part in key)


def _private(path: str, flags: int) -> int:
    return open_own(path, flags)


def _cells(row: msgspec.Struct, of: Mapping[str, Cell]) -> list[str]:
    """Missing is an empty cell. Text from outside is never a formula; numbers stay numbers."""
    cells = []
    for name, write in of.items():
        value = getattr(row, name)
        text = "" if value is None else write(value)
        cells.append(csv_text(text) if name in _IS_TEXT else text)
    return cells


def _read(path: Path, of: Mapping[str, Cell]) -> list[dict[str, str]]:
    """The rows of a file of ours; none where there is no file. ValueError where it has other columns."""
    if not os.path.lexists(path):
        return []
    with open(path, encoding="utf-8", newline="", opener=_private) as file:
        reader = csv.DictReader(file, strict=True)
        if list(reader.fieldnames or ()) != list(of):
            raise ValueError("it has other columns; move it away")
        rows = list(reader)
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("it has a line that is too short or too long; move it away")
    return rows


def _mend(path: Path) -> None:
    """A last line that was cut short by a crash goes: its trade is written again."""
    if not os.path.lexists(path):
        return
    with open(path, "r+b", opener=_private) as file:
        text = file.read()
        if text and not text.endswith(b"\n"):
            file.truncate(text.rfind(b"\n") + 1)
