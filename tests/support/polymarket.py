"""Polymarket's public REST answers on this machine, as documented, with whatever a test puts into them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
OTHER = "52114319501245915516055106046884209969926127482827954674443846427813813222426"


def book(token: str, bids: list[tuple[str, str]], asks: list[tuple[str, str]], **more: Any) -> dict[str, Any]:
    """Worst level first, as they send it."""
    fields = {
        "market": "0xbd31dc8a20211944f6b70f31557f1001557b59905b7738480ca09bd4532f84af",
        "asset_id": token,
        "timestamp": "1750000000000",
        "hash": "0xabc",
        "bids": [{"price": price, "size": size} for price, size in sorted(bids)],
        "asks": [{"price": price, "size": size} for price, size in sorted(asks, reverse=True)],
        "min_order_size": "5",
        "tick_size": "0.001",
        "neg_risk": False,
    }
    return fields | more


def market(slug: str, tokens: tuple[str, str], outcomes: tuple[str, ...] = ("Yes", "No")) -> dict[str, Any]:
    return {
        "id": "1", "question": "Rain?", "slug": slug, "active": True, "closed": False, "bestBid": 0.4,
        "outcomes": json.dumps(outcomes), "clobTokenIds": json.dumps(tokens), "enableOrderBook": True,
    }  # fmt: skip


class Polymarket(ThreadingHTTPServer):
    """`books` by token and `markets` by slug; `status` and `raw`, where set, are answered to everything."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.books: dict[str, dict[str, Any]] = {}
        self.markets: dict[str, list[dict[str, Any]]] = {}
        self.status = 0
        self.raw: bytes | None = None
        self.location = ""
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def options(self) -> tuple[str, ...]:
        """Of the command that reads here."""
        return ("--clob-url", self.url, "--gamma-url", self.url)


class _Answer(BaseHTTPRequestHandler):
    server: Polymarket

    def do_GET(self) -> None:
        one = self.server
        one.asked.append(self.path)
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        status, body = 200, b""
        if parts.path == "/book":
            found = one.books.get(asked["token_id"])
            missing = {"error": "No orderbook exists for the requested token id"}
            status, body = (404, json.dumps(missing).encode()) if found is None else (200, json.dumps(found).encode())
        elif parts.path == "/markets":
            body = json.dumps(one.markets.get(asked["slug"], [])).encode()
        else:
            status = 404
        self.send_response(one.status or status)
        body = body if one.raw is None else one.raw
        if one.location:
            self.send_header("Location", one.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@contextmanager
def polymarket() -> Iterator[Polymarket]:
    """Listening, until the end."""
    with Polymarket() as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield one
        finally:
            one.shutdown()
            thread.join()
