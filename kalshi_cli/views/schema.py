"""The JSON schema of every view, from the types that its fields declare: the one description of `--json`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from kalshi_cli import views
from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.views.formats import ExchangeJson, MinGain, Ratio, SignedMoney, Verdict, find_kind, without_none
from kalshi_cli.views.row import OutputRow

JsonSchema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: JsonSchema = {"type": "string"}


class SchemaRow(OutputRow, frozen=True, kw_only=True):
    """A view in the list of `kalshi schema`, and the commands that print it."""

    view: str
    commands: tuple[str, ...]


def _decimal(places: int, what: str) -> JsonSchema:
    return {"type": "string", "pattern": rf"^-?[0-9]+\.[0-9]{{{places}}}$", "description": what}


_VALUES: dict[Any, JsonSchema] = {
    Price: _decimal(4, "dollars a contract"),
    Qty: _decimal(2, "contracts"),
    Money: _decimal(6, "dollars"),
    MinGain: _decimal(6, "dollars, won or lost"),
    SignedMoney: _decimal(6, "dollars, won or lost"),
    Ts: {"type": "string", "format": "date-time", "description": "UTC"},
    Ratio: {"type": ["number", "null"], "description": "a share: 0.5 is one half; null where it is not finite"},
    float: {"type": ["number", "null"]},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    str: _TEXT,
    Verdict: {"enum": ["OK", "WARNING", "CRITICAL", "UNKNOWN"]},
    ExchangeJson: {"description": "JSON of the exchange, as it came"},
}


def schema_of(view: type[msgspec.Struct]) -> JsonSchema:
    """Return the JSON schema (draft 2020-12) of what `--json` prints of a view."""
    fields = msgspec.structs.fields(view)
    return {
        "title": view.__name__,
        "type": "object",
        "properties": {field.name: _schema(field.type) for field in fields},
        "required": [field.name for field in fields],
    }


ERROR_SCHEMA: JsonSchema = {
    "title": "Error",
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                **dict.fromkeys(("code", "message", "hint"), _TEXT),
                "exit_code": {"type": "integer", "description": "that of the command; 7: outcome unknown"},
                "details": {"type": "string", "description": "what the exchange said of its code, if anything"},
                "order_id": {"type": "string", "description": "the order that the error is about"},
                "problems": {"type": "array", "items": _TEXT, "description": "several problems of one input"},
                "traceback": {"type": "string", "description": "of a bug, or with `-v`"},
            },
            "required": ["code", "message", "hint", "exit_code"],
        },
    },
    "required": ["error"],
}
"""The schema of an error as JSON, of the command line and of the HTTP API; the last four may be missing."""


def schema_document(schemas: Sequence[JsonSchema]) -> JsonSchema:
    """Return a whole JSON document: the schema of an object that fits one of these schemas."""
    return {"$schema": _DIALECT, **(schemas[0] if len(schemas) == 1 else {"anyOf": schemas})}


def all_views() -> dict[str, type[OutputRow]]:
    """Return every view by its name."""
    modules = (
        importlib.import_module(each.name) for each in pkgutil.iter_modules(views.__path__, f"{views.__name__}.")
    )
    kinds = (kind for module in modules for kind in vars(module).values() if isinstance(kind, type))
    found = {kind.__name__: kind for kind in kinds if issubclass(kind, OutputRow) and kind is not OutputRow}
    return dict(sorted(found.items()))


def _schema(kind: Any) -> JsonSchema:
    if (bare := without_none(kind)) != kind:
        return {"anyOf": [_schema(bare), {"type": "null"}]}
    if schema := find_kind(_VALUES, kind):
        return schema
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple and args[1:] == (...,):
        return {"type": "array", "items": _schema(args[0])}
    if origin is tuple:
        return {"type": "array", "prefixItems": [_schema(arg) for arg in args], "items": False}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(args[1])}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [each.value for each in kind]}
    if isinstance(kind, TypeVar):
        return {"description": "any JSON"}
    return schema_of(kind)
