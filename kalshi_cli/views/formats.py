"""Formats of a value by the declared type of its field: for machines (`to_machine`) and for people (`to_text`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Literal, NamedTuple, NewType, TypeVar, Union, get_args, get_origin

import msgspec

from kalshi_cli.base import units
from kalshi_cli.base.local_time import local_time, plain_time, show_times
from kalshi_cli.base.text import SHORT_ID_LENGTH, safe_text
from kalshi_cli.base.units import Money, Price, Qty, Ts

SignedMoney = NewType("SignedMoney", Money)
"""Gained or lost money, shown with its sign, green or red."""
MaxMoney = NewType("MaxMoney", Money)
"""A maximum of money, which is shown rounded up to the cent."""
MinGain = NewType("MinGain", Money)
"""The least gain or the largest loss, shown as SignedMoney is, but rounded down to the cent."""
ExactMoney = NewType("ExactMoney", Money)
"""An amount that is shown with all its decimals, so that the amounts of a list add up to their total."""
Ratio = NewType("Ratio", float)
"""A ratio: 0.5 is shown as 50.0%, and less than 1% with two decimals, so that a small return is not 0.0%."""
TruncatableText = NewType("TruncatableText", str)
"""Text that a narrow table may cut short. A plain `str` (a ticker, an id) is never cut."""
ShortId = NewType("ShortId", str)
"""An order id: a table shows the shortest prefix that is unique in it; everything else shows all of it."""
ExchangeJson = NewType("ExchangeJson", object)
"""The exchange's own JSON, of unknown structure."""
Verdict = NewType("Verdict", str)
"""OK, WARNING, CRITICAL or UNKNOWN, shown in color."""
TradingStateCell = NewType("TradingStateCell", str)
"""The trading state. A pause is shown as `paused`; JSON has `halted`, and a field `paused` beside it. Active trading
whose account cannot be read is shown as `blind`; JSON has `active`, and a field `blind_since` beside it."""

MISSING = "—"

T = TypeVar("T")
Write = Callable[[Any], Any]
Show = Callable[[Any], str]


@cache
def without_none(kind: Any) -> Any:
    """Return the type without None: `Price | None` -> `Price`."""
    if get_origin(kind) in (Union, UnionType):
        rest = [part for part in get_args(kind) if part is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return kind


def find_kind(table: Mapping[Any, T], kind: Any) -> T | None:
    """Return the entry of a type or, without one, of the type that it is a NewType of: MaxMoney is written as Money."""
    while kind is not None and kind not in table:
        kind = getattr(kind, "__supertype__", None)
    return table.get(kind)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _loose(value: Any) -> Any:
    """Return a JSON value with its texts made safe."""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, dict):
        return {safe_text(str(key)): _loose(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_loose(inner) for inner in value]
    return _finite(value) if isinstance(value, float) else value


_WIRE: dict[Any, Write] = {
    Price: units.format_price,
    Qty: units.format_qty,
    Money: units.format_money,
    Ts: units.format_ts,
    float: _finite,
    int: int,
    bool: bool,
    str: safe_text,
    TradingStateCell: lambda state: {"paused": "halted", "blind": "active"}.get(state) or safe_text(state),
    ExchangeJson: _loose,
}


@cache
def to_machine(kind: Any) -> Write:
    """Return the writer of JSON values of this type: fixed-scale strings, RFC 3339, null for missing values."""
    if (bare := without_none(kind)) != kind:
        inner = to_machine(bare)
        return lambda value: None if value is None else inner(value)
    if write := find_kind(_WIRE, kind):
        return write
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return safe_text
    if origin is tuple and args[1:] == (...,):
        each = to_machine(args[0])
        return lambda values: [each(value) for value in values]
    if origin is tuple:
        parts = tuple(to_machine(arg) for arg in args)
        return lambda values: [write(value) for write, value in zip(parts, values, strict=True)]
    if origin is dict:
        inner = to_machine(args[1])
        return lambda values: {safe_text(str(key)): inner(value) for key, value in values.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda value: safe_text(str(value.value))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        named = tuple((field.name, to_machine(field.type)) for field in msgspec.structs.fields(kind))
        return lambda row: {name: write(getattr(row, name)) for name, write in named}
    if isinstance(kind, TypeVar):
        return lambda value: _loose(msgspec.to_builtins(value, str_keys=True))
    raise TypeError(f"a row cannot hold {kind!r}: no way to write it")


def _percent(ratio: float) -> str:
    if not math.isfinite(ratio):
        return MISSING
    return f"{ratio:z.2%}" if 0 < abs(ratio) < 0.01 else f"{ratio:z.1%}"


_HUMAN: dict[Any, Show] = {
    Price: units.show_price,
    Qty: units.show_qty,
    Money: units.show_money,
    SignedMoney: lambda gain: units.show_money(gain, signed=True),
    MaxMoney: units.show_most,
    MinGain: lambda gain: units.show_least(gain, signed=True),
    ExactMoney: units.show_exact,
    Ts: plain_time,
    Ratio: _percent,
    float: lambda number: f"{number:,.2f}".removesuffix(".00") if math.isfinite(number) else MISSING,
    int: str,
    bool: lambda value: "yes" if value else "no",
    str: safe_text,
    TruncatableText: lambda text: show_times(safe_text(text)),
    ExchangeJson: lambda value: msgspec.json.encode(_loose(value)).decode(),
}


@cache
def to_text(kind: Any) -> Show:
    """Return the writer of cells of this type: `$0.47`, `10`, an em dash for missing values; always one line."""
    if (bare := without_none(kind)) != kind:
        inner = to_text(bare)
        return lambda value: MISSING if value is None else inner(value)
    if show := find_kind(_HUMAN, kind):
        return show
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return safe_text
    if origin is tuple and args[1:] == (...,):
        each = to_text(args[0])
        return lambda values: ", ".join(each(value) for value in values) or MISSING
    if origin is tuple:
        parts = tuple(to_text(arg) for arg in args)
        return lambda values: " x ".join(show(value) for show, value in zip(parts, values, strict=True))
    if origin is dict:
        inner = to_text(args[1])
        return lambda values: ", ".join(f"{safe_text(str(k))}={inner(v)}" for k, v in values.items()) or MISSING
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda value: safe_text(str(value.value))
    if isinstance(kind, TypeVar):
        return lambda value: msgspec.json.encode(to_machine(kind)(value)).decode()
    raise TypeError(f"a table cannot hold {kind!r}: no way to show it")


LABELS = {
    "average_fill_price": "avg fill price",
    "average_price": "avg price",
    "by_hour": "by hour (UTC)",
    "day_net": "P&L today",
    "day_pnl": "P&L today",
    "dead": "undeliverable",
    "decided_by": "rule",
    "denied": "refused",
    "denied_by": "refused by",
    "denied_by_strategy": "refused by strategy",
    "dropped": "discarded",
    "ended_in_order": "ended gracefully",
    "exchange_index": "shard",
    "feed_age_s": "feed age (s)",
    "feed_lag_s": "feed delay (s)",
    "fees_of_100": "fee for 100",
    "flatten_asked": "flatten requested",
    "hears": "receives",
    "holes": "gaps",
    "in_doubt": "unconfirmed",
    "intents": "requested",
    "is_auto_cancel_enabled": "auto cancel",
    "is_block": "block trade",
    "is_triggered": "triggered",
    "is_taker": "liquidity",
    "key": "group",
    "letters": "notices not delivered",
    "fixed": "fixed parameters",
    "losses": "closes lost",
    "losses_today": "closing orders lost today",
    "held_back": "of these held back",
    "mark": "closing price",
    "no_book": "no order book",
    "pnl": "least P&L",
    "pnl_today": "P&L today",
    "pnl_today_share": "P&L today (share)",
    "position_win_rate": "positions won",
    "remaining": "left",
    "round_trips": "lots",
    "reported_value": "value at last prices",
    "role": "liquidity",
    "settlement_timer_s": "settlement timer (s)",
    "side_price": "price",
    "silenced": "held back",
    "sink": "channel",
    "sinks": "channels",
    "taker": "taker bought",
    "tier": "severity",
    "told": "delivered",
    "undelivered": "notices to send",
    "unknown_orders": "unconfirmed orders",
    "uptime_s": "uptime (s)",
    "win_rate": "closes won",
    "wins": "closes won",
    "wins_today": "closing orders won today",
}
"""Headings on a terminal for fields whose name in JSON, which is stable, is not the word that people read."""

WORDS = {
    ("action", "buy no"): "buy NO",
    ("action", "buy yes"): "buy YES",
    ("action", "sell no"): "sell NO",
    ("action", "sell yes"): "sell YES",
    ("by", "here"): "kalshi",
    ("check", "sinks"): "alerts",
    ("found", "never_arrived"): "not on the exchange",
    ("found", "still_unknown"): "still unconfirmed",
    ("is_taker", "no"): "maker",
    ("is_taker", "yes"): "taker",
    ("fee_type", "quadratic_with_combo_maker_fees"): "quadratic, with maker fees for combos",
    ("fee_type", "quadratic_with_maker_fees"): "quadratic, with maker fees",
    ("key", "(none)"): "manual",
    ("last_delivered", MISSING): "never",
    ("status", "dead"): "undeliverable",
    ("status", "dry_run"): "dry run",
    ("status", "never_arrived"): "not on the exchange",
    ("status", "not_sent"): "not sent",
    ("outcome", "no"): "NO",
    ("outcome", "yes"): "YES",
    ("self_trade_prevention", "taker_at_cross"): "taker",
    ("side", "no"): "NO",
    ("side", "yes"): "YES",
    ("strategy", "(none)"): "manual",
    ("taker", "no"): "NO",
    ("taker", "yes"): "YES",
    ("told", MISSING): "not sent",
}
"""Values on a terminal, by field, whose word in JSON, which is stable, is not the word that people read."""


PLAIN_WORDS = frozenset({"check", "key", "strategy"})
"""The fields whose values are the words of a terminal in plain text too; the others stay as scripts read them."""


def to_plain(column: OutputColumn) -> Show:
    """Return the writer of cells of this column in plain text."""
    show = to_text(column.kind)
    if column.name not in PLAIN_WORDS:
        return show
    return lambda value: WORDS.get((column.name, show(value)), show(value))


def label_of(name: str) -> str:
    """Return the heading of a field on a terminal."""
    return LABELS.get(name, name.replace("_", " "))


class OutputColumn(NamedTuple):
    """A field of a row, its declared type, and its heading if that is not the one of its name."""

    name: str
    kind: Any
    heading: str = ""

    @property
    def label(self) -> str:
        """Return the heading of the column: a count of contracts is a quantity."""
        label = self.heading or label_of(self.name)
        return label.replace("count", "quantity") if without_none(self.kind) is Qty else label

    @property
    def is_prose(self) -> bool:
        """Return whether the text may be cut in a narrow table."""
        return without_none(self.kind) is TruncatableText

    @property
    def is_short_id(self) -> bool:
        """Return whether a table shows a prefix of this id."""
        return without_none(self.kind) is ShortId


@cache
def columns(of: type[msgspec.Struct]) -> tuple[OutputColumn, ...]:
    """Return the fields that make a line, in the declared order: all but those with rows of their own."""
    headings: Mapping[str, str] = getattr(of, "headings", {})
    fields = (field for field in msgspec.structs.fields(of) if inner_row(field.type) is None)
    return tuple(OutputColumn(field.name, field.type, headings.get(field.name, "")) for field in fields)


def group_of(title: str) -> str:
    """Return the word after "by" at the end of a title such as "by market", by which its rows are grouped."""
    *_, before, last = ["", "", *title.split()]
    return last if before == "by" else ""


def headed(fields: Sequence[OutputColumn], group: str) -> list[OutputColumn]:
    """Return the columns; `key` or `part` has the words by which the rows are grouped as its heading."""
    heading = group.removeprefix("by ")
    return [column._replace(heading=heading) if column.name in ("key", "part") else column for column in fields]


def distinct(fields: Sequence[OutputColumn]) -> list[OutputColumn]:
    """Return the columns; those of the same heading have their names instead, so that each heading occurs once."""
    labels = [column.label for column in fields]
    return [
        column._replace(heading=column.name.replace("_", " ")) if labels.count(column.label) > 1 else column
        for column in fields
    ]


def plain_headings(fields: Sequence[OutputColumn]) -> list[str]:
    """Return the headings of plain text: those of a terminal, and none that needs a terminal's values."""
    translated = {name for name, _ in WORDS}
    return [
        column.name.replace("_", " ") if column.kind is bool and column.name in translated else column.label
        for column in distinct(fields)
    ]


@cache
def inner_rows(of: type[msgspec.Struct]) -> tuple[tuple[str, type[msgspec.Struct]], ...]:
    """Return the fields that have rows, with the type of the rows."""
    fields = ((field.name, inner_row(field.type)) for field in msgspec.structs.fields(of))
    return tuple((name, kind) for name, kind in fields if kind is not None)


def inner_row(kind: Any) -> type[msgspec.Struct] | None:
    """Return the row type of a tuple type: `tuple[PnlRow, ...]` -> PnlRow; None for other types."""
    args = get_args(kind)
    is_rows = get_origin(kind) is tuple and args[1:] == (...,) and isinstance(args[0], type)
    return args[0] if is_rows and issubclass(args[0], msgspec.Struct) else None


def short_ids(ids: Sequence[str]) -> list[str]:
    """Return the ids cut to the same length, the shortest at which different ids stay different."""
    length = SHORT_ID_LENGTH
    while len({name[:length] for name in ids}) < len(set(ids)):
        length += 1
    return [name[:length] for name in ids]


def cell(column: OutputColumn, value: Any, now: Ts | None) -> str:
    """Return a cell of a terminal table; unlike in `to_text`, times are relative to `now`."""
    if is_moment(column.kind) and value is not None:
        return format_time(value, now)
    text = to_text(column.kind)(value)
    return WORDS.get((column.name, text), text)


_NUMBERS = (Price, Qty, Money, SignedMoney, MaxMoney, MinGain, ExactMoney, Ratio, float, int)


def is_number(kind: Any) -> bool:
    """Return whether values are right-aligned in tables, and need no protection in CSV."""
    return without_none(kind) in _NUMBERS


def is_moment(kind: Any) -> bool:
    """Return whether the type is a time, or an optional one."""
    return without_none(kind) is Ts


def is_text(kind: Any) -> bool:
    """Return whether the values are outside text, which a spreadsheet could take for a formula."""
    return not is_number(kind) and without_none(kind) not in (Ts, bool)


_LABELS = {"OK": "green", "WARNING": "yellow", "CRITICAL": "red", "UNKNOWN": "magenta"}


def style(name: str, kind: Any, value: Any) -> str:
    """Return the color of a cell in a terminal table: bids green, asks red, gains by sign, verdicts; "" for others."""
    bare = without_none(kind)
    if value is None:
        return "dim"
    if bare in (SignedMoney, MinGain):
        return "green" if value > 0 else "red" if value < 0 else ""
    if bare is Verdict:
        return _LABELS.get(str(value), "")
    if bare is Price:
        return "green" if "bid" in name else "red" if "ask" in name else ""
    return ""


_STEPS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))


def format_clock(ts: Ts) -> str:
    """Return the time of day with its zone: `06:29:05 EDT`."""
    return f"{local_time(ts):%H:%M:%S %Z}"


def format_time(ts: Ts, now: Ts | None) -> str:
    """Return a time for a table: `Jun 11 06:29 EDT (in 3h)`; with the year if it is not the current one."""
    moment = local_time(ts)
    if now is None:
        return f"{moment:%Y-%m-%d %H:%M %Z}"
    this_year = local_time(now).year == moment.year
    day = f"{moment:%b} {moment.day} {moment:%H:%M %Z}" if this_year else f"{moment:%Y-%m-%d %H:%M %Z}"
    return f"{day} ({format_age(ts, now)})"


def format_age(ts: Ts, now: Ts) -> str:
    """Return the distance of a time from now: `in 3h`, `5m ago`."""
    away = abs(ts - now)
    amount = next((f"{away // step}{unit}" for step, unit in _STEPS if away >= step), "")
    return f"in {amount}" if amount and ts > now else f"{amount} ago" if amount else "now"
