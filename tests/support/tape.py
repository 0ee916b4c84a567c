"""The tape of `kalshi_cli.testing`, and what an earlier run left."""

from __future__ import annotations

from typing import Any

from kalshi_cli.base.units import Money, Ts, cents, contracts
from kalshi_cli.core.model.order_terms import BID, Side
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.testing import NO_LIMITS, T0, TICKER, StrategyHarness, cancel_reasons, market, submitted_orders

__all__ = ["NO_LIMITS", "T0", "TICKER", "StrategyHarness", "cancel_reasons", "held", "market", "submitted_orders"]


def held(side: Side = BID, at_price: int = 40, qty: int = 5) -> Fill:
    """A fill of an earlier run's order `old`."""
    return Fill(
        trade_id="t-old",
        order_id="o-old",
        client_order_id="old",
        ticker=TICKER,
        side=side,
        price=cents(at_price),
        qty=contracts(qty),
        fee=Money(0),
        is_taker=False,
        ts=Ts(T0 - 60_000),
    )


def old_order(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "client_order_id": "old",
        "order_id": "o-old",
        "ticker": TICKER,
        "side": BID,
        "price": cents(40),
        "qty": contracts(5),
        "status": OrderStatus.FILLED,
        "filled": contracts(5),
        "created": Ts(0),
        "updated": Ts(0),
        "strategy": "spike",
    }
    return Order(**(fields | changes))
