"""Orders that the user types on the screen: their words, and how they are planned."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.short_order import read_new_terms, read_short_order
from kalshi_cli.base.units import show_price, show_qty
from kalshi_cli.services.orders.amend import AmendRequest
from kalshi_cli.services.orders.place import OrderTicket
from kalshi_cli.tui.actions import AnyPlan
from kalshi_cli.views.orders import OrderRow
from kalshi_cli.views.own_terms import OwnTerms


class TypedOrder(NamedTuple):
    """An order or new terms as typed: the words, and how to plan it."""

    words: str
    plan: Callable[[Kalshi], AnyPlan]


def order_question(ticker: str) -> str:
    """Return the question for a new order."""
    return f"Order in {ticker}: buy or sell, count and price, such as buy 10 @0.32. For NO, add --no"


def new_order(ticker: str, text: str) -> TypedOrder:
    """Read a new order. UsageError for anything else."""
    typed = read_short_order(text)
    ticket = OrderTicket(
        ticker=ticker, outcome=typed.outcome, action=typed.action, qty=typed.qty, price=typed.price
    )  # fmt: skip
    words = OwnTerms(typed.action, typed.outcome, typed.price).text(typed.qty, ticker)
    return TypedOrder(words, lambda kalshi: kalshi.orders.plan_ticket(ticket))


def terms_question(order: OrderRow, terms: OwnTerms) -> str:
    """Return the question for new terms of an order, which is shown in these terms."""
    return (
        f"{order.ticker}: {terms.text(order.remaining)}. New price of {terms.side.upper()}, and the count left "
        "to trade if it changes too, such as 0.32 or 0.32 10"
    )


def new_terms(order: OrderRow, terms: OwnTerms, text: str) -> TypedOrder:
    """Read new terms of an order, at the price of the side in which it is shown. UsageError for anything else."""
    price, qty = read_new_terms(text)
    change = AmendRequest(outcome=terms.side, price=price, qty=qty)
    order_id = order.order_id or order.client_order_id
    count = "" if qty is None else f", {show_qty(qty)} left"
    words = f"change order {(order_id or '')[:8]}: {order.ticker}, {terms.words} to {show_price(price)}{count}"
    return TypedOrder(words, lambda kalshi: kalshi.orders.plan_amend(order_id, change))
