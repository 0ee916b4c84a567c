"""Requests and responses: the four shapes of an error, query parameters, pages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TypeVar

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.calendar import FAR

T = TypeVar("T")
Json = dict[str, Any]


class Request(msgspec.Struct, frozen=True):
    """An HTTP request. `path` has no query; header names are in lower case."""

    method: str
    path: str
    query: dict[str, list[str]] = {}
    headers: dict[str, str] = {}
    body: bytes = b""


class Response(msgspec.Struct, frozen=True):
    """A complete HTTP response; the server sends it after `late_ms`."""

    status: int
    headers: dict[str, str]
    body: bytes
    late_ms: int = 0


class HttpError(Exception):
    """An error response with its exact body."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


class RejectionError(HttpError):
    """A refusal in the usual form: `{"error": {code, message, details}}`. Nothing was changed."""

    def __init__(self, status: int, code: str, details: str = "", message: str = "") -> None:
        error = {"code": code, "message": message or code.replace("_", " ")}
        super().__init__(status, {"error": error | ({"details": details} if details else {})})
        self.args = (status, code, details, message)  # pickle calls the constructor with these
        self.code = code
        self.details = details


def not_found(details: str = "") -> RejectionError:
    """Return the refusal for something that does not exist, or belongs to someone else."""
    return RejectionError(404, "not_found", details)


def invalid(details: str) -> RejectionError:
    """Return the refusal for a value that breaks a rule of the exchange."""
    return RejectionError(400, "invalid_parameters", details)


def existing(found: T | None) -> T:
    """Return what was found, or raise the refusal with status 404."""
    if found is None:
        raise not_found()
    return found


@contextmanager
def refusing(refusal: HttpError) -> Iterator[None]:
    """Refuse a value that cannot be parsed."""
    try:
        yield
    except ValueError as error:
        raise refusal from error


def flat(details: str, code: str = "bad_request") -> HttpError:
    """Return the refusal in the form `{code, message, details}`: an invalid body, or a late confirmation."""
    return HttpError(400, {"code": code, "message": code.replace("_", " "), "details": details})


def too_many() -> HttpError:
    """Return the refusal 429, where `error` is a string; it has no Retry-After header."""
    return HttpError(429, {"error": "too many requests"})


def respond(status: int, body: Json | None, now: Ts, late_ms: int = 0) -> Response:
    """Return a response with the `Date` header, which clients use to measure their clock."""
    headers = {"date": format_datetime(datetime.fromtimestamp(now // 1000, UTC), usegmt=True)}
    if body is None:
        return Response(status, headers, b"", late_ms)
    headers["content-type"] = "application/json"
    return Response(status, headers, msgspec.json.encode(body), late_ms)


def matching(items: Iterable[T], **wanted: object) -> Iterator[T]:
    """Yield the items that have these attributes; None matches every value."""
    asked = [(name, value) for name, value in wanted.items() if value is not None]
    return (item for item in items if all(getattr(item, name) == value for name, value in asked))


def newest(item: Any) -> int:
    """Return the key of a numbered record in a list that begins with the newest."""
    return -int(item.number)


def oldest(item: Any) -> int:
    """Return the key of a numbered record in a list that begins with the oldest."""
    return int(item.number)


class Query:
    """The query parameters of one request, validated like on the exchange."""

    def __init__(self, operation: str, values: dict[str, list[str]]) -> None:
        self.operation = operation
        self._values = values

    def text(self, name: str) -> str | None:
        """Return a value; an empty one counts as absent."""
        return (self._values.get(name) or [""])[-1] or None

    def many(self, name: str, *, most: int = 100) -> list[str]:
        """Return the values of a comma-separated list."""
        found = [part for part in (self.text(name) or "").split(",") if part]
        if len(found) > most:
            raise self.wrong(name, "max")
        return found

    def repeated(self, name: str, *, least: int = 1, most: int = 100) -> list[str]:
        """Return the values of a parameter that is given once for each value."""
        found = self._values.get(name, [])
        if not least <= len(found) <= most:
            raise self.wrong(name, "required" if not found else "max")
        return found

    def number(self, name: str, *, least: int = 0, most: int | None = None) -> int | None:
        """Return an integer within bounds, or None if it is absent."""
        raw = self.text(name)
        if raw is None:
            return None
        if not (raw.isascii() and raw.removeprefix("-").isdigit() and len(raw) <= 18):
            raise flat(f'strconv.ParseInt: parsing "{raw[:40]}": invalid syntax')
        value = int(raw)
        if value < least:
            raise self.wrong(name, "gte")
        if most is not None and value > most:
            raise self.wrong(name, "lte")
        return value

    def needed(self, name: str) -> int:
        """Return a required integer."""
        value = self.number(name)
        if value is None:
            raise self.wrong(name, "required")
        return value

    def wrong(self, name: str, rule: str) -> HttpError:
        """Return the refusal `{"msg": ...}` for a parameter that breaks a rule of the exchange's validator."""
        field, operation = _go_name(name), self.operation
        key = f"Key: '{operation}Params.{field}' Error:Field validation for '{field}' failed on the '{rule}' tag"
        return HttpError(400, {"msg": f"Parameter validation failed for {operation}: {key}"})

    def window(self, name: str = "ts") -> tuple[int, int]:
        """Return the `min_` and `max_` parameters of this name (seconds) as milliseconds; both ends are included."""
        low, high = self.number(f"min_{name}"), self.number(f"max_{name}")
        return (low or 0) * 1000, FAR if high is None else high * 1000 + 999

    def flag(self, name: str) -> bool:
        """Return whether the value is `true`."""
        return self.text(name) == "true"

    def one_of(self, name: str, allowed: Iterable[str]) -> str | None:
        """Return a value that must be one of the allowed ones, or None if it is absent."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise self.wrong(name, "oneof")
        return value

    def page(
        self, items: Iterable[T], key: Callable[[T], int], *, usual: int = 100, most: int = 1000, size: str = "limit"
    ) -> tuple[list[T], str]:
        """Return one page and the cursor of the next; the last page has an empty cursor.

        `key` must rise along `items`. `size` is the name of the limit parameter. An unknown cursor starts from the
        beginning without an error (seen on the wire in June 2026).
        """
        limit = self.number(size, least=1, most=most) or usual
        after = _open_cursor(self.text("cursor"))
        found: list[T] = []
        for item in items:
            if after is not None and key(item) <= after:
                continue
            if len(found) == limit:
                return found, _seal_cursor(key(found[-1]))
            found.append(item)
        return found, ""

    def listing(
        self, name: str, items: Iterable[T], show: Callable[[T], Json], key: Callable[[T], int] = newest, **limits: Any
    ) -> Json:
        """Return one page as the body of a reply; `limits` are those of `page`."""
        found, cursor = self.page(items, key, **limits)
        return {name: [show(item) for item in found], "cursor": cursor}


def _seal_cursor(key: int) -> str:
    return base64.urlsafe_b64encode(f"after:{key}".encode()).decode().rstrip("=")


def _open_cursor(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        return int(text.removeprefix("after:")) if text.startswith("after:") else None
    except ValueError:
        return None


def _go_name(name: str) -> str:
    """Return a parameter's field name in the exchange's validation messages: `min_close_ts` is `MinCloseTs`."""
    return "".join(part.capitalize() for part in name.split("_"))
