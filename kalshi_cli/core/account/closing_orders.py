"""The contracts of a position that resting orders would close, and the cash that the others need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kalshi_cli.base.units import Money, Qty, notional
from kalshi_cli.core.model.order_terms import leg_price
from kalshi_cli.core.model.orders import Order


def closing_by_order(orders: Sequence[Order], held: Mapping[tuple[int, str], Qty]) -> dict[str, Qty]:
    """Return the contracts that each of these resting orders, listed newest first, would close, by order id.

    `held` has the positions by subaccount and market, negative for NO. The orders of one side fill at the best price
    first, then the oldest first, so an order closes what those before it leave of the position.
    """
    closing: dict[str, Qty] = {}
    left = dict(held)
    oldest_first = orders[::-1]
    for order in sorted(oldest_first, key=lambda each: -each.side.sign * each.price):
        place = (order.subaccount, order.ticker)
        position = left.get(place, Qty(0))
        closed = min(order.remaining, max(0, -order.side.sign * position))
        closing[order.order_id] = Qty(closed)
        left[place] = Qty(position + order.side.sign * closed)
    return closing


def reserved_cash(orders: Sequence[Order], held: Mapping[tuple[int, str], Qty]) -> Money:
    """Return the cash that resting orders need at their limits, before fees: that of the contracts that they open."""
    closing = closing_by_order(orders, held)
    opening = ((order, Qty(order.remaining - closing[order.order_id])) for order in orders)
    return Money(sum(notional(leg_price(order.side, order.price), qty) for order, qty in opening))
