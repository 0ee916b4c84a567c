"""The queue positions of resting orders, better prices first."""

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
    """Return the wanted orders, or all resting orders in scope, with the contracts ahead of each.

    None where the exchange has no position: the order was filled or canceled meanwhile.
    """
    if wanted:
        return [(order, _place(client, order.order_id)) for order in wanted]
    orders = [order for order in client.orders(status="resting", subaccount=subaccount) if scope.holds(order)]
    ahead: dict[str, Qty] = {}
    for owner in sorted({order.subaccount for order in orders}):  # one list covers one subaccount
        tickers = sorted({order.ticker for order in orders if order.subaccount == owner})
        ahead |= {each.order_id: each.ahead for each in client.queue_positions(tickers, subaccount=owner or None)}
    return [(order, ahead.get(order.order_id)) for order in orders]


def _place(client: KalshiClient, order_id: str) -> Qty | None:
    with suppress(NotFoundError):
        return client.queue_position(order_id)
    return None
