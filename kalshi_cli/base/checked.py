"""Checks of the values that a program in Python passes: a wrong one is a UsageError before anything is planned."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

from kalshi_cli.base.errors import UsageError

if TYPE_CHECKING:
    import msgspec

T = TypeVar("T")

_OWN_ID = re.compile(r"[A-Za-z0-9_-]+")
MAX_OWN_ID = 128
"""The longest client order id, in characters."""

_PRICE = "cents(47) of kalshi_cli.units is $0.47, and cents('4.5') is $0.045"
_COUNT = "contracts(10) of kalshi_cli.units is 10, and contracts('2.5') is 2.5"
_TIME = "parse_ts('2026-11-01T00:00:00Z') of kalshi_cli.units is a time; kalshi.now is the present"
_MONEY = "dollars(5) of kalshi_cli.units is $5, and dollars('12.50') is $12.50"
_UNITS = {
    "price": _PRICE, "max_slippage": _PRICE, "step": _PRICE, "yes_bid": _PRICE, "no_bid": _PRICE,
    "above": _PRICE, "below": _PRICE,
    "qty": _COUNT, "count": _COUNT, "by": _COUNT, "to": _COUNT, "limit_qty": _COUNT,
    "amount": _MONEY, "cost": _MONEY, "since": _TIME, "until": _TIME,
}  # fmt: skip
"""The name of a value in units -> how to write one."""


def check_choice(name: str, value: object, choices: Collection[str]) -> Any:
    """Return a word of a closed set, exactly as it is written there."""
    if not isinstance(value, str) or value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}, not {value!r:.60}")
    return value


def check_type(name: str, value: object, kind: type[T]) -> T:
    """Return a value of this type."""
    if not isinstance(value, kind):
        raise UsageError(f"{name} must be a value of type {kind.__name__}, not {value!r:.60}")
    return value


def check_whole(name: str, value: int) -> int:
    """Return a whole number of units, such as a Price or a Qty, and refuse a float, a bool or a text."""
    if not _is(value, int):
        raise UsageError(f"{name} must be a whole number, not {value!r:.60}", hint=_UNITS.get(name, ""))
    return value


def check_number(name: str, value: object) -> None:
    """Refuse a value that is no number, such as the text of a duration."""
    if not _is(value, float):
        raise UsageError(f"{name} must be a number, not {value!r:.60}")


def check_limit(value: int | None) -> int | None:
    """Return the most rows of a list; None means all."""
    if value is not None and (not _is(value, int) or value < 0):
        hint = "leave it out, or use None for all rows"
        raise UsageError(f"limit must be a whole number, zero or more, not {value!r:.60}", hint=hint)
    return value


def check_period(since: int | None, until: int | None = None) -> None:
    """Refuse a time that is no Ts, and a period without time, whose result would be empty."""
    for name, each in (("since", since), ("until", until)):
        if each is not None and not _is(each, int):
            raise UsageError(f"{name} must be a time in milliseconds, not {each!r:.60}", hint=_TIME)
    if since is not None and until is not None and until <= since:
        from kalshi_cli.base.units import Ts, format_ts

        text = f"since {format_ts(Ts(since))} is not before until {format_ts(Ts(until))}"
        raise UsageError(text, hint="swap since and until")


def check_text(name: str, value: object) -> str:
    """Return a text that is not empty, such as a ticker or the id of a row; an order that was not sent has no id."""
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{name} must be a text that is not empty, not {value!r:.60}", hint=_id_hint(name, value))
    return value


def _id_hint(name: str, value: object) -> str:
    if not name.startswith("order_id"):
        return ""
    if isinstance(value, list | tuple):
        return "give each id by itself: *ids"
    return "an order that was not sent has no order id" if value is None else ""


def check_tickers(tickers: Iterable[str]) -> tuple[str, ...]:
    """Return a list of tickers as a tuple, and refuse a single text: its letters would be read as tickers."""
    if isinstance(tickers, str) or not isinstance(tickers, Iterable):
        hint = f"write [{tickers!r:.60}]" if isinstance(tickers, str) else ""
        raise UsageError(f"tickers must be a list of tickers, not {tickers!r:.60}", hint=hint)
    return tuple(each if isinstance(each, str) else check_text("ticker", each) for each in tickers)


def check_own_id(name: str, value: str | None) -> None:
    """Refuse an id that tables, JSON and the exchange might show differently, and an empty one of an unset variable.

    A rejected id stays used, so one that the exchange rejects (with a dot, or too long) is refused before it is saved.
    """
    if value is None:
        return
    if not value.strip():
        raise UsageError(f"{name} is empty", hint="leave it out for a new id")
    if len(value) > MAX_OWN_ID:
        raise UsageError(f"{name} has {len(value)} characters; the maximum is {MAX_OWN_ID}", hint="use a shorter id")
    if not _OWN_ID.fullmatch(value):
        raise UsageError(f"{name} must have only letters, digits, - and _, not {value!a:.60}", hint="use another id")


def from_text(name: str, parse: Callable[[str], T], value: object, example: str = "") -> T:
    """Parse a text as typed; `example` is the hint for a wrong one.

    A number does not show its scale: 24 could be cents, dollars or units.
    """
    from decimal import Decimal

    if not isinstance(value, str | Decimal):
        hint = "" if value is None else f'write {name}="{value}"'
        if _is(value, int):
            show = "price" if name == "price" else "qty"
            typed = '"0.24" or "24c"' if name == "price" else '"10"'
            hint = f"write {name}={typed}; of a value of units, write {name}=units.format_{show}({value})"
        raise UsageError(f"{name} must be a text, not {value!r:.60}", hint=hint)
    try:
        return parse(str(value))
    except ValueError as error:
        raise UsageError(f"{name}: {error}", hint=example) from error


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object of these pairs, for `object_pairs_hook`. Python would keep the last value of a key."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UsageError(f"Duplicate key: {key:.60}", hint="give each key once")
        found[key] = value
    return found


class JsonNumber(str):
    """A JSON number, kept as it was typed: a price must not go through a float."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def exact_json(text: str | bytes) -> Any:
    """Decode JSON whose numbers stay as they were typed. Raise UsageError for a key that is there twice."""
    return json.loads(text, parse_float=JsonNumber, parse_int=JsonNumber, object_pairs_hook=unique_keys)


def as_json(value: object) -> str:
    """Return a value of `exact_json` for a message, as it was typed; without this, `true` would be True."""
    return json.dumps(value) if isinstance(value, bool) else f"{value!r:.60}"


def check_fields(given: msgspec.Struct) -> None:
    """Raise UsageError for the first field whose value does not fit its declared type."""
    from msgspec.structs import fields

    for field in fields(type(given)):
        check_kind(field.name, getattr(given, field.name), field.type)


def check_kind(name: str, value: object, kind: Any) -> None:
    """Raise UsageError for a value that does not fit a declared type."""
    kinds = kinds_of(kind)
    if not any(_is(value, each) for each in kinds):
        is_number = any(getattr(each, "__supertype__", each) in (int, float) for each in kinds)
        hint = _UNITS.get(name, "") if is_number else _id_hint(name, value)
        raise UsageError(_wrong(name, value, kinds), hint=hint)


def kinds_of(kind: Any) -> tuple[Any, ...]:
    """Return the types of which a value may have any."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


LISTS = (Sequence, Iterable, Collection)
MOST = 1 << 63
"""The first number that neither the state file nor a list of Python can count to."""


def _is(value: object, kind: Any) -> bool:
    """Return whether a value is of a type, exactly: no bool for a number, no number for a bool, no NaN."""
    kind = getattr(kind, "__supertype__", kind)  # of a NewType
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if kind in (int, float):
        is_number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        return is_number and abs(value) < MOST  # type: ignore[arg-type]
    if get_origin(kind) in LISTS:
        is_read = not isinstance(value, list | tuple) or all(
            any(_is(each, inner) for inner in kinds_of(get_args(kind)[0])) for each in value
        )
        return isinstance(value, get_origin(kind)) and not isinstance(value, str | bytes) and is_read
    kind = NoneType if kind is None else get_origin(kind) or kind
    return not isinstance(kind, type) or isinstance(value, kind)


def _wrong(name: str, value: object, kinds: tuple[Any, ...]) -> str:
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    words += [str(each) for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum) for each in kind]
    if words:
        kind = next((each.__name__ for each in kinds if isinstance(each, type) and issubclass(each, Enum)), "")
        return f"{name} must be {'a ' + kind if kind else 'one of'} {', '.join(words)}, not {value!r:.60}"
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", NoneType: "None"}
    names |= dict.fromkeys(LISTS, "a list")
    plain = [get_origin(kind) or getattr(kind, "__supertype__", kind) for kind in kinds]
    meant = [names.get(kind) or f"a value of type {getattr(kind, '__name__', kind)}" for kind in plain]
    return f"{name} must be {' or '.join(meant)}, not {value!r:.60}"
