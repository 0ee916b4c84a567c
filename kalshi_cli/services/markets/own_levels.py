"""The levels of an order book at which own orders rest."""

from __future__ import annotations

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Price, Qty
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.services.resources import Resources
from kalshi_cli.views.order_book import OwnLevels
from kalshi_cli.views.row import Outcome, own_price

READ_S = 2.0
"""The most seconds that the order book waits for the own orders."""


def own_levels(resources: Resources, ticker: str, outcome: Outcome) -> OwnLevels:
    """Return the own quantity at each level, by `bid` or `ask` and the price of the outcome.

    Empty without a key, and where the orders cannot be read soon: the order book is shown all the same.
    """
    found: dict[tuple[str, Price], Qty] = {}
    try:
        with resources.client.reading_within(READ_S):
            orders = list(resources.client.orders(status="resting", ticker=ticker))
    except KalshiError:
        return {}
    for order in orders:
        level = "bid" if (order.side is BID) == (outcome == "yes") else "ask", own_price(outcome, order.price)
        found[level] = Qty(found.get(level, 0) + order.remaining)
    return found
