"""Views read again from their JSON: the inverse of `formats.to_machine`, for files that were kept by the user."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Money, Price, Qty, Ts, parse_money, parse_price, parse_qty, parse_ts
from kalshi_cli.views.formats import find_kind, without_none

Parse = Callable[[Any], Any]


_PARSERS: dict[Any, tuple[Any, Parse]] = {
    Price: (str, parse_price),
    Qty: (str, parse_qty),
    Money: (str, parse_money),
    Ts: (str, parse_ts),
    str: (str, safe_text),
    float: (float, float),
    int: (int, int),
    bool: (bool, bool),
}
"""The JSON type of a value, and the function that reads it."""


@cache
def from_machine(kind: Any) -> Parse:
    """Return the reader of a type's JSON value, decoded. The reader raises ValueError for anything else.

    Fields that the type does not have are left out; a missing one must have a default.
    """
    if (bare := without_none(kind)) != kind:
        inner = from_machine(bare)
        return lambda value: None if value is None else inner(value)
    if parser := find_kind(_PARSERS, kind):
        json, read = parser
        return lambda value: read(msgspec.convert(value, prepared(json)))
    origin, args = get_origin(kind), get_args(kind)
    if origin is tuple and args[1:] == (...,):
        each = from_machine(args[0])
        return lambda values: tuple(map(each, msgspec.convert(values, list[Any])))
    if origin is dict:
        inner = from_machine(args[1])
        return lambda values: {
            safe_text(key): inner(one) for key, one in msgspec.convert(values, dict[str, Any]).items()
        }
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind)
    raise TypeError(f"a view with {kind!r} cannot be read again")


def _struct(of: type[msgspec.Struct]) -> Parse:
    fields = [(field, from_machine(field.type)) for field in msgspec.structs.fields(of)]

    def read(value: Any) -> msgspec.Struct:
        given = msgspec.convert(value, dict[str, Any])
        missing = [each.name for each, _ in fields if each.required and each.name not in given]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        return of(**{each.name: parse(given[each.name]) for each, parse in fields if each.name in given})

    return read
