"""Checks requests, responses, commands and frames against the exchange's published specifications, where at hand.

Stricter than the specifications: a property or a query parameter that they do not name is an error too.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

import httpx
import pytest
import yaml
from jsonschema import Draft7Validator, ValidationError, validators
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from support.places import SHARED

SPECS = SHARED / "kalshi"
BASE = "/trade-api/v2"

_VALID: set[tuple[int, type, object]] = set()
"""Plain values that are valid, with the schema of their property: the prices of a long list are the same few."""
_MOST_VALID = 100_000


def _properties(
    validator: Any, properties: dict[str, Any], instance: Any, _schema: object
) -> Iterator[ValidationError]:
    """Check an object as the library does, but an equal plain value of a property once. Schemas are never freed."""
    if not isinstance(instance, dict):
        return
    for name in properties.keys() & instance.keys():
        value, schema = instance[name], properties[name]
        key = (id(schema), type(value), None if isinstance(value, dict | list) else value)
        if key in _VALID:
            continue
        errors = list(validator.descend(value, schema, path=name, schema_path=name))
        if not errors and not isinstance(value, dict | list) and len(_VALID) < _MOST_VALID:
            _VALID.add(key)
        yield from errors


RestValidator = validators.extend(OAS30Validator, {"properties": _properties})
FrameValidator = validators.extend(Draft7Validator, {"properties": _properties})


def specs_or_skip() -> None:
    """Skip the test that calls this where the specifications are not beside the repository."""
    if not (SPECS / "openapi.yaml").exists():
        pytest.skip("the published specifications (shared/kalshi) are not beside this repository")


def check_response(method: str, path: str, status: int, body: Any) -> None:
    """Fail where a response is not what the specification says; `path` may be a template or a real path.

    Errors are checked against the four shapes that were seen on the wire, which the specification does not have.
    """
    if status >= 400:
        assert is_error_shape(body), f"{method} {path} answered {status} in no known shape: {body}"
        return
    validator = _response_validator(operation(method, path), status)
    if validator is None:
        assert body in (None, b"", ""), f"{method} {path} answers {status} without a body, not {body}"
        return
    _check(validator, body, f"{method} {path} {status}")


def check_request(method: str, path: str, query: Mapping[str, Sequence[str]], body: bytes = b"") -> None:
    """Fail where a request is not what the specification allows; `path` is a real one, decoded, without its query.

    Query values are checked as what the specification says they are; a body only as JSON, so that a number stays one.
    """
    what, rules = f"{method} {path}", _request_rules(operation(method, path))
    unknown = set(query) - set(rules.parameters)
    assert not unknown, f"{what} has no query parameter {sorted(unknown)}"
    missing = {name for name, each in rules.parameters.items() if each.is_required} - set(query)
    assert not missing, f"{what} needs the query parameters {sorted(missing)}"
    for name, values in query.items():
        schema = rules.parameters[name].schema
        _check(RestValidator(schema), _query_value(values, schema), f"{what} {name}")
    if rules.body is None:  # `{}` is what the exchange wants of those that could have a body
        assert body in (b"", b"{}"), f"{what} takes no body, not {body!r}"
    elif body or rules.is_body_required:
        _check(rules.body, json.loads(body or b"null"), f"{what} {body!r}")


class _Parameter(NamedTuple):
    schema: dict[str, Any]
    is_required: bool


class _RequestRules(NamedTuple):
    """What may be asked of an operation; `body` is None where none is stated."""

    parameters: dict[str, _Parameter]
    body: Any
    is_body_required: bool


@functools.cache
def _request_rules(of: Operation) -> _RequestRules:
    spec, node = _openapi(), _openapi()["paths"][of.template]
    stated = _resolved([*node.get("parameters", ()), *node[of.method].get("parameters", ())], spec)
    parameters = {
        each["name"]: _Parameter(each["schema"], each.get("required", False))
        for each in stated
        if each["in"] == "query"
    }
    body = _resolved(node[of.method].get("requestBody"), spec)
    if body is None:
        return _RequestRules(parameters, None, is_body_required=False)
    schema = body["content"]["application/json"]["schema"]
    validator = RestValidator(schema, format_checker=oas30_format_checker)
    return _RequestRules(parameters, validator, body.get("required", False))


def _query_value(values: Sequence[str], schema: dict[str, Any]) -> Any:
    """The text of a query as the type that the specification gives it; as it is where it cannot be that."""
    if schema.get("type") == "array":
        return [_query_value([value], schema["items"]) for value in values]
    if len(values) != 1:
        return list(values)
    if schema.get("type") == "integer" and values[0].lstrip("-").isdecimal():
        return int(values[0])
    return {"true": True, "false": False}.get(values[0], values[0]) if schema.get("type") == "boolean" else values[0]


def check_command(raw: str | bytes) -> None:
    """Fail where a command of the stream fits none of that name."""
    command = json.loads(raw)
    validators = _command_validators().get(command.get("cmd"), [])
    assert validators, f"there is no command {command.get('cmd')}"
    problems = [[error.message for error in one.iter_errors(command)] for one in validators]
    assert any(not found for found in problems), f"{command}: {problems}"


class Operation(NamedTuple):
    """One line of the specification: method in lower case, path with its parameters' names in braces."""

    method: str
    template: str

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.template}"


def operation(method: str, path: str) -> Operation:
    """Which operation a real path is."""
    return Operation(method.lower(), _template(path.split("?")[0].removeprefix(BASE), method.lower()))


def operations() -> set[Operation]:
    """All that the specification has."""
    return {Operation(method, path) for path, node in _openapi()["paths"].items() for method in node if method in VERBS}


VERBS = ("get", "post", "put", "delete")


class CheckedTransport(httpx.BaseTransport):
    """Holds every request and every answer against the specification, and remembers which operations were asked for.

    For a client: whatever it sends must be valid, also where it is refused. `served.CheckedExchange` does the same for
    sockets.
    """

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self.seen: set[Operation] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        body = request.read()
        if SPECS.exists():
            asked = operation(request.method, unquote(path))
            values = parse_qs(query, keep_blank_values=True)
            check_asked(asked, tuple((name, tuple(each)) for name, each in values.items()), body)
            if body:
                assert request.headers.get("content-type") == "application/json"
            self.seen.add(asked)
        response = self._inner.handle_request(request)
        if SPECS.exists():
            check_answered(asked, response.status_code, response.read())
        return response


@functools.lru_cache(50_000)  # the same bytes are sent and received again and again
def check_asked(of: Operation, query: tuple[tuple[str, tuple[str, ...]], ...], body: bytes) -> None:
    """Check a request of an operation, once for the same bytes."""
    check_request(*of, dict(query), body)


@functools.lru_cache(50_000)
def check_answered(of: Operation, status: int, body: bytes) -> None:
    """Check a response to an operation, once for the same bytes."""
    check_response(*of, status, json.loads(body) if body else None)


def check_frame(frame: dict[str, Any]) -> None:
    """Fail where a server frame fits no message of that type."""
    validators = _frame_validators().get(frame.get("type", ""), [])
    assert validators, f"no message has the type {frame.get('type')}"
    problems = [[error.message for error in one.iter_errors(frame)] for one in validators]
    assert any(not found for found in problems), f"{frame}: {problems}"


def is_error_shape(body: Any) -> bool:
    """Nested, flat, bare `msg`, or (for 429) a plain string."""
    if not isinstance(body, dict):
        return False
    if set(body) == {"msg"}:
        return isinstance(body["msg"], str)
    error = body.get("error", body) if set(body) == {"error"} else body
    if isinstance(error, str):
        return error == "too many requests"
    texts = all(isinstance(text, str) for text in error.values())
    return texts and {"code", "message"} <= set(error) <= {"code", "message", "details"}


def _check(validator: Any, value: Any, what: str) -> None:
    errors = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(value)]
    assert not errors, f"{what}: " + "; ".join(errors[:10])


@functools.cache
def _openapi() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((SPECS / "openapi.yaml").read_text(), Loader=yaml.CSafeLoader)
    _let_null(loaded)
    return loaded


def _let_null(node: Any) -> None:
    """`nullable` beside `allOf` means "or null" to whoever wrote it; a validator takes it for nothing at all."""
    if isinstance(node, dict):
        if node.get("nullable") is True and "allOf" in node:
            node["anyOf"] = [{"allOf": node.pop("allOf")}, {"type": "string", "nullable": True, "enum": [None]}]
        for inner in node.values():
            _let_null(inner)
    elif isinstance(node, list):
        for inner in node:
            _let_null(inner)


@functools.cache
def _response_validator(of: Operation, status: int) -> Any:
    spec = _openapi()
    responses = spec["paths"][of.template][of.method]["responses"]
    assert str(status) in responses, f"{of} may not answer {status}"
    response = _resolved(responses[str(status)], spec)
    content = response.get("content")
    if not content:
        return None
    return RestValidator(content["application/json"]["schema"], format_checker=oas30_format_checker)


@functools.lru_cache(50_000)
def _template(path: str, method: str) -> str:
    """The template of a real path; one without parameters wins over one with."""
    parts = path.split("/")
    found = [
        template
        for template, operations in _openapi()["paths"].items()
        if method in operations
        and len(template.split("/")) == len(parts)
        and all(a == b or a[:1] == "{" for a, b in zip(template.split("/"), parts, strict=True))
    ]
    assert found, f"{method} {path} is not in the specification"
    return min(found, key=lambda template: template.count("{"))


def _resolved(node: Any, spec: dict[str, Any]) -> Any:
    """Follow every reference, and close every object that names its properties."""
    if isinstance(node, list):
        return [_resolved(item, spec) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target: Any = spec
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _resolved(target, spec)
    resolved = {key: _resolved(value, spec) for key, value in node.items() if key not in ("example", "examples")}
    if resolved.get("type") == "object" and isinstance(resolved.get("properties"), dict):
        resolved.setdefault("additionalProperties", False)
    return resolved


def frame_types() -> set[str]:
    """The `type` of every message that the exchange can send on the stream."""
    return set(_frame_validators())


def channels() -> set[str]:
    """Everything that can be subscribed to."""
    schema = _asyncapi()["components"]["schemas"]["subscribeCommandPayload"]
    return set(schema["properties"]["params"]["properties"]["channels"]["items"]["enum"])


def _frame_validators() -> dict[str, list[Any]]:
    return _stream_validators("type")


def _command_validators() -> dict[str, list[Any]]:
    return _stream_validators("cmd")


@functools.cache
def _stream_validators(tag: str) -> dict[str, list[Any]]:
    """The validators of what goes over the stream, by the value of the field that says what it is."""
    spec = _asyncapi()
    found: dict[str, list[Any]] = {}
    for message in spec["components"]["messages"].values():
        schema = _resolved(message.get("payload", {}), spec)
        kind = schema.get("properties", {}).get(tag, {}).get("const")
        if kind is not None:
            found.setdefault(kind, []).append(FrameValidator(schema))
    return found


@functools.cache
def _asyncapi() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((SPECS / "asyncapi.yaml").read_text(), Loader=yaml.CSafeLoader)
    return loaded
