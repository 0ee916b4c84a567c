"""Orders, limits and numbers as fields of a log line. The names are a contract: docs/operations.md."""

from __future__ import annotations

from typing import Any

from kalshi_cli.base.units import Money, Price, Qty, format_money, format_price, format_qty
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits


def edge(side: Side, fair: Price | None, price: Price) -> Price | None:
    """Return the edge of a price against the fair value, per contract before fees; None without a fair value."""
    return None if fair is None else Price((fair - price) * side.sign)


def order_fields(order: Order) -> dict[str, Any]:
    """Return an order as log fields, with None for a missing value."""
    return {
        "ticker": order.ticker,
        "order_id": text_field(order.order_id),
        "client_order_id": text_field(order.client_order_id),
        "side": order.side.value,
        "price": format_price(order.price),
        "qty": format_qty(order.qty),
        "filled": format_qty(order.filled) if order.filled else None,
        "status": order.status.value,
        "strategy": text_field(order.strategy),
        "fair": price_field(order.fair),
        "edge": price_field(edge(order.side, order.fair, order.price)),
        "reason": text_field(order.reason),
        "code": text_field(order.code),
        "order_group_id": text_field(order.order_group_id),
        "is_foreign": True if order.is_foreign else None,
    }


def limit_fields(limits: RiskLimits) -> dict[str, str | int | None]:
    """Return the limits in the units of the configuration; None is off."""
    return {
        "max_position": qty_field(limits.max_position),
        "max_open_positions": limits.max_open_positions,
        "max_market_exposure": money_field(limits.max_market_exposure),
        "max_event_exposure": money_field(limits.max_event_exposure),
        "max_category_exposure": money_field(limits.max_category_exposure),
        "max_exposure": money_field(limits.max_exposure),
        "max_order_count": qty_field(limits.max_order_qty),
        "max_order_cost": money_field(limits.max_order_cost),
        "price_collar": price_field(limits.price_collar),
        "max_daily_loss": money_field(limits.max_daily_loss),
        "max_drawdown": money_field(limits.max_drawdown),
        "stop_loss_pct": limits.stop_loss_pct,
        "take_profit_pct": limits.take_profit_pct,
        "max_close_slippage": price_field(limits.max_close_slippage),
        "max_orders_per_minute": limits.max_orders_per_minute,
        "max_market_orders_per_minute": limits.max_market_orders_per_minute,
        "max_live_orders": limits.max_live_orders,
        "max_churn": qty_field(limits.max_churn),
        "min_edge": price_field(limits.min_edge),
        "max_spread": price_field(limits.max_spread),
    }


def level_of(event: str, tier: str | None, state: str | None) -> str:
    """Return the level of a log line: `debug`, `info`, `warning` or `error`, by its event and its own severity."""
    if tier == "critical" or state == "halted" or event == "order_unknown":
        return "error"
    return "warning" if tier == "warning" or state == "reducing" else _LEVELS.get(event, "info")


_LEVELS = dict.fromkeys(("denied_repeat", "signal"), "debug") | dict.fromkeys(
    ("order_rejected", "order_never_arrived", "order_repaired", "denied", "feed_gap", "lines_lost"), "warning"
)


def text_field(text: str) -> str | None:
    """Return a text, None for an empty one."""
    return text or None


def price_field(price: Price | None) -> str | None:
    """Return a price as text, or None."""
    return None if price is None else format_price(price)


def qty_field(qty: Qty | None) -> str | None:
    """Return a quantity as text, or None."""
    return None if qty is None else format_qty(qty)


def money_field(money: Money | None) -> str | None:
    """Return an amount as text, or None."""
    return None if money is None else format_money(money)
