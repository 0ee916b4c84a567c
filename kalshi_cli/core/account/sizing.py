"""How many contracts an order of a strategy shall be for, and what the strategy may put at risk altogether."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kalshi_cli.base.units import DOLLAR, ONE_CONTRACT, ONE_DOLLAR, Money, Price, Qty, notional
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.order_terms import BID, Side


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """How large an order is.

    `fixed`: what the strategy's own parameter says. `fraction`: its cost is this fraction of the money. `kelly`: this
    fraction of what the Kelly criterion would stake, which makes money grow fastest where the fair value is right, and
    is too much where it is not. Never more than `max_fraction` of the money: an order of `fraction`, all orders of
    `kelly` in a market together.
    """

    kind: Literal["fixed", "fraction", "kelly"] = "fixed"
    fraction: Annotated[float, Meta(gt=0, le=1)] = 0.25
    max_fraction: Annotated[float, Meta(gt=0, le=1)] = 0.05


class StrategyAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """What one strategy gets, as it is configured. Without a `budget` only the limits of the account bound it."""

    budget: Annotated[Money, Meta(ge=0)] | None = None
    sizing: Sizing = Sizing()


NO_ALLOTMENT = StrategyAllocation()

NOTHING = Qty(0)

RESERVED = StrategyAllocation.__struct_fields__
"""What is configured beside the parameters of a strategy, so that no parameter is called so."""


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
    """Contracts for an order at `price` (that of YES) where `fair` is what YES is worth; 0 for none.

    `money` is what is sized by; nothing is bought by a fraction of what is not known. What is `held` on that side is a
    part of what Kelly stakes on this market, however many orders it takes. `max_qty` and `max_cost` are the limits of
    one order. Of `fixed` nothing is cut: an order that passes a limit is denied, and that is seen.
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
    """The share of all money that makes it grow fastest, after a taker's fee; 0 where there is no edge.

    One contract costs c and pays a dollar with probability q: its edge on the money paid is (q - c) / c, the odds are
    (1 - c) / c, and the share is edge / odds = (q - c) / (1 - c).
    """
    if fair is None:
        return 0.0
    _, paid = _one(side, price, fees)
    worth = notional(fair if side is BID else Price(ONE_DOLLAR - fair), ONE_CONTRACT)
    return (worth - paid) / (DOLLAR - paid) if paid < worth <= DOLLAR else 0.0


def _one(side: Side, price: Price, fees: FeeSchedule) -> tuple[Money, Money]:
    """What one contract costs on the side that is bought, without and with its fee."""
    cost = notional(price if side is BID else Price(ONE_DOLLAR - price), ONE_CONTRACT)
    return cost, Money(cost + estimate(fees, price, ONE_CONTRACT, is_taker=True))
