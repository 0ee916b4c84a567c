"""The money of the exchange: fees, netting, collateral, payouts.

It does not share code with the ledger and fees of `core`, so that each can check the other. All amounts are integers:
cash in millionths of a dollar, which equals a price in ten-thousandths times a count in hundredths.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.simulator.model.records import OrderRecord, PositionRecord

PRECISION = 100
"""Balances of direct members have a precision of $0.0001 (since 28 May 2026), others of a cent."""
STEP = 100
"""A trade fee has steps of $0.0001, independent of the precision of the balance."""
REBATE = 10_000
"""A cent is returned when the roundings of one order exceed a cent."""

_TAKER_RATE = 700  # 0.07 in ten-thousandths
_MAKER_RATE = {FeeType.WITH_MAKER: 175, FeeType.WITH_COMBO_MAKER: 350}
_FEE_SCALE = 10**13  # rate 1e-4 x multiplier 1e-3 x count 1e-2 x price 1e-4 x price 1e-4, to steps of 1e-4 dollar


class FeeTerms(msgspec.Struct, frozen=True):
    """The fees of a market and their rounding.

    `flat_fee` is per contract of a taker where the schedule is `flat`; None charges such a series like a quadratic one,
    since no formula is published. `holds_fees` tells whether a resting order reserves its fee with its price.
    """

    schedule: FeeSchedule = FeeSchedule()
    flat_fee: Money | None = None
    precision: int = PRECISION
    holds_fees: bool = True

    def fee(self, price: Price, qty: Qty, *, is_taker: bool) -> Money:
        """Return the fee of a fill."""
        if self.schedule.type is FeeType.FLAT and self.flat_fee is not None:
            raw = self.flat_fee * qty * self.schedule.multiplier if is_taker else 0
            return Money(-(-raw // (100 * 1000 * STEP)) * STEP)
        return trade_fee(self.schedule, price, qty, is_taker=is_taker)

    def held(self, price: Price, qty: Qty, *, is_taker: bool) -> Money:
        """Return the part of the fee that must be available in advance."""
        return self.fee(price, qty, is_taker=is_taker) if self.holds_fees else Money(0)


def trade_fee(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
    """Return rate x multiplier x count x price x (1 - price), rounded up to $0.0001. YES and NO pay the same."""
    rate = _TAKER_RATE if is_taker else _MAKER_RATE.get(schedule.type, 0)
    raw = rate * schedule.multiplier * qty * price * (ONE_DOLLAR - price)
    return Money(-(-raw // _FEE_SCALE) * STEP)


def leg_price(side: Side, price: Price) -> Price:
    """Return the cost of one contract: a bid buys YES at the price, an ask buys NO at one dollar less the price."""
    return price if side is Side.BID else Price(ONE_DOLLAR - price)


def closable(holding: Qty, side: Side) -> Qty:
    """Return how many contracts an order on this side could close."""
    return Qty(max(0, -holding * side.sign))


class FillBooking(msgspec.Struct, frozen=True):
    """The effect of a fill: the change of cash, the net fee, and the new rounding total of the order."""

    cash: Money
    fee: Money
    rounding: Money


def book_fill(
    holding: PositionRecord, order: OrderRecord, price: Price, qty: Qty, terms: FeeTerms, *, is_taker: bool
) -> FillBooking:
    """Apply one fill to a position: close the opposite side first, then open.

    A closed pair of YES and NO pays one dollar at once, so closing at leg price q yields 1 - q. The change of the
    balance is rounded down to its precision; the difference is part of the fee and is returned by the cent.
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
    """Return the cash that the orders of an account in one market may need: opening cost and fees.

    The most expensive legs of a side fill first: they close the position, and their proceeds pay for the next. Bids and
    asks are added although they would net. The order with the id `incoming` is charged as a taker.
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
    """Return the cash that `qty` of an order needs without a position to close."""
    fee = terms.held(order.price, qty, is_taker=is_taker)
    return Money(leg_price(order.side, order.price) * qty + fee)


def payout(holding: PositionRecord, value: Price) -> Money:
    """Return the payout of a settled position: `value` for each YES, one dollar less `value` for each NO."""
    per_contract = value if holding.qty > 0 else ONE_DOLLAR - value
    return Money(abs(holding.qty) * per_contract)
