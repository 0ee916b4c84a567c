"""A server with fixed replies, in a process of its own so that its CPU counts for nobody.

The replies hold every field that any of the clients insists on: the official SDK still reads the old integer fields.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from itertools import count
from urllib.parse import parse_qs

MARKETS_A_PAGE = 1000
PAGES = 50
ORDER_ID = "7c1f0c5e-9c0e-4a3b-8f6e-2b1d5a9e4c77"
CLIENT_ORDER_ID = "bench-order"
TICKER = "KXBTC15M-26MAY131215-15"

_NUMBERS = count(1)
_BALANCE = {"balance": 123456, "balance_dollars": "1234.5600", "portfolio_value": 98765, "updated_ts": 1780000000}
_CREATED = {
    "order_id": ORDER_ID,
    "client_order_id": CLIENT_ORDER_ID,
    "fill_count": "0.00",
    "remaining_count": "10.00",
    "ts_ms": 1780000000123,
}
_OLD_ORDER = {
    "order": {
        **dict.fromkeys(("yes_price", "no_price", "fill_count", "remaining_count", "initial_count"), 10),
        **dict.fromkeys(("taker_fees", "maker_fees", "taker_fill_cost", "maker_fill_cost", "queue_position"), 0),
        **dict.fromkeys(("taker_fill_cost_dollars", "maker_fill_cost_dollars"), "0.0000"),
        "order_id": ORDER_ID,
        "user_id": "u",
        "client_order_id": CLIENT_ORDER_ID,
        "ticker": TICKER,
        "side": "yes",
        "action": "buy",
        "type": "limit",
        "status": "resting",
        "yes_price_dollars": "0.4700",
        "no_price_dollars": "0.5300",
    }
}


def market(number: int, rng: random.Random) -> dict[str, object]:
    """An open market as listed, with the old fields beside the new ones."""
    bid = rng.randrange(2, 97)
    ask = bid + rng.randrange(1, 3)
    volume = rng.randrange(0, 90_000)
    ticker = f"KXHIGHNY-26JUN{number % 28 + 1:02d}-B{number}"
    times = dict.fromkeys(("expiration_time", "latest_expiration_time"), "2026-06-30T14:00:00Z")
    cents = {"yes_bid": bid, "yes_ask": ask, "no_bid": 100 - ask, "no_ask": 100 - bid, "last_price": bid}
    before = {"previous_yes_bid": bid, "previous_yes_ask": ask, "previous_price": bid, "notional_value": 100}
    priced = {**cents, **before, "liquidity": volume}
    return {
        "ticker": ticker,
        "event_ticker": ticker.rpartition("-")[0],
        "market_type": "binary",
        "title": f"Will the highest temperature in New York be above {number}° on June {number % 28 + 1}?",
        "subtitle": f"{number}° or above",
        "yes_sub_title": f"{number}° or above",
        "no_sub_title": f"{number}° or above",
        "created_time": "2026-06-01T13:00:00.123456Z",
        "open_time": "2026-06-01T14:00:00Z",
        "close_time": "2026-06-30T03:59:00Z",
        **times,
        "settlement_timer_seconds": 3600,
        "status": "active",
        "response_price_units": "usd_cent",
        **priced,
        **{f"{name}_dollars": f"{value / 100:.4f}" for name, value in priced.items()},
        "yes_bid_size_fp": f"{rng.randrange(1, 5000)}.00",
        "yes_ask_size_fp": f"{rng.randrange(1, 5000)}.00",
        **dict.fromkeys(("volume", "volume_24h", "open_interest"), volume),
        **{f"{name}_fp": f"{volume}.00" for name in ("volume", "volume_24h", "open_interest")},
        "result": "",
        "can_close_early": True,
        "expiration_value": "",
        "category": "Climate and Weather",
        "risk_limit_cents": 0,
        "tick_size": 1,
        "strike_type": "greater",
        "floor_strike": number,
        "rules_primary": "If the highest temperature recorded at Central Park is above the strike, the market is Yes. "
        * 3,
        "rules_secondary": "The climatological report of the National Weather Service is the only source. " * 3,
        "price_level_structure": "linear_cent",
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    }


def markets_page(count: int = MARKETS_A_PAGE) -> bytes:
    """A page of open markets, always the same."""
    rng = random.Random(11)
    return json.dumps({"markets": [market(number, rng) for number in range(count)], "cursor": ""}).encode()


def _page(query: str) -> bytes:
    """A page of the list; the last one has no cursor. `series_ticker=P50` asks for 50 pages, otherwise there is one."""
    asked = parse_qs(query)
    number, pages = int(asked.get("cursor", ["0"])[0]) + 1, int(asked.get("series_ticker", ["P1"])[0][1:])
    cursor = "" if number >= pages else str(number)
    return _PAGE[: _PAGE.rindex(b'""')] + json.dumps(cursor).encode() + b"}"


def _reply(status: str, body: bytes) -> bytes:
    """A reply, dated as the exchange dates its own."""
    head = f"HTTP/1.1 {status}\r\nDate: {_date(int(time.time()))}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _created(body: bytes) -> bytes:
    """A new order: the exchange repeats the client's id, and gives each order its own."""
    name = json.loads(body).get("client_order_id", CLIENT_ORDER_ID)
    order_id = f"7c1f0c5e-9c0e-4a3b-8f6e-{next(_NUMBERS):012d}"
    created = {**_CREATED, "client_order_id": name, "order_id": order_id, "ts_ms": time.time_ns() // 1_000_000}
    return json.dumps(created).encode()


_PAGE = markets_page()
_BALANCE_BODY, _OLD_ORDER_BODY = json.dumps(_BALANCE).encode(), json.dumps(_OLD_ORDER).encode()
_ROOT = b"/trade-api/v2"
_ROUTES: dict[tuple[bytes, bytes], tuple[str, Callable[[str, bytes], bytes]]] = {
    (b"GET", _ROOT + b"/portfolio/balance"): ("200 OK", lambda _query, _body: _BALANCE_BODY),
    (b"POST", _ROOT + b"/portfolio/events/orders"): ("201 Created", lambda _query, body: _created(body)),
    (b"POST", _ROOT + b"/portfolio/orders"): ("201 Created", lambda _query, _body: _OLD_ORDER_BODY),
    (b"GET", _ROOT + b"/markets"): ("200 OK", lambda query, _body: _page(query)),
}
_UNKNOWN: tuple[str, Callable[[str, bytes], bytes]] = ("404 Not Found", lambda _query, _body: b"{}")


def _talk(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    unread = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in unread:
                piece = connection.recv(65536)
                if not piece:
                    return
                unread += piece
            head, _, unread = unread.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            while len(unread) < length:
                unread += connection.recv(65536)
            body, unread = unread[:length], unread[length:]
            method, target, _ = head.split(b" ", 2)
            path, _, query = target.partition(b"?")
            status, answer = _ROUTES.get((method, path), _UNKNOWN)
            connection.sendall(_reply(status, answer(query.decode(), body)))


def main() -> None:
    """Listen, say where, and serve until the input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/trade-api/v2", flush=True)

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=_talk, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
