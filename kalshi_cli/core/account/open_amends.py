"""An order whose amend was never answered: it counts as the worse of what it was and what was asked for."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Qty, Ts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus

AMEND_UNANSWERED = "amend_unanswered"
"""The code of an order that may have been amended: it counts as the worse of both until that is known."""


def is_amend_open(order: Order) -> bool:
    """Return whether it is unknown if an amend of this order was taken."""
    return order.status is OrderStatus.UNKNOWN and order.code == AMEND_UNANSWERED


def has_terms(stated: Order, wanted: Order) -> bool:
    """Return whether an order has the price, the size and the expiry that an amend asked for."""
    terms = (stated.price, stated.filled + stated.remaining, stated.expires)
    return terms == (wanted.price, wanted.filled + wanted.remaining, wanted.expires)


def worse_case_terms(before: Order, wanted: Order, now: Ts) -> Order:
    """Return one order that can cost at least as much as either. It counts while an amend is on its way."""
    worst_price = max if before.side is BID else min
    left = max(before.remaining, wanted.remaining)
    return msgspec.structs.replace(
        before,
        price=worst_price(before.price, wanted.price),
        fair=wanted.fair,
        qty=Qty(before.filled + left),
        reduced=Qty(0),
        status=OrderStatus.UNKNOWN,
        code=AMEND_UNANSWERED,
        updated=now,
    )
