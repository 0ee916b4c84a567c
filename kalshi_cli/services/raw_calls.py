"""Raw calls, and all pages of a raw list."""

from __future__ import annotations

import re

import msgspec

from kalshi_cli.base.errors import ExchangeError, HaltedError, RefusedError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.call import Params
from kalshi_cli.exchange.wire.values import ResponseFormatError

MAX_PAGES = 1_000
MAX_FIELDS = 100
"""The most fields of one page: each may be a list, which is kept whole."""
MAX_BYTES = 32 * 1024 * 1024
"""The most bytes of all pages together; they are joined in memory."""
CURSORS = ("cursor", "next_cursor")

GONE = 410
ENDED = re.compile(r"(POST|DELETE) /portfolio/orders(?:/.*)?")
"""The order routes that the exchange removed in June 2026; kalshi calls none of them."""

_TRADES = re.compile(r"/portfolio/(events/)?orders(/.*)?|/communications/quotes(/.*)?")


def passes_limits_by(method: str, path: str) -> bool:
    """Return whether a raw write places, changes or accepts an order, which no risk limit then checks.

    `path` is one that `KalshiClient.check_path` returned. A cancel adds no risk.
    """
    return method in ("POST", "PUT") and _TRADES.fullmatch(path) is not None


def require_limits(method: str, path: str) -> None:
    """Raise RefusedError for a raw write that no risk limit would check, UsageError for an invalid path."""
    if passes_limits_by(method, KalshiClient.check_path(path)):
        raise RefusedError(
            f"Refused: no risk limit checks {method} {path}",
            hint="run `kalshi buy`, `kalshi sell`, `kalshi order` or `kalshi quote`; --no-limits sends it as it is",
            code="NO_LIMITS",
        )


def call(client: KalshiClient, method: str, path: str, params: Params, body: bytes = b"") -> bytes:
    """Make one call and return the body. RefusedError where a halt blocks it: nothing was sent.

    For a path that the exchange removed (410), the hint names its successor.
    """
    try:
        return client.request(method, path, params, body)
    except HaltedError as error:
        raise RefusedError(
            error.message,
            hint="cancels still work; see `kalshi status`, then run `kalshi resume --reason TEXT`",
            code="HALTED",
        ) from error
    except ExchangeError as error:
        if error.status != GONE:
            raise
        path = client.check_path(path)
        if ENDED.fullmatch(f"{method} {path}"):
            hint = (
                f"use {path.replace('/portfolio/', '/portfolio/events/', 1)}, whose fields differ, or `kalshi order -h`"
            )
        else:
            hint = "look for its successor in the API reference of the exchange"
        raise ExchangeError(
            error.message, hint=hint, code=error.code, status=error.status, details=error.details
        ) from error


def all_pages(client: KalshiClient, path: str, params: Params) -> bytes:
    """Return every page of a list as one object: lists joined, other fields of the last page, the cursor empty.

    ResponseFormatError where the list repeats, has more than MAX_PAGES pages, or is no list of pages: never a short
    list.
    """
    whole: dict[str, bytes | list[bytes]] = {}
    seen: set[str] = set()
    cursor, size = "", 0
    for _ in range(MAX_PAGES):
        body = call(client, "GET", path, {**params, "cursor": cursor or None})
        size += len(body)
        if size > MAX_BYTES:
            raise ResponseFormatError(
                f"{path}: the list is longer than {MAX_BYTES} bytes", code="too_long", hint="narrow it with -f"
            )
        page = _object(path, body)
        for name, value in page.items():
            items, before = _items(value), whole.get(name)
            whole[name] = value if items is None else [*(before if isinstance(before, list) else []), *items]
        cursor = next((text for name in CURSORS if (text := _text(page.get(name)))), "")
        if not cursor:
            return _joined(whole | {name: b'""' for name in CURSORS if name in whole})
        if cursor in seen:
            raise ResponseFormatError(f"{path}: the list repeats and has no end", code="cursor_loop")
        seen.add(cursor)
    raise ResponseFormatError(
        f"{path}: the list has more than {MAX_PAGES} pages",
        code="too_many_pages",
        hint="use larger pages: -f limit=1000",
    )


_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _object(path: str, body: bytes) -> dict[str, bytes]:
    try:
        fields = _objects.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ResponseFormatError(f"{path}: the response is not a page of a list", hint="remove --paginate") from error
    if len(fields) > MAX_FIELDS:
        raise ResponseFormatError(f"{path}: the response has {len(fields)} fields; a page of a list has a few")
    return {name: bytes(value).strip() for name, value in fields.items()}


def _items(value: bytes) -> list[bytes] | None:
    """Return the text between the brackets of a list; an object for each item would need more memory."""
    return [part for part in (value[1:-1].strip(),) if part] if value.startswith(b"[") else None


def _text(value: bytes | None) -> str:
    return msgspec.json.decode(value, type=str) if value is not None and value.startswith(b'"') else ""


def _joined(whole: dict[str, bytes | list[bytes]]) -> bytes:
    return msgspec.json.encode(
        {name: msgspec.Raw(b"[%b]" % b",".join(v) if isinstance(v, list) else v) for name, v in whole.items()}
    )
