"""A loop without work signs orders ahead; the next order leaves with a signature that is older than its decision."""

from __future__ import annotations

import random
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from support.moved_clock import MovedClock

from kalshi_cli.base.units import Price, Qty
from kalshi_cli.core.model.messages import Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.live_feed import LiveFeed
from kalshi_cli.exchange.rest.signing import Signer

BALANCE = {"balance": 1, "balance_dollars": "0.0100", "portfolio_value": 0, "updated_ts": 1}


@pytest.mark.parametrize("presign", [True, False])
def test_an_idle_loop_signs_ahead(rsa_key: Any, presign: bool) -> None:
    times: list[int] = []
    clock = MovedClock()

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"Date": formatdate(clock.now() / 1000, usegmt=True)}
        if request.method == "GET":
            return httpx.Response(200, headers=headers, json=BALANCE)
        times.append(int(request.headers["KALSHI-ACCESS-TIMESTAMP"]))
        created = {"order_id": "o", "fill_count": "0.00", "remaining_count": "10.00", "ts_ms": clock.now()}
        return httpx.Response(201, headers=headers, json=created)

    client = KalshiClient(
        "http://127.0.0.1:1/trade-api/v2", clock=clock, rng=random.Random(1), signer=Signer("k", rsa_key, clock),
        transport=httpx.MockTransport(answer), presign=presign,
    )  # fmt: skip
    for _ in range(12):  # until their dates have shown the exchange's clock closely
        client.balance()
        clock.move(0.1)
    ticks = (
        message for message in LiveFeed(None, client, clock, markets=(), interval_s=0.4) if isinstance(message, Tick)
    )
    next(ticks)
    decided = next(ticks).ts
    now = clock.now()
    order = Order(
        client_order_id="c", ticker="A", side=BID, price=Price(4700), qty=Qty(1000), status=OrderStatus.SUBMITTED,
        created=now, updated=now,
    )  # fmt: skip
    client.create_order(order)
    assert (times[0] < decided) is presign
