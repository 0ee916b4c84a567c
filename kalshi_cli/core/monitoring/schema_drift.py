"""Drift: how what the exchange sends differs from what this program was made for.

Two questions, asked apart. Is everything there that we read, of the type that we read it as? What we read is what the
decoding structs declare, so the rule cannot lag behind them. And is anything there that nobody has listed: a field, or
a value of a closed list? That needs looking at, and breaks nothing.
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
"""Of a list, or of a map, so many are looked at."""

MAX_TEXT = 60


class KnownField(msgspec.Struct, frozen=True):
    """A field as the published specification has it: the object inside it, or the values of a closed list."""

    of: str = ""
    values: tuple[str, ...] = ()


class KnownSchema(msgspec.Struct, frozen=True):
    """The published specification, as far as fields go.

    `replies` names the object of each route, `frames` those that a type of stream message can be.
    """

    replies: dict[str, str]
    frames: dict[str, tuple[str, ...]]
    objects: dict[str, dict[str, KnownField]]


def missing(body: Any, wanted: type, where: str) -> list[Breach]:
    """Critical: a required field that is not there, or one whose type is not what the struct `wanted` reads.

    `body` is decoded JSON. Each path is said once, however many items of a list have the same fault.
    """
    found = {(breach.code, breach.subject): breach for breach in _missing(body, _shape(wanted), where)}
    return list(found.values())


def unfamiliar(body: Any, known: KnownSchema, names: tuple[str, ...], where: str) -> list[Breach]:
    """Notes: a field that no object of these names has, a value that a closed list does not have."""
    found = {(b.code, b.subject, b.value): b for b in _unfamiliar(body, known, names, where)}
    return list(found.values())


@cache
def _shape(wanted: type) -> inspect.Type:
    """What a struct declares; reckoning it takes as long as reading a page."""
    return inspect.type_info(wanted)


# -- what we read -------------------------------------------------------------------------------------------------


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
    """Whether a JSON value is of the kind that this type is decoded from. What is inside is looked at apart."""
    if isinstance(wanted, inspect.AnyType | inspect.RawType):
        return True
    if isinstance(wanted, inspect.DateTimeType):
        return isinstance(value, str) and _is_time(value)
    if isinstance(wanted, inspect.TupleType):
        return isinstance(value, list) and len(value) == len(wanted.item_types)
    if isinstance(wanted, inspect.IntType | inspect.FloatType) and isinstance(value, bool):
        return False
    kinds = next((kinds for known, kinds in _KINDS if isinstance(wanted, known)), (object,))
    return isinstance(value, kinds)


_KINDS: tuple[tuple[type | Any, tuple[type, ...]], ...] = (
    (inspect.NoneType, (type(None),)),
    (inspect.StrType, (str,)),
    (inspect.BoolType, (bool,)),
    (inspect.IntType, (int,)),
    (inspect.FloatType, (int, float)),
    (inspect.StructType | inspect.DictType, (dict,)),
    (inspect.ListType | inspect.VarTupleType, (list,)),
)


def _is_time(text: str) -> bool:
    try:
        return msgspec.convert(text, datetime).tzinfo is not None
    except msgspec.ValidationError:
        return False


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    kinds = {str: "string", int: "number", float: "number", list: "list", dict: "object"}
    kind = kinds.get(type(value), type(value).__name__)
    return f"{kind} {value[:MAX_TEXT]!r}" if isinstance(value, str) else kind


def _name(wanted: inspect.Type) -> str:
    """What is wanted, in the same words."""
    if isinstance(wanted, inspect.UnionType):
        return " or ".join(_name(option) for option in wanted.types)
    names: tuple[tuple[Any, str], ...] = (
        (inspect.NoneType, "null"),
        (inspect.DateTimeType, "time"),
        (inspect.StrType, "string"),
        (inspect.BoolType, "boolean"),
        (inspect.IntType | inspect.FloatType, "number"),
        (inspect.StructType | inspect.DictType, "object"),
        (inspect.ListType | inspect.VarTupleType | inspect.TupleType, "list"),
    )
    return next((name for known, name in names if isinstance(wanted, known)), type(wanted).__name__)


# -- what is listed -----------------------------------------------------------------------------------------------


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
    """Values that are in none of the closed lists; where any reading of the field has no list, all is allowed."""
    allowed = {each for values in lists for each in values}
    if not all(lists):
        return
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and text not in allowed:
            yield note("NEW_VALUE", where, text[:MAX_TEXT], ", ".join(sorted(allowed)))
