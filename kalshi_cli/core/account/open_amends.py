"""Orders with an unanswered amend: they count as the worse of the old and the requested terms."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Qty, Ts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus

AMEND_UNANSWERED = "amend_unanswered"
"""The code of an order that may have been amended and counts as the worse of both terms until that is known."""


def is_amend_open(order: Order) -> bool:
    """Return whether an amend of this order has an unknown outcome."""
    return order.status is OrderStatus.UNKNOWN and order.code == AMEND_UNANSWERED


def has_terms(stated: Order, wanted: Order) -> bool:
    """Return whether an order has the price, size and expiration that an amend requested."""
    terms = (stated.price, stated.filled + stated.remaining, stated.expires)
    return terms == (wanted.price, wanted.filled + wanted.remaining, wanted.expires)


def worse_case_terms(before: Order, wanted: Order, now: Ts) -> Order:
    """Return an order that can cost at least as much as either. It counts until the amend is answered."""
    worst_price = max if before.side is BID else min
    left = max(before.remaining, wanted.remaining)
    return msgspec.structs.replace(
        before,
        price=worst_price(before.price, wanted.price),
        fair=wanted.fair,
        best=wanted.best,
        qty=Qty(before.filled + left),
        reduced=Qty(0),
        status=OrderStatus.UNKNOWN,
        code=AMEND_UNANSWERED,
        updated=now,
    )
