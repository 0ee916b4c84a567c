"""An order with the data needed to merge reports about it."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Qty, Ts, notional
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus


class Tracked:
    """An order, its trades, and the time of the newest report."""

    __slots__ = ("before", "cost", "fees", "met", "order", "stated", "traded", "trades", "wanted")

    def __init__(self, order: Order) -> None:
        self.order = order
        self.met = order.updated
        self.before = order.filled if order.is_foreign else Qty(0)
        """The quantity that a foreign order had traded when first seen: those fills may be too old to be read."""
        self.stated: Ts | None = None
        self.trades: dict[str, Fill] = {}
        self.traded = Qty(0)
        self.fees = Money(0)
        self.cost = Money(0)
        self.wanted: Order | None = None
        """The terms that an unanswered amend requested."""

    def count(self, fill: Fill) -> bool:
        """Count a fill once; return whether it was new."""
        if fill.trade_id in self.trades:
            return False
        self.trades[fill.trade_id] = fill
        if fill.ts <= self.met:
            self.before = Qty(max(0, self.before - fill.qty))
        self.traded = Qty(self.traded + fill.qty)
        self.fees = Money(self.fees + fill.fee)
        self.cost = Money(self.cost + notional(fill.price, fill.qty))
        return True

    @property
    def untold(self) -> int:
        """Return the traded quantity that has no fill and can still get one."""
        return self.order.filled - self.traded - self.before

    @property
    def is_proven(self) -> bool:
        """Return whether anything but the response to its creation confirms its exchange id."""
        is_over = self.order.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED) and self.order.tif is TimeInForce.GTC
        return self.stated is not None or bool(self.trades) or is_over

    def contradicts(self, record: Order) -> bool:
        """Return whether merging cannot bring the order to this record.

        That is so if the record filled less, is still live, or has other terms than a response dated later.
        """
        known = self.order
        filled = max(record.filled, self.traded)
        if known.filled > filled:
            return True
        is_over = not record.status.is_live or record.qty - record.reduced <= filled
        if is_over or was_raised(known, record):
            return False
        if not known.status.is_live:
            return True
        is_older = self.stated is not None and record.updated < self.stated
        return is_older and (known.price, known.remaining) != (record.price, record.remaining)

    def restart(self) -> list[Fill]:
        """Forget all responses: the order was sent and is unconfirmed. Return its fills, to be matched again."""
        fills = list(self.trades.values())
        self.trades.clear()
        self.stated = self.wanted = None
        self.traded, self.fees, self.cost = Qty(0), Money(0), Money(0)
        self.order = msgspec.structs.replace(
            self.order, order_id="", status=OrderStatus.UNKNOWN, filled=Qty(0), reduced=Qty(0), fees=Money(0),
            fill_cost=Money(0), code="",
        )  # fmt: skip
        return fills


def was_raised(known: Order, stated: Order) -> bool:
    """Return whether a filled order is larger now: an external amend added quantity that may trade."""
    return known.status is OrderStatus.FILLED and stated.qty > known.qty
