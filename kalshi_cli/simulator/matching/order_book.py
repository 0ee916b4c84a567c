"""Pure price-time matching of one market on the YES scale: plan first, then apply, so a refusal changes nothing."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

import msgspec

from kalshi_cli.base.units import Price, Qty
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.simulator.model.records import OrderRecord


class MatchPlan(msgspec.Struct):
    """The effect of an incoming order: the resting orders it trades with, and its own resting orders that it cancels.

    `is_stopped` means that it met an order of its own account and must stop.
    """

    meets: list[tuple[OrderRecord, Qty]]
    removes: list[OrderRecord]
    is_stopped: bool = False

    @property
    def qty(self) -> Qty:
        """Return the contracts that would trade."""
        return Qty(sum(qty for _, qty in self.meets))


class _Ladder:
    """A side of the book. A dictionary keeps the order of arrival at each price."""

    def __init__(self, side: Side) -> None:
        self.sign = -1 if side is BID else 1  # keys sort best first
        self.keys: list[int] = []
        self.orders: dict[int, dict[str, OrderRecord]] = {}
        self.totals: dict[int, int] = {}

    def add(self, order: OrderRecord) -> None:
        key = order.price * self.sign
        if key not in self.orders:
            insort(self.keys, key)
            self.orders[key] = {}
            self.totals[key] = 0
        self.orders[key][order.order_id] = order
        self.totals[key] += order.remaining

    def reduce(self, order: OrderRecord, qty: Qty) -> None:
        key = order.price * self.sign
        self.totals[key] -= qty
        if order.remaining == qty:
            del self.orders[key][order.order_id]
            if not self.orders[key]:
                del self.orders[key], self.totals[key]
                del self.keys[bisect_left(self.keys, key)]


class MatchingBook:
    """The resting orders of one market."""

    def __init__(self) -> None:
        self._ladders = {BID: _Ladder(BID), ASK: _Ladder(ASK)}

    def top(self, side: Side) -> tuple[Price, Qty] | None:
        """Return the best level, or None for an empty side."""
        ladder = self._ladders[side]
        if not ladder.keys:
            return None
        key = ladder.keys[0]
        return Price(key * ladder.sign), Qty(ladder.totals[key])

    def levels(self, side: Side, depth: int = 0) -> list[tuple[Price, Qty]]:
        """Return the levels, best first; a depth of 0 returns all."""
        ladder = self._ladders[side]
        keys = ladder.keys[:depth] if depth else ladder.keys
        return [(Price(key * ladder.sign), Qty(ladder.totals[key])) for key in keys]

    def orders(self, side: Side) -> Iterator[OrderRecord]:
        """Yield the orders of a side in the order in which they would trade."""
        ladder = self._ladders[side]
        for key in ladder.keys:
            yield from ladder.orders[key].values()

    def would_cross(self, side: Side, price: Price) -> bool:
        """Return whether an order at this price would trade at once."""
        best = self.top(side.opposite)
        return best is not None and (best[0] <= price if side is BID else best[0] >= price)

    def plan(self, order: OrderRecord, qty: Qty) -> MatchPlan:
        """Match `qty` of an order against the other side without a change. Trades happen at the resting price."""
        plan = MatchPlan([], [])
        if not self.would_cross(order.side, order.price):
            return plan
        for resting in self.orders(order.side.opposite):
            is_too_dear = resting.price > order.price if order.side is BID else resting.price < order.price
            if qty == 0 or is_too_dear:
                break
            if resting.account == order.account:
                if not order.stp_maker:
                    plan.is_stopped = True
                    break
                plan.removes.append(resting)
                continue
            met = Qty(min(qty, resting.remaining))
            plan.meets.append((resting, met))
            qty = Qty(qty - met)
        return plan

    def rest(self, order: OrderRecord) -> None:
        """Queue the remainder of an order behind all others at its price."""
        self._ladders[order.side].add(order)

    def reduce(self, order: OrderRecord, qty: Qty) -> None:
        """Take `qty` of a resting order off the book and off `remaining`; an empty order leaves."""
        self._ladders[order.side].reduce(order, qty)
        order.remaining = Qty(order.remaining - qty)

    def queue(self) -> Iterator[tuple[OrderRecord, Qty]]:
        """Yield every resting order with the number of contracts ahead of it."""
        for side in (BID, ASK):
            ahead = 0
            for order in self.orders(side):
                yield order, Qty(ahead)
                ahead += order.remaining

    def ahead_of(self, order: OrderRecord) -> Qty:
        """Return the contracts ahead of an order."""
        return next(ahead for other, ahead in self.queue() if other is order)
