"""Conversion of one configured value to the type of its field, and back to text for display."""

from __future__ import annotations

import math
import operator
import re
import types
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin
from urllib.parse import urlsplit

from msgspec import Meta

from kalshi_cli.base import units
from kalshi_cli.base.ranges import parse_range
from kalshi_cli.base.text import is_loopback
from kalshi_cli.base.units import Money, Price, Qty

MAX_TEXT = 500
MAX_WORDS = 50

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def convert(kind: Any, raw: object) -> Any:
    """Convert `raw`, from YAML, a variable or an option, to `kind`; ValueError describes the error only."""
    base, meta, is_optional = _unwrap(kind)
    if is_optional and (raw is None or (isinstance(raw, str) and raw.strip().lower() in ("none", "null"))):
        return None
    if raw is None:
        raise ValueError("value missing")
    if base is Any:
        return raw
    if get_origin(base) is Literal:
        choices = get_args(base)
        if raw not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {_quoted(raw)}")
        return raw
    value = _PARSERS[base](raw)
    for limit, is_inside, words in (
        (meta.gt, operator.gt, "above"),
        (meta.ge, operator.ge, "at least"),
        (meta.lt, operator.lt, "below"),
        (meta.le, operator.le, "at most"),
    ):
        if limit is not None and not is_inside(value, limit):
            why = f": {meta.description}" if meta.description else ""
            raise ValueError(f"must be {words} {show(base, limit)}, not {show(base, value)}{why}")
    return value


def show(kind: Any, value: object) -> str:
    """Return a value as it is written in the file."""
    base, _, _ = _unwrap(kind)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    formatter: Callable[[Any], str] = _FORMATTERS.get(base, str)
    return formatter(value)


def url(*schemes: str) -> Callable[[str], str]:
    """Return a check that a URL is encrypted (`schemes[0]`), or plain (`schemes[1]`) and on this machine."""

    def check(text: str) -> str:

        if not text:
            return ""
        try:
            parts = urlsplit(text)
            host, is_port = parts.hostname or "", parts.port != 0
        except ValueError:  # an invalid port or IPv6 address
            host, is_port = "", False
        if not host or not is_port or parts.username is not None or parts.query or parts.fragment:
            raise ValueError(f"must be a URL such as {schemes[0]}://host/path, without user, query or fragment")
        if parts.scheme != schemes[0] and not (parts.scheme == schemes[1] and is_loopback(host)):
            secure, plain = schemes
            raise ValueError(f"must start with {secure}:// ({plain}:// only on this machine, such as 127.0.0.1)")
        return text.rstrip("/")

    return check


def web_address(text: str) -> str:
    """Check that the text is an http(s) address. Its host is checked when something is sent."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in ("https", "http") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:  # its text would quote the address
        is_web = False
    if not is_web:
        raise ValueError("must be a web address such as https://host/path, without a user")
    return text


def variable_names(words: tuple[str, ...]) -> tuple[str, ...]:
    """Check that each word is the name of a variable that a program of the user may receive."""
    for word in words:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", word):
            raise ValueError(f"must be names of variables, not {_quoted(word)}")
        if word.upper().startswith("KALSHI_"):
            raise ValueError("variables that begin with KALSHI_ are not passed on: they contain the API key")
    return words


def list_of_choices(choices: Collection[str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Return a check that each word is one of these."""

    def check(words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            if word not in choices:
                raise ValueError(f"must be a list of {', '.join(choices)}, not {_quoted(word)}")
        return words

    return check


RangeText = NewType("RangeText", str)
"""A range in monitoring plug-in notation: 10, 10:, ~:10, 10:20, @10:20."""


def time_zone(name: str) -> str:
    """Check that this machine knows the time zone."""
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise ValueError(f"unknown time zone {_quoted(name)}; use a name such as America/New_York") from error
    return name


def _unwrap(kind: Any) -> tuple[Any, Meta, bool]:
    """Return the bare type, its constraints, and whether None is allowed."""
    meta, is_optional = Meta(), False
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not types.NoneType)
        is_optional = True
    if get_origin(kind) is Annotated:
        kind, meta = get_args(kind)[:2]
    return kind, meta, is_optional


MAX_QUOTED_LENGTH = 16


def _quoted(raw: object) -> str:
    """Return the value as written if it is short; a long text in the wrong place may be a secret."""
    text = str(raw)
    return repr(raw) if len(text) <= MAX_QUOTED_LENGTH else f"a text of {len(text)} characters"


def _digits(raw: object) -> str:
    """Return a number as text, exactly as written: the shortest text of the YAML float 0.03 is 0.03."""
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise ValueError(f"must be a number, not {_quoted(raw)}")
    return str(raw).strip()


def _fixed(parse: Callable[[str], int], what: str, decimals: int) -> Callable[[object], int]:
    def parser(raw: object) -> int:
        try:
            return parse(_digits(raw).removeprefix("$"))
        except ValueError as error:
            raise ValueError(f"must be {what} with at most {decimals} decimals, not {_quoted(raw)}") from error

    return parser


def _whole(raw: object) -> int:
    text = _digits(raw)
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise ValueError(f"must be a whole number, not {_quoted(raw)}")
    return int(text)


def _real(raw: object) -> float:
    try:
        value = float(_digits(raw))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"must be a number, not {_quoted(raw)}")
    return value


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    value = _WORDS.get(str(raw).strip().lower())
    if value is None:
        raise ValueError(f"must be true or false, not {_quoted(raw)}")
    return value


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"must be text; put {_quoted(raw)} in quotes")
    if len(raw) > MAX_TEXT or not raw.isprintable():
        raise ValueError(f"must be one line of at most {MAX_TEXT} printable characters")
    return raw.strip()


def _range(raw: object) -> str:
    text = str(raw).strip() if isinstance(raw, int | float | str) and not isinstance(raw, bool) else ""
    try:
        return parse_range(text).text
    except ValueError:
        raise ValueError(f"must be a range like 10, 10:, ~:10, 10:20 or @10:20, not {_quoted(raw)}") from None


def _words(raw: object) -> tuple[str, ...]:
    """Convert a YAML list, or comma-separated words from a variable."""
    parts = raw if isinstance(raw, list | tuple) else _text(raw).split(",")
    if len(parts) > MAX_WORDS:
        raise ValueError(f"must be at most {MAX_WORDS} words")
    return tuple(word for part in parts if (word := _text(part)))


def _path(raw: object) -> Path:
    text = str(raw) if isinstance(raw, Path) else _text(raw)
    if not text:
        raise ValueError("must be a path; it is empty")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"no home directory found for {_quoted(text)}") from error


_PARSERS: dict[Any, Callable[[object], Any]] = {
    Money: _fixed(units.parse_money, "dollars", 6),
    Price: _fixed(units.parse_price, "a price in dollars", 4),
    Qty: _fixed(units.parse_qty, "contracts", 2),
    int: _whole,
    float: _real,
    bool: _boolean,
    str: _text,
    Path: _path,
    RangeText: _range,
    tuple[str, ...]: _words,
}
_FORMATTERS: dict[Any, Callable[[Any], str]] = {
    Money: units.format_money,
    Price: units.format_price,
    Qty: units.format_qty,
    tuple[str, ...]: ", ".join,
}
