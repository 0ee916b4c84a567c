"""Fills of unknown orders, kept to be credited to a strategy if the order turns out to be ours."""

from __future__ import annotations

from kalshi_cli.core.model.orders import Fill

MAX_UNOWNED = 1_000
"""The most unknown orders whose fills are kept."""


class UnownedFills:
    """The fills of unknown orders, by the exchange's order id."""

    def __init__(self) -> None:
        self.by_order: dict[str, list[Fill]] = {}

    def keep(self, fill: Fill) -> None:
        """Keep a fill until its order is known."""
        self.by_order.setdefault(fill.order_id, []).append(fill)
        if len(self.by_order) > MAX_UNOWNED:
            del self.by_order[next(iter(self.by_order))]

    def take(self, order_id: str) -> list[Fill]:
        """Remove and return the fills of an order; none for an order without an id."""
        return self.by_order.pop(order_id, []) if order_id else []
