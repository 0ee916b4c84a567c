"""The maximum loss of positions with their resting orders. All limits and checks use this definition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.order_terms import BID, Side, leg_price
from kalshi_cli.core.model.orders import Order, OrderStatus


class OutcomeLosses(NamedTuple):
    """The maximum loss if a market settles NO, and if it settles YES; negative is a gain."""

    if_no: Money
    if_yes: Money

    @property
    def worst(self) -> Money:
        """Return the larger loss, at least 0."""
        return Money(max(0, *self))


class LiveOrderRisk(NamedTuple):
    """The part of an order that may still trade, and its maximum fee."""

    side: Side
    price: Price
    qty: Qty
    fee: Money = Money(0)


def live_part(order: Order, schedule: FeeSchedule) -> LiveOrderRisk:
    """Return the part of an order that may still trade. A resting order pays maker fees, any other may take.

    The order's own price is the worst: a better one saves more than it adds to the fee.
    """
    is_taker = not order.post_only and order.status is not OrderStatus.RESTING
    fee = estimate(schedule, order.price, order.remaining, is_taker=is_taker)
    return LiveOrderRisk(order.side, order.price, order.remaining, fee)


def after_trade(qty: Qty, cost: Money, side: Side, price: Price, count: Qty) -> tuple[Qty, Money]:
    """Return a position and its cost after a certain trade, at the order's price, the worst possible."""
    closed = min(count, abs(qty)) if qty * side.sign < 0 else 0
    kept = cost - cost * closed // abs(qty) if closed else cost
    return Qty(qty + side.sign * count), Money(kept + leg_price(side, price) * (count - closed))


def max_loss(qty: Qty, cost: Money, live: Iterable[LiveOrderRisk]) -> OutcomeLosses:
    """Return the maximum loss of a position with these orders, whichever of them fill, in any order.

    P&L is linear in what fills, so the worst case is one of two: the market settles NO after every bid filled, or YES
    after every ask filled. `cost` excludes fees, which were paid and cannot be lost again. Profit of a closing fill is
    cash by then and offsets nothing, so a closing order counts as a loss or as zero.
    """
    bids: list[tuple[int, int]] = []
    asks: list[tuple[int, int]] = []
    if_no, if_yes = (cost, 0) if qty > 0 else (0, cost)
    for side, price, count, fee in live:
        if side is BID:
            bids.append((price, count))
            if_no += fee
            if_yes += max(0, fee - (ONE_DOLLAR - price) * count)  # for a tiny gain, the fee may exceed it
        else:
            asks.append((ONE_DOLLAR - price, count))
            if_yes += fee
            if_no += max(0, fee - price * count)
    if_no += _filled(max(0, -qty), cost, bids)
    if_yes += _filled(max(0, qty), cost, asks)
    return OutcomeLosses(Money(if_no), Money(if_yes))


def _filled(held: int, cost: Money, orders: list[tuple[int, int]]) -> int:
    """Return the loss if the market settles against all of these orders (price of their side, count) after they filled.

    The `held` contracts of the other side then win, except those that the orders close. The most expensive orders open,
    because they lose the most.
    """
    if not held:
        return sum(paid * count for paid, count in orders)
    opening, left, lost = max(0, sum(count for _, count in orders) - held), held, 0
    for paid, count in sorted(orders, reverse=True):
        opened = min(opening, count)
        closed = min(left, count - opened)
        opening, left = opening - opened, left - closed
        lost += paid * opened + max(0, -(-cost * closed // held) - (ONE_DOLLAR - paid) * closed)
    return lost - left * ONE_DOLLAR - (-cost * left // held)


def event_max_loss(markets: Sequence[OutcomeLosses], *, is_exclusive: bool) -> Money:
    """Return the maximum loss of one event's markets together, in one subaccount.

    At most one market of an exclusive event settles YES; the worst of those outcomes counts.
    """
    if not is_exclusive:
        return Money(sum(each.worst for each in markets))
    none_wins = sum(each.if_no for each in markets)
    return Money(max(0, none_wins, *(none_wins - each.if_no + each.if_yes for each in markets)))
