"""Helpers of the built-in strategies: edges after fees, entries, exits, cancels, and a pause after each order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, contracts
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.intents import Cancel, Place
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.view import StrategyContext

Offer = tuple[Side, Price | None]
"""A side to trade on and its price, None without a quote."""


class OrderThrottle:
    """A pause in a market after each order, so that a refused order is not requested again at once."""

    def __init__(self, pause_ms: int = 3_000) -> None:
        self._pause_ms = pause_ms
        self._until: dict[str, Ts] = {}

    def is_waiting(self, view: StrategyContext, ticker: str) -> bool:
        """Return whether the pause in a market lasts. It ends early if the clock was set back."""
        return 0 < self._until.get(ticker, 0) - view.now <= self._pause_ms

    def has_ended(self, view: StrategyContext, ticker: str) -> bool:
        """Return whether there was a pause in a market and it is over; true once for each pause."""
        has_ended = ticker in self._until and not self.is_waiting(view, ticker)
        if has_ended:
            del self._until[ticker]
        return has_ended

    def send(self, view: StrategyContext, order: Place | None) -> Iterator[Place]:
        """Yield the order, if any, and start a pause in its market; yield nothing during a pause."""
        if order is not None and not self.is_waiting(view, order.ticker):
            self._until[order.ticker] = Ts(view.now + self._pause_ms)
            yield order


def edge_after_fee(
    view: StrategyContext, ticker: str, side: Side, price: Price, fair: Price, *, is_taker: bool = True
) -> int:
    """Return the edge of one contract in ten-thousandths of a dollar; a loss is negative.

    `fair` is the fair value of one YES contract. The fee is rounded up.
    """
    fee = -(-estimate(view.fees(ticker), price, contracts(1), is_taker=is_taker) // 100)
    return (fair - price) * side.sign - fee


def best_entry(
    view: StrategyContext, ticker: str, fair: Price, offers: Iterable[Offer], min_price: Price, *, is_taker: bool = True
) -> tuple[int, Side, Price] | None:
    """Return the edge, side and price of the best offer; None if its price is within `min_price` of $0 or $1."""
    found = [
        (edge_after_fee(view, ticker, side, price, fair, is_taker=is_taker), side, price)
        for side, price in offers
        if price is not None
    ]
    best = max(found, key=lambda offer: offer[0], default=None)
    return best if best is not None and is_inside(best[2], min_price) else None


def is_inside(price: Price, margin: Price) -> bool:
    """Return whether a price is at least `margin` away from $0 and $1."""
    return margin <= price <= ONE_DOLLAR - margin


def exit_at_best(view: StrategyContext, ticker: str, held: Qty, reason: str, fair: Price | None = None) -> Place | None:
    """Return an order that closes the whole position at once at the best price; None without a quote."""
    book = view.book(ticker)
    side, price = (ASK, book.best_bid) if held > 0 else (BID, book.best_ask)
    if price is None:
        return None
    return Place(ticker, side, price, Qty(abs(held)), fair=fair, reason=reason, tif=TimeInForce.IOC, reduce_only=True)


def exit_at_fair(
    view: StrategyContext, ticker: str, held: Qty, reason: str, fair: Price, max_loss: Price
) -> Place | None:
    """Return an order that closes the position, None if it would lose more than `max_loss` against the fair value."""
    order = exit_at_best(view, ticker, held, reason, fair)
    if order is None or edge_after_fee(view, ticker, order.side, order.price, fair) < -max_loss:
        return None
    return order


def cancel_reason(view: StrategyContext, order: Order, fair: Price, rest_s: float, *, is_taker: bool = True) -> str:
    """Return why an order should be canceled: it rested longer than `rest_s`, or has no edge. Empty to keep it."""
    if view.now - order.created > rest_s * 1000:
        return "not filled in time"
    edge = edge_after_fee(view, order.ticker, order.side, order.price, fair, is_taker=is_taker)
    return "" if edge > 0 else "edge is gone"


def cancel_all(orders: Iterable[Order], reason: str) -> Iterator[Cancel]:
    """Yield a cancel of each order."""
    return (Cancel(order.client_order_id, reason=reason) for order in orders)


def count_active(view: StrategyContext, tickers: Iterable[str]) -> int:
    """Return the number of markets with an order or a position of the strategy."""
    return sum(bool(view.position(ticker) or view.orders(ticker)) for ticker in tickers)
