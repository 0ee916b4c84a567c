"""Fills and settlements of one market, some milliseconds after T0."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from support.simulation import T0


def fill(at: int, side: Side, price: Price, qty: int, fee: int = 0, ticker: str = "KXA-1") -> Fill:
    return Fill(
        trade_id=f"t{at}", order_id=f"o{at}", ticker=ticker, side=side, price=price, qty=Qty(qty), fee=Money(fee),
        is_taker=False, ts=Ts(T0 + at),
    )  # fmt: skip


def settlement(at: int, value: Price, ticker: str = "KXA-1") -> Settlement:
    return Settlement(
        ticker=ticker, event_ticker="KXA", result="yes" if value else "no", value=value, yes_qty=Qty(0), no_qty=Qty(0),
        revenue=Money(0), fee=Money(0), ts=Ts(T0 + at),
    )  # fmt: skip
