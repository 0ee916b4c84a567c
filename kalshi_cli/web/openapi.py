"""The OpenAPI description of the JSON API, generated from its routes and the schema of the views."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import Any

import msgspec

from kalshi_cli.base.version import __version__
from kalshi_cli.services.account.portfolio import KEYS
from kalshi_cli.services.markets.service import INTERVALS
from kalshi_cli.views.live import LiveEvent
from kalshi_cli.views.plans import OrderAmounts
from kalshi_cli.views.schema import ERROR_SCHEMA, schema_of
from kalshi_cli.web import reads
from kalshi_cli.web.statuses import HTTP_STATUSES, OF_ALL, OF_READS, OF_WRITES
from kalshi_cli.web.writes import CHOICES, FLAGS, MAX_TEXT, NUMBERS, RESULTS, WRITES

_ROWS_OF_ERROR = {"type": "array", "items": {"type": "object"}, "description": "the results of a plan that failed"}
_ERROR = {**ERROR_SCHEMA, "properties": {**ERROR_SCHEMA["properties"], "rows": _ROWS_OF_ERROR}}

_TEXTS = {"type": "array", "items": {"type": "string"}}
_PLAN = {
    "type": "object",
    "properties": {
        "plan_id": {"type": "string"},
        "subject": {"type": "string"},
        "facts": _TEXTS,
        "warnings": _TEXTS,
        "expires": {"type": "string", "format": "date-time"},
        "digest": {"type": "string"},
        **schema_of(OrderAmounts)["properties"],
    },
    "required": ["plan_id", "subject", "facts", "warnings", "expires", "digest"],
}

_ROWS = {"type": "integer", "minimum": 1, "maximum": reads.MAX_ROWS}
_QUERY: dict[str, dict[str, Any]] = {
    "limit": {**_ROWS, "default": reads.USUAL_ROWS},
    "orders limit": {**_ROWS, "default": reads.MAX_ROWS},
    "offset": {"type": "integer", "minimum": 0, "maximum": reads.MAX_OFFSET, "default": 0},
    **{name: {"type": "string", "format": "date-time"} for name in reads.PERIOD},
    "depth": {**_ROWS, "default": reads.USUAL_DEPTH},
    "by": {"enum": list(KEYS), "default": "market"},
    "interval": {"enum": list(INTERVALS), "default": "1h"},
    "orders status": {"enum": list(reads.ORDER_STATUSES), "default": "resting"},
    "markets status": {"enum": list(reads.MARKET_STATUSES), "default": "open"},
}
"""The values of query parameters that are no free texts; those of `status` and `limit` differ by path."""

_NEXT = {"Link": {"description": 'the next part of a list: <ADDRESS>; rel="next"', "schema": {"type": "string"}}}


@functools.cache
def openapi() -> dict[str, Any]:
    """Return the description of every route, as OpenAPI 3.1; one that all callers share."""
    paths = {f"/{read.path}": {"get": _read(read)} for read in reads.READS}
    paths["/state"] = {"get": _operation("The state of the event stream, whole", _json(_ref(LiveEvent)), OF_ALL)}
    paths["/events"] = {
        "get": _operation(
            "The event stream, without an end: server-sent events, each with the parts that changed. No list of the "
            "exchange's events",
            {"text/event-stream": {"schema": _ref(LiveEvent)}},
            OF_ALL,
        )
    }
    plan = _operation("Make a plan; nothing is sent", _json(_PLAN), OF_WRITES)
    plan["requestBody"] = {"required": True, "content": _json({"oneOf": [_request(name) for name in WRITES]})}
    paths["/plans"] = {"post": plan}
    done = {
        "done": {"type": "string"},
        "result": {"type": "string"},
        "rows": {"type": "array", "items": {"anyOf": [_ref(view) for view in RESULTS]}},
    }
    result = {"type": "object", "properties": done, "required": [*done]}
    execute = _operation(
        "Execute a plan once, unchanged, before it expires; a repeat gets the same reply", _json(result), OF_WRITES
    )
    execute["parameters"] = [_parameter("plan_id", "path")]
    digest = {"type": "object", "properties": {"digest": {"type": "string"}}, "required": ["digest"]}
    execute["requestBody"] = {"required": True, "content": _json(digest)}
    paths["/plans/{plan_id}/execute"] = {"post": execute}
    views: list[type[msgspec.Struct]] = [*(read.view for read in reads.READS), *RESULTS, LiveEvent]
    return {
        "openapi": "3.1.0",
        "info": {"title": "kalshi serve", "version": __version__},
        "servers": [{"url": "/api/v1"}],
        "paths": paths,
        "components": {
            "schemas": {view.__name__: schema_of(view) for view in views} | {"Error": _ERROR},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "kalshi_session"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"session": []}, {"token": []}],
    }


def _read(read: reads.Read) -> dict[str, Any]:
    schema: dict[str, Any] = _ref(read.view)
    in_path = re.findall(r"{(\w+)}", read.path)
    statuses = OF_READS if in_path or read.parameters else OF_READS - {404}
    found = _operation(read.words, _json({"type": "array", "items": schema} if read.is_list else schema), statuses)
    if "offset" in read.parameters:
        found["responses"]["200"]["headers"] = _NEXT
    found["parameters"] = [_parameter(name, "path") for name in in_path] + [
        _parameter(name, "query", _QUERY.get(f"{read.path} {name}") or _QUERY.get(name)) for name in read.parameters
    ]
    return found


def _operation(words: str, content: dict[str, Any], statuses: Collection[int]) -> dict[str, Any]:
    error = _json({"$ref": "#/components/schemas/Error"})
    replies = {"200": {"description": words, "content": content}}
    replies |= {str(each): {"description": HTTP_STATUSES[each].words, "content": error} for each in sorted(statuses)}
    return {"summary": words, "responses": {**replies, "default": {"description": "What went wrong", "content": error}}}


def _parameter(name: str, place: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema or {"type": "string"}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _ref(view: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{view.__name__}"}


def _field(name: str) -> dict[str, Any]:
    if name in CHOICES:
        return {"enum": [*CHOICES[name], *((True, False) if name in FLAGS else ())]}
    return {"type": ["string", "number"] if name in NUMBERS else "string", "maxLength": MAX_TEXT}


def _request(name: str) -> dict[str, Any]:
    write = WRITES[name]
    return {
        "title": write.words,
        "type": "object",
        "properties": {
            "do": {"const": name},
            **{field: _field(field) for field in (*write.fields, *write.optional)},
        },
        "required": ["do", *write.fields],
        "additionalProperties": False,
    }
