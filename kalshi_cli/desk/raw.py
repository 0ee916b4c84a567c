"""A raw call, and a list of raw pages read to its end."""

from __future__ import annotations

import msgspec

from kalshi_cli.errors import HaltedError, RefusedError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest import Params
from kalshi_cli.exchange.wire.base import WireError

MOST_PAGES = 1_000
CURSORS = ("cursor", "next_cursor")


def call(client: KalshiClient, method: str, path: str, params: Params, body: bytes = b"") -> bytes:
    """One call; the body of the answer. RefusedError where a halt forbids it: nothing was sent."""
    try:
        return client.request(method, path, params, body)
    except HaltedError as error:
        raise RefusedError(
            error.message,
            hint="cancels still work; see `kalshi status`, then `kalshi resume --reason ...`",
            code="HALTED",
        ) from error


def all_pages(client: KalshiClient, path: str, params: Params) -> bytes:
    """Every page of a list in one object: its lists joined, the rest as the last page has it, the cursor empty.

    WireError where the list repeats itself, has no end in MOST_PAGES, or is no list of pages: never a short list.
    """
    whole: dict[str, msgspec.Raw | list[msgspec.Raw]] = {}
    seen: set[str] = set()
    cursor = ""
    for _ in range(MOST_PAGES):
        page = _object(path, call(client, "GET", path, {**params, "cursor": cursor or None}))
        for name, value in page.items():
            items = _items(value)
            before = whole.get(name)
            whole[name] = value if items is None else [*before, *items] if isinstance(before, list) else items
        cursor = next((text for name in CURSORS if (text := _text(page.get(name)))), "")
        if not cursor:
            return msgspec.json.encode(whole | {name: msgspec.Raw(b'""') for name in CURSORS if name in whole})
        if cursor in seen:
            raise WireError(f"{path}: the list repeats itself and cannot be read to its end", code="cursor_loop")
        seen.add(cursor)
    raise WireError(
        f"{path}: the list has more than {MOST_PAGES} pages", code="too_many_pages", hint="larger pages: -f limit=1000"
    )


_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_lists = msgspec.json.Decoder(list[msgspec.Raw])


def _object(path: str, body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _objects.decode(body)
    except msgspec.DecodeError as error:
        raise WireError(f"{path}: the answer is not a page of a list", hint="leave out --paginate") from error


def _items(value: msgspec.Raw) -> list[msgspec.Raw] | None:
    return _lists.decode(value) if bytes(value).startswith(b"[") else None


def _text(value: msgspec.Raw | None) -> str:
    decoded = None if value is None else msgspec.json.decode(value)
    return decoded if isinstance(decoded, str) else ""
