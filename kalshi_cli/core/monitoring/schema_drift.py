"""Schema drift: differences between the exchange's messages and those that kalshi was written for.

There are two checks. `missing` verifies that every field that kalshi reads is present with its type; it uses the
decoding structs, so it cannot become outdated. `unfamiliar` lists unknown fields and new values of closed lists: they
deserve a look, but break nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any

import msgspec
from msgspec import inspect

from kalshi_cli.core.monitoring.check_report import Breach, critical, note

MAX_ITEMS = 200
"""The most items of a list or map that are checked."""

MAX_TEXT = 60


class KnownField(msgspec.Struct, frozen=True):
    """A field of the published specification: the object inside it, or the values of a closed list."""

    of: str = ""
    values: tuple[str, ...] = ()


class KnownSchema(msgspec.Struct, frozen=True):
    """The fields of the published specification.

    `replies` names the object of each route, `frames` those of each type of stream message.
    """

    replies: dict[str, str]
    frames: dict[str, tuple[str, ...]]
    objects: dict[str, dict[str, KnownField]]


def missing(body: Any, wanted: type, where: str) -> list[Breach]:
    """Return a critical breach for each required field that is absent or has another type than `wanted` reads.

    `body` is decoded JSON. A path is listed once, however many items of a list have the same fault.
    """
    found = {(breach.code, breach.subject): breach for breach in _missing(body, _shape(wanted), where)}
    return list(found.values())


def unfamiliar(body: Any, known: KnownSchema, names: tuple[str, ...], where: str) -> list[Breach]:
    """Return a note for each field that no object of these names has, and each value outside a closed list."""
    found = {(b.code, b.subject, b.value): b for b in _unfamiliar(body, known, names, where)}
    return list(found.values())


@cache
def _shape(wanted: type) -> inspect.Type:
    """Return the declared type of a struct; computing it takes as long as decoding a page."""
    return inspect.type_info(wanted)


def _missing(value: Any, wanted: inspect.Type, where: str) -> Iterator[Breach]:
    options = wanted.types if isinstance(wanted, inspect.UnionType) else (wanted,)
    fitting = next((option for option in options if _fits(value, option)), None)
    if fitting is None:
        yield critical("CHANGED_TYPE", where, _kind(value), " or ".join(_name(option) for option in options))
    elif isinstance(fitting, inspect.StructType) and isinstance(value, dict):
        for field in fitting.fields:
            inner = f"{where}.{field.encode_name}"
            if field.encode_name in value:
                yield from _missing(value[field.encode_name], field.type, inner)
            elif field.required:
                yield critical("MISSING_FIELD", inner, "absent", _name(field.type))
    elif isinstance(fitting, inspect.DictType) and isinstance(value, dict):
        for name, item in islice(value.items(), MAX_ITEMS):
            yield from _missing(item, fitting.value_type, f"{where}.{name}")
    elif isinstance(fitting, inspect.ListType | inspect.VarTupleType):
        for item in value[:MAX_ITEMS]:
            yield from _missing(item, fitting.item_type, f"{where}[]")
    elif isinstance(fitting, inspect.TupleType):
        for item, each in zip(value, fitting.item_types, strict=False):
            yield from _missing(item, each, f"{where}[]")


def _fits(value: Any, wanted: inspect.Type) -> bool:
    """Return whether a JSON value has the kind that a type is decoded from, without its content."""
    if isinstance(wanted, inspect.AnyType | inspect.RawType):
        return True
    if isinstance(wanted, inspect.DateTimeType):
        return isinstance(value, str) and _is_time(value)
    if isinstance(wanted, inspect.TupleType):
        return isinstance(value, list) and len(value) == len(wanted.item_types)
    if isinstance(wanted, inspect.IntType | inspect.FloatType) and isinstance(value, bool):
        return False
    kinds = next((kinds for known, kinds, _ in _KINDS if isinstance(wanted, known)), (object,))
    return isinstance(value, kinds)


def _is_time(text: str) -> bool:
    try:
        return msgspec.convert(text, datetime).tzinfo is not None
    except msgspec.ValidationError:
        return False


def _kind(value: Any) -> str:
    """Return the JSON name of a value's kind."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    kinds = {str: "string", int: "number", float: "number", list: "list", dict: "object"}
    kind = kinds.get(type(value), type(value).__name__)
    return f"{kind} {value[:MAX_TEXT]!r}" if isinstance(value, str) else kind


_KINDS: tuple[tuple[Any, tuple[type, ...], str], ...] = (
    (inspect.NoneType, (type(None),), "null"),
    (inspect.DateTimeType, (str,), "time"),
    (inspect.StrType, (str,), "string"),
    (inspect.BoolType, (bool,), "boolean"),
    (inspect.IntType, (int,), "number"),
    (inspect.FloatType, (int, float), "number"),
    (inspect.StructType | inspect.DictType, (dict,), "object"),
    (inspect.ListType | inspect.VarTupleType | inspect.TupleType, (list,), "list"),
)
"""Each declared type, the Python types of its JSON values, and its JSON name."""


def _name(wanted: inspect.Type) -> str:
    """Return the JSON name of a declared type."""
    if isinstance(wanted, inspect.UnionType):
        return " or ".join(_name(option) for option in wanted.types)
    return next((name for known, _, name in _KINDS if isinstance(wanted, known)), type(wanted).__name__)


def _unfamiliar(value: Any, known: KnownSchema, names: tuple[str, ...], where: str) -> Iterator[Breach]:
    if isinstance(value, list):
        for item in value[:MAX_ITEMS]:
            yield from _unfamiliar(item, known, names, f"{where}[]")
        return
    if not isinstance(value, dict):
        return
    for field, inner in value.items():
        at = f"{where}.{field}"
        listed = [known.objects[name][field] for name in names if field in known.objects.get(name, {})]
        if not listed:
            yield note("UNKNOWN_FIELD", at, _kind(inner), "not in the published specification")
            continue
        within = tuple(each.of for each in listed if each.of)
        if within:
            yield from _unfamiliar(inner, known, within, at)
        yield from _new_values(inner, [each.values for each in listed], at)


def _new_values(value: Any, lists: list[tuple[str, ...]], where: str) -> Iterator[Breach]:
    """Yield values outside the closed lists; if any reading of the field has no list, every value is allowed."""
    allowed = {each for values in lists for each in values}
    if not all(lists):
        return
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and text not in allowed:
            yield note("NEW_VALUE", where, text[:MAX_TEXT], ", ".join(sorted(allowed)))
