"""Orders and fills as the user means them: bought or sold, YES or NO, at the price of that outcome.

The exchange keeps one book, that of YES: it lists an order to buy NO at $0.62 as one to sell YES at $0.38. What was
typed is on file with an order of this program; for other orders, and for fills, the position tells the two apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from kalshi_cli.base.units import Qty
from kalshi_cli.core.model.order_terms import OwnTerms as OwnTerms
from kalshi_cli.core.model.order_terms import fill_terms as fill_terms
from kalshi_cli.core.model.order_terms import own_terms
from kalshi_cli.core.model.order_terms import typed_terms as typed_terms
from kalshi_cli.views.orders import OrderChangeView, OrderRow, QueueRow
from kalshi_cli.views.portfolio import HoldingRow, PortfolioView
from kalshi_cli.views.row import own_amount, own_price

HeldByMarket = Mapping[tuple[int, str], Qty]
"""Positions by subaccount and market, negative for NO."""

R = TypeVar("R", bound=OrderRow)


def order_terms(order: OrderRow | QueueRow, held: HeldByMarket) -> OwnTerms:
    """Return the terms of an order as typed; of another one that may trade now, or could until now, by the position."""
    price = own_price(order.side, order.price) if isinstance(order, OrderRow) else order.price
    if order.typed_side is not None:
        return typed_terms(order.book_side, price, order.typed_side)
    return own_terms(order.book_side, price, held.get((order.subaccount, order.ticker), Qty(0)))


def in_own_terms(order: R, held: HeldByMarket) -> R:
    """Return an order with side, action and prices as the user means them."""
    terms = order_terms(order, held)
    if terms.side == order.side:
        return replace(order, action=terms.action)
    average = order.average_fill_price
    turned = replace(
        order,
        side=terms.side,
        action=terms.action,
        price=terms.price,
        average_fill_price=None if average is None else own_price("no", average),
        fill_amount=None if order.fill_amount is None else own_amount("no", order.fill_amount, order.filled),
    )
    if isinstance(turned, OrderChangeView):
        return replace(turned, price_before=own_price("no", turned.price_before))
    return turned


def with_orders_as_meant(view: PortfolioView) -> PortfolioView:
    """Return a portfolio whose orders have side, action and price as the user means them."""
    held = held_by_market(view.positions)
    return replace(view, orders=tuple(in_own_terms(each, held) for each in view.orders))


def held_by_market(positions: Iterable[HoldingRow]) -> dict[tuple[int, str], Qty]:
    """Return the quantities of positions by subaccount and market, negative for NO."""
    return {
        (each.subaccount, each.ticker): each.count if each.side == "yes" else Qty(-each.count) for each in positions
    }
