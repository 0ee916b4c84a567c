"""Where resting orders stand in the queue, better prices first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from kalshi_cli.base.errors import NotFoundError
from kalshi_cli.base.units import Qty
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.orders.cancel import CancelScope


def queue_positions(
    client: KalshiClient, scope: CancelScope, wanted: Sequence[Order], subaccount: int | None = None
) -> list[tuple[Order, Qty | None]]:
    """Each of the wanted orders, or all that rest within the scope, with the contracts ahead of it.

    None where the exchange names no place: it filled or was cancelled meanwhile.
    """
    if wanted:
        return [(order, _place(client, order.order_id)) for order in wanted]
    orders = [order for order in client.orders(status="resting", subaccount=subaccount) if scope.holds(order)]
    ahead: dict[str, Qty] = {}
    for owner in sorted({order.subaccount for order in orders}):  # a list of places is that of one subaccount
        tickers = sorted({order.ticker for order in orders if order.subaccount == owner})
        ahead |= {each.order_id: each.ahead for each in client.queue_positions(tickers, subaccount=owner or None)}
    return [(order, ahead.get(order.order_id)) for order in orders]


def _place(client: KalshiClient, order_id: str) -> Qty | None:
    with suppress(NotFoundError):
        return client.queue_position(order_id)
    return None
