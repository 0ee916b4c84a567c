"""The most that positions with their resting orders can lose: one definition, for every order and for the check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kalshi_cli.core.fees import estimate
from kalshi_cli.core.model import BID, FeeSchedule, Order, OrderStatus, Side
from kalshi_cli.units import ONE_DOLLAR, Money, Price, Qty


class Outcomes(NamedTuple):
    """What is lost at most if a market settles NO, and if it settles YES; below zero it is won."""

    if_no: Money
    if_yes: Money

    @property
    def worst(self) -> Money:
        """The most that can be lost; never below zero."""
        return Money(max(0, *self))


class Live(NamedTuple):
    """What may still trade of an order, and the fee of that at most."""

    side: Side
    price: Price
    qty: Qty
    fee: Money = Money(0)


def live_part(order: Order, schedule: FeeSchedule) -> Live:
    """What may still trade of an order. What rests on the book pays as a maker; anything else may take.

    Its own price is the dearest: a better one saves more than it adds to the fee.
    """
    is_taker = not order.post_only and order.status is not OrderStatus.RESTING
    fee = estimate(schedule, order.price, order.remaining, is_taker=is_taker)
    return Live(order.side, order.price, order.remaining, fee)


def at_worst(qty: Qty, cost: Money, live: Iterable[Live]) -> Outcomes:
    """What a position with these orders loses at most, whichever of them fill.

    Profit and loss is linear in what fills, so the worst case is one of two: it settles NO after every bid filled, or
    YES after every ask filled. The `cost` of a position is without fees: those were paid, and cannot be lost again.
    """
    size = abs(qty) * ONE_DOLLAR
    if_no, if_yes = (cost, cost - size) if qty >= 0 else (cost - size, cost)
    for side, price, count, fee in live:
        paid, other = (price, ONE_DOLLAR - price) if side is BID else (ONE_DOLLAR - price, price)
        lost, won = paid * count + fee, max(0, fee - other * count)  # of very little, a fee may be all that is won
        if_no, if_yes = (if_no + lost, if_yes + won) if side is BID else (if_no + won, if_yes + lost)
    return Outcomes(Money(if_no), Money(if_yes))


def event_at_worst(markets: Sequence[Outcomes], *, is_exclusive: bool) -> Money:
    """The most that the markets of one event can lose together, in one subaccount.

    In an exclusive event at most one of them settles YES: the worst of all those outcomes counts.
    """
    if not is_exclusive:
        return Money(sum(each.worst for each in markets))
    none_wins = sum(each.if_no for each in markets)
    return Money(max(0, none_wins, *(none_wins - each.if_no + each.if_yes for each in markets)))
