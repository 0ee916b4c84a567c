"""A paper venue with one market, and short words for what happens to it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from kalshi_cli import testing
from kalshi_cli.base.units import Money, Ts, cents, contracts, dollars
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.effects import CancelOrder, SubmitOrder
from kalshi_cli.core.model.markets import FeeSchedule, Market
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, MarketChange, Message, PublicTrade, Tick
from kalshi_cli.core.model.order_terms import BID, Side
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.simulator.paper.venue import PaperVenue

T0 = Ts(1_780_000_000_000)
TICKER = "KXA-1"
LATENCY_MS = 100


def market(**changes: Any) -> Market:
    """One that closes after an hour."""
    return testing.market(**({"close_time": Ts(T0 + 3_600_000)} | changes))


class Desk:
    """Time moves by `wait`; everything else happens now. Each call returns what the venue said."""

    def __init__(self, *, cash: Money | None = None, latency_ms: Any = LATENCY_MS, **options: Any) -> None:
        numbers = count(1)
        self.now = T0
        self.said: list[Message] = []
        self.venue = PaperVenue(
            cash=dollars(1000) if cash is None else cash,
            fees=lambda _ticker: FeeSchedule(),
            new_id=lambda: f"v{next(numbers)}",
            latency_ms=latency_ms,
            **options,
        )
        self.real = OrderBook(TICKER)
        self._ids = count(1)
        self.see(MarketChange(self.now, market()))

    def see(self, message: Message) -> list[Message]:
        if isinstance(message, BookDelta):
            self.real.apply(message.side, message.price, message.delta, message.ts)
        elif isinstance(message, BookSnapshot):
            self.real.load(message.bids, message.asks, message.ts)
        said = list(self.venue.observe(message))
        self.said += said
        return said

    def wait(self, ms: int = LATENCY_MS) -> list[Message]:
        self.now = Ts(self.now + ms)
        return self.see(Tick(self.now))

    def book(self, bids: dict[int, int], asks: dict[int, int]) -> list[Message]:
        """A snapshot: cents to contracts."""
        levels = [tuple((cents(price), contracts(qty)) for price, qty in side.items()) for side in (bids, asks)]
        return self.see(BookSnapshot(self.now, TICKER, *levels))

    def delta(self, side: Side, price: int, by: int, *, has_more: bool = False) -> list[Message]:
        return self.see(BookDelta(self.now, TICKER, side, cents(price), contracts(by), has_more))

    def trade(self, price: int, qty: int, taker: Side) -> list[Message]:
        return self.see(PublicTrade(self.now, TICKER, f"p{next(self._ids)}", cents(price), contracts(qty), taker))

    def make(self, side: Side = BID, price: int = 40, qty: int = 10, **changes: Any) -> Order:
        """An order that nobody sent."""
        fields: dict[str, Any] = {
            "client_order_id": f"c{next(self._ids)}",
            "ticker": TICKER,
            "side": side,
            "price": cents(price),
            "qty": contracts(qty),
            "status": OrderStatus.SUBMITTED,
            "created": self.now,
            "updated": self.now,
        }
        return Order(**(fields | changes))

    def order(self, side: Side = BID, price: int = 40, qty: int = 10, **changes: Any) -> Order:
        """Send an order; it is still on its way."""
        order = self.make(side, price, qty, **changes)
        assert list(self.venue.perform(SubmitOrder(order))) == []
        return order

    def place(self, side: Side = BID, price: int = 40, qty: int = 10, **changes: Any) -> list[Message]:
        """Send an order and let it arrive."""
        self.order(side, price, qty, **changes)
        return self.wait()

    def cancel(self, order: Order, reason: str = "no longer wanted") -> list[Message]:
        """Send a cancel; it is still on its way."""
        return list(self.venue.perform(CancelOrder(order, reason)))


def told(messages: Iterable[Message]) -> list[str]:
    """The kinds of messages, by name."""
    return [type(message).__name__ for message in messages]
