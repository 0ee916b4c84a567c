"""A market of the paper venue: the real book, and our orders in it."""

from __future__ import annotations

from bisect import insort

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.market import fees, order_book
from kalshi_cli.core.model import markets, messages, order_terms, orders
from kalshi_cli.simulator.paper.queue_position import QueuePlace, Taken, reaches

FAR_FUTURE = Ts(2**62)


class Placed:
    """An order at this venue. It has no `queue` until a usable book gives its position."""

    __slots__ = ("opening", "order", "queue", "rounding")

    def __init__(self, order: orders.Order, opening: Qty) -> None:
        self.order = order
        self.opening = opening
        self.queue: QueuePlace | None = None
        self.rounding = fees.RoundingAccumulator()

    @property
    def left(self) -> Qty:
        """Return the remaining size."""
        return Qty(self.order.qty - self.order.filled)

    @property
    def reserved(self) -> Money:
        """Return the cash reserved for the contracts that it may still open."""
        return cost(self.order.side, self.order.price, Qty(min(self.left, self.opening)))


class PaperMarket:
    """A market: the real book, and our orders in the order of their arrival."""

    __slots__ = ("book", "is_between", "market", "orders", "taken")

    def __init__(self, book: order_book.OrderBook) -> None:
        self.book = book
        self.market: markets.Market | None = None
        self.is_between = False
        self.orders: list[Placed] = []
        self.taken = Taken()

    @property
    def is_decidable(self) -> bool:
        """Return whether the book is usable, not crossed, and not between two deltas of one event."""
        return self.book.is_usable and not self.is_between and not self.book.is_crossed

    @property
    def close_time(self) -> Ts:
        """Return the close of the market, or a time far in the future if it is unknown."""
        return self.market.close_time if self.market is not None else FAR_FUTURE

    def on(self, side: order_terms.Side) -> list[Placed]:
        """Return our orders of one side, best first."""
        return [placed for placed in self.orders if placed.order.side is side]

    def is_open(self, now: Ts) -> bool:
        """Return whether the market takes orders. A close by the clock sends no message, so the clock decides too."""
        market = self.market
        return market is None or (market.status is markets.MarketStatus.ACTIVE and now < market.close_time)

    def rest(self, placed: Placed) -> None:
        """Add an order to its side: the better price first, then the earlier arrival."""
        insort(self.orders, placed, key=lambda one: (one.order.side.value, -one.order.side.sign * one.order.price))

    def takes(self, order: orders.Order, wanted: Qty) -> tuple[list[messages.Level], bool]:
        """Return what a new order would take, and whether its remainder would then meet an order of our own.

        The exchange cancels an incoming order that would trade with its owner (`taker_at_cross`).
        """
        own = [other.order.price for other in self.on(order.side.opposite)]
        meets = (min(own) if order.side is order_terms.BID else max(own)) if own else None
        is_met = meets is not None and reaches(order.side, order.price, meets)
        limit = Price(meets - order.side.sign) if meets is not None and is_met else order.price
        takes = self.taken.available(self.book, order.side, limit, wanted) if self.is_decidable else []
        return takes, is_met and sum(qty for _, qty in takes) < wanted


def cost(side: order_terms.Side, price: Price, qty: Qty) -> Money:
    """Return the cash to open `qty`: the price of YES for a bid, of NO for an ask."""
    return notional(price if side is order_terms.BID else Price(ONE_DOLLAR - price), qty)
