"""The most that positions with their resting orders can lose: one definition, for every order and for the check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.order_terms import BID, Side
from kalshi_cli.core.model.orders import Order, OrderStatus


class OutcomeLosses(NamedTuple):
    """What is lost at most if a market settles NO, and if it settles YES; below zero it is won."""

    if_no: Money
    if_yes: Money

    @property
    def worst(self) -> Money:
        """The most that can be lost; never below zero."""
        return Money(max(0, *self))


class LiveOrderRisk(NamedTuple):
    """What may still trade of an order, and the fee of that at most."""

    side: Side
    price: Price
    qty: Qty
    fee: Money = Money(0)


def live_part(order: Order, schedule: FeeSchedule) -> LiveOrderRisk:
    """What may still trade of an order. What rests on the book pays as a maker; anything else may take.

    Its own price is the dearest: a better one saves more than it adds to the fee.
    """
    is_taker = not order.post_only and order.status is not OrderStatus.RESTING
    fee = estimate(schedule, order.price, order.remaining, is_taker=is_taker)
    return LiveOrderRisk(order.side, order.price, order.remaining, fee)


def after_trade(qty: Qty, cost: Money, side: Side, price: Price, count: Qty) -> tuple[Qty, Money]:
    """A position and its cost after a trade that is certain, at its order's price: no fill is worse than that."""
    closed = min(count, abs(qty)) if qty * side.sign < 0 else 0
    kept = cost - cost * closed // abs(qty) if closed else cost
    paid = price if side is BID else ONE_DOLLAR - price
    return Qty(qty + side.sign * count), Money(kept + paid * (count - closed))


def max_loss(qty: Qty, cost: Money, live: Iterable[LiveOrderRisk]) -> OutcomeLosses:
    """What a position with these orders loses at most, whichever of them fill and in whatever order: now, or counted
    from any moment while they do.

    Profit and loss is linear in what fills, so the worst case is one of two: it settles NO after every bid filled, or
    YES after every ask filled. The `cost` of a position is without fees: those were paid, and cannot be lost again.
    What a fill earns is in the balance then and makes up for nothing, so what closes counts as a loss, or as nothing.
    """
    bids: list[tuple[int, int]] = []
    asks: list[tuple[int, int]] = []
    if_no, if_yes = (cost, 0) if qty > 0 else (0, cost)
    for side, price, count, fee in live:
        if side is BID:
            bids.append((price, count))
            if_no += fee
            if_yes += max(0, fee - (ONE_DOLLAR - price) * count)  # of very little, a fee may be all that is won
        else:
            asks.append((ONE_DOLLAR - price, count))
            if_yes += fee
            if_no += max(0, fee - price * count)
    if_no += _filled(max(0, -qty), cost, bids)
    if_yes += _filled(max(0, qty), cost, asks)
    return OutcomeLosses(Money(if_no), Money(if_yes))


def _filled(held: int, cost: Money, orders: list[tuple[int, int]]) -> int:
    """The loss if the market settles against all of these orders (price of their side, and count) once they filled.

    `held` contracts of the other side win then: what is left of them, after the orders closed what they can. The
    dearest open: the more they cost, the more is lost on them.
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
    """The most that the markets of one event can lose together, in one subaccount.

    In an exclusive event at most one of them settles YES: the worst of all those outcomes counts.
    """
    if not is_exclusive:
        return Money(sum(each.worst for each in markets))
    none_wins = sum(each.if_no for each in markets)
    return Money(max(0, none_wins, *(none_wins - each.if_no + each.if_yes for each in markets)))
