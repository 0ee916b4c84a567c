"""Builders of what a store keeps, and children that can be killed."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

from kalshi_cli.base.units import Money, Ts, cents, contracts
from kalshi_cli.core.model.order_terms import ASK, BID, Tif
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.store.sqlite_store import Store

NOW = Ts(1_780_000_000_000)

Open = Callable[..., Store]
Child = Callable[[Callable[[], None]], int]


def full_order(client_order_id: str = "c1", **changes: Any) -> Order:
    known: dict[str, Any] = {
        "ticker": "KXBTC-26JUN11-T100",
        "side": ASK,
        "price": cents(47),
        "qty": contracts(10),
        "status": OrderStatus.SUBMITTED,
        "created": NOW,
        "updated": NOW,
        "tif": Tif.GTC,
        "post_only": True,
        "reduce_only": True,
        "expires": Ts(NOW + 90_000),
        "exchange_index": 3,
        "strategy": "fade",
        "fair": cents(45),
        "reason": "dear against fair",
    }
    return Order(client_order_id=client_order_id, **{**known, **changes})


def full_fill(trade_id: str = "t1", **changes: Any) -> Fill:
    known: dict[str, Any] = {
        "order_id": "o1",
        "ticker": "KXBTC-26JUN11-T100",
        "side": BID,
        "price": cents(47),
        "qty": contracts(2),
        "fee": Money(17_500),
        "is_taker": True,
        "ts": NOW,
        "client_order_id": "c1",
    }
    return Fill(trade_id=trade_id, **{**known, **changes})


def full_settlement(ticker: str = "KXBTC-26JUN11-T100", **changes: Any) -> Settlement:
    known: dict[str, Any] = {
        "event_ticker": "KXBTC-26JUN11",
        "result": "yes",
        "value": cents(100),
        "yes_qty": contracts(2),
        "no_qty": contracts(1),
        "revenue": Money(2_000_000),
        "fee": Money(100),
        "ts": Ts(NOW + 1_000),
    }
    return Settlement(ticker=ticker, **{**known, **changes})


def start(work: Callable[[], None]) -> int:
    """Fork a process that does the work; its pid. The caller waits for it."""
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(99)
        os._exit(0)
    return child
