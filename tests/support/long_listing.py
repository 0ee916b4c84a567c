"""An exchange that lists tens of thousands of markets, a page at a time, and holds none of them.

In this process as a transport, or as a process of its own behind a real socket: then its memory is not the program's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx

ROOT = "/trade-api/v2"
CLOSES = "2040-01-01T15:00:00Z"


def market_body(number: int, updated: str = "") -> dict[str, Any]:
    """Market `number`: of an event of ten, of a series of a hundred."""
    event = f"KXLONG{number // 100}-40JAN01E{number // 10}"
    return {
        "ticker": f"{event}-T{number}",
        "event_ticker": event,
        "market_type": "binary",
        "title": f"Will number {number} come up?{updated}",
        "yes_sub_title": f"Number {number}",
        "no_sub_title": f"Not {number}",
        "status": "active",
        "created_time": "2024-01-01T15:00:00Z",
        "updated_time": "2024-01-01T15:00:00Z",
        "open_time": "2024-01-01T15:00:00Z",
        "close_time": CLOSES,
        "latest_expiration_time": CLOSES,
        "price_level_structure": "linear_cent",
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
        "yes_bid_dollars": "0.4700",
        "yes_bid_size_fp": "3.00",
        "yes_ask_dollars": "0.5200",
        "yes_ask_size_fp": "2.00",
        "last_price_dollars": "0.5000",
        "volume_fp": f"{number}.00",
        "volume_24h_fp": "1.00",
        "open_interest_fp": "0.00",
        "result": "",
        "rules_primary": f"If number {number} comes up, then the market resolves to Yes. " * 4,
        "rules_secondary": "",
    }


def event_body(number: int) -> dict[str, Any]:
    return {
        "event_ticker": f"KXLONG{number // 10}-40JAN01E{number}",
        "series_ticker": f"KXLONG{number // 10}",
        "title": f"Draw of the family {number}",
        "sub_title": "",
        "mutually_exclusive": True,
        "collateral_return_type": "",
        "settlement_sources": [],
        "category": "Games",
    }


def series_body(number: int) -> dict[str, Any]:
    return {
        "ticker": f"KXLONG{number}",
        "title": f"Lottery {number}",
        "frequency": "daily",
        "category": "Games",
        "fee_type": "quadratic",
        "fee_multiplier": 1,
    }


class LongListing:
    """`markets` open markets with their families. Page `broken_page` of the markets (from 1) is cut short."""

    def __init__(self, markets: int, broken_page: int = 0) -> None:
        self.markets = markets
        self.broken_page = broken_page
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.changed: list[dict[str, Any]] = []
        """What `min_updated_ts` gives."""

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        what = path.removeprefix(ROOT)
        self.asked.append((what, query))
        if what == "/series":
            body = [] if "min_updated_ts" in query else [series_body(n) for n in range(-(-self.markets // 100))]
            return json.dumps({"series": body}).encode()
        if what == "/events" and query.get("tickers"):
            named = sorted(int(name.rpartition("E")[2]) for name in query["tickers"].split(","))
            return json.dumps({"events": [event_body(number) for number in named], "cursor": ""}).encode()
        if what == "/events":
            return self._page("events", -(-self.markets // 10), query, event_body)
        if what == "/markets":
            return self._markets(query)
        return b"{}"

    def _markets(self, query: dict[str, str]) -> bytes:
        if query.get("tickers"):
            named = {name.rpartition("-T")[2] for name in query["tickers"].split(",")}
            body = [market_body(int(number)) for number in sorted(named) if int(number) < self.markets]
            return json.dumps({"markets": body, "cursor": ""}).encode()
        if "min_updated_ts" in query:
            assert query.get("mve_filter") == "exclude"
            assert "status" not in query
            return json.dumps({"markets": self.changed, "cursor": ""}).encode()
        page = self._page("markets", self.markets, query, market_body)
        number = int(query.get("cursor") or 0) // int(query["limit"]) + 1
        return page[: len(page) // 2] if number == self.broken_page else page

    @staticmethod
    def _page(name: str, count: int, query: dict[str, str], body: Any) -> bytes:
        if query.get("status", "open") != "open" or "min_updated_ts" in query:
            return json.dumps({name: [], "cursor": ""}).encode()
        start, limit = int(query.get("cursor") or 0), int(query["limit"])
        end = min(start + limit, count)
        return json.dumps(
            {name: [body(n) for n in range(start, end)], "cursor": str(end) if end < count else ""}
        ).encode()


class ListingTransport(httpx.BaseTransport):
    """The listing without a socket."""

    def __init__(self, listing: LongListing) -> None:
        self.listing = listing

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = self.listing.answer(request.url.path, dict(request.url.params))
        return httpx.Response(200, content=body, headers={"content-type": "application/json"})


class ServedListing(NamedTuple):
    """Where it answers, and what it says each time it is about to."""

    url: str
    lines: IO[str]

    def wait_for_pages(self, count: int) -> None:
        """Until so many were asked for, if it is a slow one."""
        for _ in range(count):
            assert self.lines.readline()


@contextmanager
def listing_served(markets: int, broken_page: int = 0, pause_s: float = 0.0) -> Iterator[ServedListing]:
    """The listing in a process of its own. With `pause_s` it waits so long before each page, and says so."""
    words = [sys.executable, __file__, str(markets), str(broken_page), str(pause_s)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield ServedListing(f"http://127.0.0.1:{port}{ROOT}", process.stdout)
    finally:
        process.kill()
        process.communicate()


def _serve(listing: LongListing, pause_s: float) -> None:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if pause_s:
                sys.stdout.write(f"{self.path}\n")
                sys.stdout.flush()
                time.sleep(pause_s)
            body = listing.answer(url.path, {name: values[-1] for name, values in parse_qs(url.query).items()})
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve(LongListing(int(sys.argv[1]), int(sys.argv[2])), float(sys.argv[3]))
