"""Resting orders close what the position has, the best price first; the rest of them needs cash."""

from __future__ import annotations

from support.values import make_order

from kalshi_cli.base.units import Money, Qty, cents, contracts, dollars
from kalshi_cli.core.account.closing_orders import closing_by_order, reserved_cash
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order

PLACE = (0, "KXA-1")


def order(name: str, side: Side, price: int, qty: int, subaccount: int = 0) -> Order:
    return make_order(name, order_id=name, side=side, price=cents(price), qty=contracts(qty), subaccount=subaccount)


ASKS = [order("new", ASK, 70, 4), order("best", ASK, 60, 8), order("old", ASK, 70, 3)]
"""Listed newest first."""


def test_an_order_closes_what_those_with_better_prices_and_then_older_ones_leave_of_the_position() -> None:
    closing = closing_by_order(ASKS, {PLACE: contracts(10)})
    assert closing == {"best": contracts(8), "old": contracts(2), "new": 0}


def test_an_order_on_the_side_of_the_position_or_of_another_subaccount_closes_nothing() -> None:
    orders = [order("bid", BID, 40, 5), order("other", ASK, 60, 5, subaccount=1)]
    assert closing_by_order(orders, {PLACE: contracts(10)}) == {"bid": 0, "other": 0}
    assert closing_by_order(orders, {PLACE: Qty(-contracts(3))}) == {"bid": contracts(3), "other": 0}


def test_only_contracts_that_open_a_position_need_cash() -> None:
    assert reserved_cash(ASKS, {PLACE: contracts(15)}) == 0
    assert reserved_cash(ASKS, {PLACE: contracts(10)}) == dollars("1.50"), "5 NO at $0.30"
    assert reserved_cash([order("bid", BID, 40, 5)], {}) == dollars(2)
    assert reserved_cash([], {}) == Money(0)
