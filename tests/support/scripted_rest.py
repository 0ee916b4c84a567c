"""The exchange behind the client's transport: an answer for each route, which a test may replace at any time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from kalshi_cli.base.units import Ts, format_ts

Answer = dict[str, Any] | int | Exception | Callable[[httpx.Request], Any]
ROOT = "/trade-api/v2"
CODES = {
    400: "bad_request", 401: "authentication_error", 403: "forbidden", 404: "not_found", 429: "too_many_requests"
}  # fmt: skip
"""What the exchange says with these; with any other status, what it never says."""


def market_body(ticker: str, status: str = "active", *, open_time: Ts, close_time: Ts) -> dict[str, Any]:
    """A market as the exchange writes it."""
    return {
        "ticker": ticker,
        "event_ticker": "E",
        "status": status,
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
        "yes_bid_dollars": "0.4700",
        "yes_bid_size_fp": "3.00",
        "yes_ask_dollars": "0.5200",
        "yes_ask_size_fp": "2.00",
        "last_price_dollars": "0.0000",
        "volume_fp": "0.00",
        "volume_24h_fp": "0.00",
        "open_interest_fp": "0.00",
        "open_time": format_ts(open_time),
        "close_time": format_ts(close_time),
    }


def order_body(order_id: str, client_order_id: str = "", status: str = "resting", **changes: Any) -> dict[str, Any]:
    """An order of 10 bid at 0.47 in market A; nothing filled."""
    return {
        "order_id": order_id,
        "client_order_id": client_order_id,
        "ticker": "A",
        "status": status,
        "book_side": "bid",
        "yes_price_dollars": "0.4700",
        "initial_count_fp": "10.00",
        "fill_count_fp": "0.00",
        "remaining_count_fp": "10.00" if status == "resting" else "0.00",
        "taker_fees_dollars": "0.000000",
        "maker_fees_dollars": "0.000000",
        "taker_fill_cost_dollars": "0.000000",
        "maker_fill_cost_dollars": "0.000000",
        "created_time": "2026-06-11T06:29:20Z",
        **changes,
    }


def fill_body(trade_id: str, order_id: str, count: str = "10.00") -> dict[str, Any]:
    return {
        "trade_id": trade_id,
        "order_id": order_id,
        "ticker": "A",
        "book_side": "bid",
        "count_fp": count,
        "yes_price_dollars": "0.4700",
        "is_taker": True,
        "fee_cost": "0.017500",
        "created_time": "2026-06-11T06:29:21Z",
    }


class ScriptedRest(httpx.BaseTransport):
    """`routes` are by method and path without the root: a body, a status, an exception, or what makes one of them."""

    def __init__(self, as_of: Ts) -> None:
        self.as_of = as_of
        self.routes: dict[str, Answer] = {
            "GET /exchange/user_data_timestamp": lambda _: {"as_of_time": format_ts(self.as_of)},
            "GET /portfolio/orders": {"orders": [], "cursor": ""},
            "GET /portfolio/fills": {"fills": [], "cursor": ""},
            "GET /portfolio/settlements": {"settlements": [], "cursor": ""},
            "GET /portfolio/positions": {"market_positions": [], "cursor": ""},
            "GET /portfolio/balance": {"balance_dollars": "98.0186", "portfolio_value": 198, "updated_ts": 1781159348},
        }
        self.seen: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.routes.get(f"{request.method} {request.url.path.removeprefix(ROOT)}", 404)
        while callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, int):
            return httpx.Response(answer, content=json.dumps({"error": {"code": CODES.get(answer, "code")}}))
        return httpx.Response(200, content=json.dumps(answer))

    def calls(self, route: str) -> list[dict[str, str]]:
        """The queries of every call of a route, so far."""
        return [
            dict(request.url.params)
            for request in list(self.seen)
            if f"{request.method} {request.url.path.removeprefix(ROOT)}" == route
        ]
