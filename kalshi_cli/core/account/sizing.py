"""Order sizes and budgets of strategies."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kalshi_cli.base.units import DOLLAR, ONE_CONTRACT, Money, Price, Qty, notional
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.order_terms import Side, leg_price


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that sets the size of an order.

    `fixed` uses the strategy's own parameter. `fraction` spends this fraction of the money. `kelly` spends this
    fraction of the Kelly stake, which maximizes growth if the fair value is right and is too large if it is not.
    `max_fraction` of the money is the most for one order (`fraction`) or for all orders of a market together (`kelly`).
    """

    kind: Literal["fixed", "fraction", "kelly"] = "fixed"
    fraction: Annotated[float, Meta(gt=0, le=1)] = 0.25
    max_fraction: Annotated[float, Meta(gt=0, le=1)] = 0.05


class StrategyAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """The configured budget and sizing of one strategy. Without a `budget`, only the account's limits apply."""

    budget: Annotated[Money, Meta(ge=0)] | None = None
    sizing: Sizing = Sizing()


NO_ALLOTMENT = StrategyAllocation()

NOTHING = Qty(0)

RESERVED = StrategyAllocation.__struct_fields__
"""Reserved names that no parameter of a strategy may have."""


def order_size(
    sizing: Sizing,
    side: Side,
    price: Price,
    fair: Price | None,
    *,
    fixed: Qty,
    money: Money | None,
    fees: FeeSchedule,
    held: Qty = NOTHING,
    max_qty: Qty | None = None,
    max_cost: Money | None = None,
) -> Qty:
    """Return the contracts of an order at a YES price, given the fair value of YES; 0 for none.

    `money` is the amount that a fraction refers to; without it, the size is 0. `held` contracts on that side reduce
    the Kelly stake. `max_qty` and `max_cost` are the limits of one order. A `fixed` size is never reduced: an order
    above a limit is refused visibly.
    """
    if sizing.kind == "fixed":
        return fixed
    cost, paid = _one(side, price, fees)
    if money is None or money <= 0 or not 0 < cost < DOLLAR:
        return Qty(0)
    share = sizing.fraction * (1.0 if sizing.kind == "fraction" else kelly(side, price, fair, fees))
    whole = int(money * min(share, sizing.max_fraction)) // paid
    if sizing.kind == "kelly":
        whole = max(0, whole - held // ONE_CONTRACT)
    if max_cost is not None:
        whole = min(whole, max_cost // cost)
    if max_qty is not None:
        whole = min(whole, max_qty // ONE_CONTRACT)
    return Qty(whole * ONE_CONTRACT)


def kelly(side: Side, price: Price, fair: Price | None, fees: FeeSchedule) -> float:
    """Return the share of money that maximizes growth, after a taker's fee; 0 without an edge.

    A contract costs c and pays a dollar with probability q: the edge on the money spent is (q - c) / c, the odds are (1
    - c) / c, and the share is edge / odds = (q - c) / (1 - c).
    """
    if fair is None:
        return 0.0
    _, paid = _one(side, price, fees)
    worth = notional(leg_price(side, fair), ONE_CONTRACT)
    return (worth - paid) / (DOLLAR - paid) if paid < worth <= DOLLAR else 0.0


def _one(side: Side, price: Price, fees: FeeSchedule) -> tuple[Money, Money]:
    """Return the cost of one contract on the side that is bought, without and with its fee."""
    cost = notional(leg_price(side, price), ONE_CONTRACT)
    return cost, Money(cost + estimate(fees, price, ONE_CONTRACT, is_taker=True))
