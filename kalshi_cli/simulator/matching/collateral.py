"""The exchange's own money: fees, netting, collateral, payouts.

Written independently of `core.ledger` and `core.fees`, so that each can check the other. Integers throughout: cash in
millionths of a dollar; prices in ten-thousandths times counts in hundredths are exactly that.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.simulator.model.records import OrderRecord, PositionRecord

PRECISION = 100
"""Balances of direct members are kept to $0.0001 (since 28 May 2026); through an intermediary, to the cent."""
STEP = 100
"""A trade fee is in steps of $0.0001, whatever the balance is kept to."""
REBATE = 10_000
"""When the roundings of one order exceed a cent, a cent is given back."""

_TAKER_RATE = 700  # 0.07 in ten-thousandths
_MAKER_RATE = {FeeType.WITH_MAKER: 175, FeeType.WITH_COMBO_MAKER: 350}
_FEE_SCALE = 10**13  # rate 1e-4 x multiplier 1e-3 x count 1e-2 x price 1e-4 x price 1e-4, to steps of 1e-4 dollar


class FeeTerms(msgspec.Struct, frozen=True):
    """What a fill of a market is charged, and how it is rounded.

    `flat_fee` is for each contract of a taker where the schedule is `flat`; None reckons such a series as a quadratic
    one, since no formula is published. `holds_fees`: whether a resting order's fee is held back with its price.
    """

    schedule: FeeSchedule = FeeSchedule()
    flat_fee: Money | None = None
    precision: int = PRECISION
    holds_fees: bool = True

    def fee(self, price: Price, qty: Qty, *, is_taker: bool) -> Money:
        if self.schedule.type is FeeType.FLAT and self.flat_fee is not None:
            raw = self.flat_fee * qty * self.schedule.multiplier if is_taker else 0
            return Money(-(-raw // (100 * 1000 * STEP)) * STEP)
        return trade_fee(self.schedule, price, qty, is_taker=is_taker)

    def held(self, price: Price, qty: Qty, *, is_taker: bool) -> Money:
        """The part of the fee that must be there before it is due."""
        return self.fee(price, qty, is_taker=is_taker) if self.holds_fees else Money(0)


def trade_fee(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
    """Rate x multiplier x count x price x (1 - price), up to the next $0.0001. Symmetric in YES and NO."""
    rate = _TAKER_RATE if is_taker else _MAKER_RATE.get(schedule.type, 0)
    raw = rate * schedule.multiplier * qty * price * (ONE_DOLLAR - price)
    return Money(-(-raw // _FEE_SCALE) * STEP)


def leg_price(side: Side, price: Price) -> Price:
    """What one contract costs: a bid buys YES at the price, an ask buys NO at one dollar less it."""
    return price if side is Side.BID else Price(ONE_DOLLAR - price)


def closable(holding: Qty, side: Side) -> Qty:
    """How many contracts an order of this side could close."""
    return Qty(max(0, -holding * side.sign))


class FillBooking(msgspec.Struct, frozen=True):
    """What a fill did to the cash, what it cost in fees (net of roundings and rebate), and the order's accumulator."""

    cash: Money
    fee: Money
    rounding: Money


def book_fill(
    holding: PositionRecord, order: OrderRecord, price: Price, qty: Qty, terms: FeeTerms, *, is_taker: bool
) -> FillBooking:
    """Apply one fill to a holding: close what is held on the other side first, then open.

    A closed pair of YES and NO pays one dollar at once, so closing at leg price q brings 1 - q. The change of the
    balance is rounded down to its precision; what that takes is part of the fee, and comes back by the cent.
    """
    leg = leg_price(order.side, price)
    closed = Qty(min(qty, closable(holding.qty, order.side)))
    opened = Qty(qty - closed)
    released = (
        holding.cost if closed and closed == abs(holding.qty) else holding.cost * closed // max(1, abs(holding.qty))
    )
    proceeds = (ONE_DOLLAR - leg) * closed
    paid = leg * opened
    fee = terms.fee(price, qty, is_taker=is_taker)
    change = proceeds - paid - fee
    rounded = change // terms.precision * terms.precision
    rounding = order.rounding + change - rounded
    rebate = REBATE if rounding > REBATE else 0
    net_fee = Money(fee + (change - rounded) - rebate)
    holding.qty = Qty(holding.qty + order.side.sign * qty)
    holding.cost = Money(holding.cost - released + paid)
    holding.realized = Money(holding.realized + proceeds - released)
    holding.fees = Money(holding.fees + net_fee)
    holding.traded = Money(holding.traded + leg * qty)
    holding.volume = Qty(holding.volume + qty)
    return FillBooking(Money(rounded + rebate), net_fee, Money(rounding - rebate))


def collateral(orders: Iterable[OrderRecord], held: Qty, terms: FeeTerms, *, incoming: str = "") -> Money:
    """Cash that the orders of an account in one market may need: the full leg price of what does not close, and fees.

    The dearest legs of a side fill first: they close what is held, and what that brings pays for the next. Bids and
    asks are added, though they would net. The order named `incoming` is charged as a taker.
    """
    closing = Side.ASK if held > 0 else Side.BID
    closers, opened = [], 0
    for order in orders:
        if order.side is closing:
            closers.append(order)
        else:
            opened += order_need(order, order.remaining, terms, is_taker=order.order_id == incoming)
    left, cash, need = abs(held), 0, 0
    for order in sorted(closers, key=lambda order: (-leg_price(closing, order.price), order.place)):
        leg = leg_price(closing, order.price)
        closed = min(order.remaining, left)
        left -= closed
        fee = terms.held(order.price, order.remaining, is_taker=order.order_id == incoming)
        cash += (ONE_DOLLAR - leg) * closed - leg * (order.remaining - closed) - fee
        need = max(need, -cash)
    return Money(opened + need)


def order_need(order: OrderRecord, qty: Qty, terms: FeeTerms, *, is_taker: bool) -> Money:
    """What `qty` of an order needs where nothing held can be closed: then `collateral` is the sum of these."""
    fee = terms.held(order.price, qty, is_taker=is_taker)
    return Money(leg_price(order.side, order.price) * qty + fee)


def payout(holding: PositionRecord, value: Price) -> Money:
    """What a settled position brings: `value` for each YES, one dollar less it for each NO."""
    per_contract = value if holding.qty > 0 else ONE_DOLLAR - value
    return Money(abs(holding.qty) * per_contract)
