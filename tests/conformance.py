"""Checks responses and stream frames against the exchange's published specifications, where those are at hand.

Stricter than the specifications: a property that they do not name is an error too.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from openapi_schema_validator import OAS30Validator, oas30_format_checker

SPECS = Path(__file__).parents[1].parent / "shared" / "kalshi"
BASE = "/trade-api/v2"


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
    validator = _response_validator(method.lower(), path.split("?")[0].removeprefix(BASE), status)
    if validator is None:
        assert body in (None, b"", ""), f"{method} {path} answers {status} without a body, not {body}"
        return
    _check(validator, body, f"{method} {path} {status}")


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
    return loaded


@functools.cache
def _response_validator(method: str, path: str, status: int) -> Any:
    spec = _openapi()
    responses = spec["paths"][_template(path, method)][method]["responses"]
    assert str(status) in responses, f"{method} {path} may not answer {status}"
    response = _resolved(responses[str(status)], spec)
    content = response.get("content")
    if not content:
        return None
    return OAS30Validator(content["application/json"]["schema"], format_checker=oas30_format_checker)


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


@functools.cache
def _frame_validators() -> dict[str, list[Any]]:
    spec = yaml.load((SPECS / "asyncapi.yaml").read_text(), Loader=yaml.CSafeLoader)
    found: dict[str, list[Any]] = {}
    for message in spec["components"]["messages"].values():
        schema = _resolved(message.get("payload", {}), spec)
        kind = schema.get("properties", {}).get("type", {}).get("const")
        if kind is not None:
            found.setdefault(kind, []).append(Draft7Validator(schema))
    return found
