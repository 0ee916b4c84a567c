"""The most that a position with its resting orders can lose: one definition, for every order and for the check."""

from __future__ import annotations

from collections.abc import Iterable

from kalshi_cli.core.model import BID, Side
from kalshi_cli.units import ONE_DOLLAR, Money, Price, Qty


def at_worst(qty: Qty, cost: Money, live: Iterable[tuple[Side, Price, Qty]]) -> tuple[Money, Money]:
    """What is lost at most if the market settles NO, and if it settles YES, whichever of the orders fill.

    Below zero it is won. Profit and loss is linear in what fills, so the worst case is one of two: it settles NO after
    every bid filled, or YES after every ask filled.
    """
    size = abs(qty) * ONE_DOLLAR
    if_no, if_yes = (cost, cost - size) if qty >= 0 else (cost - size, cost)
    for side, price, count in live:
        if side is BID:
            if_no += price * count
        else:
            if_yes += (ONE_DOLLAR - price) * count
    return Money(if_no), Money(if_yes)
