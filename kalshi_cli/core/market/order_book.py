"""The order book of one market on the YES scale, from a snapshot and deltas.

It has two dictionaries of integer prices and caches the best price of each side: `apply` runs for every change that the
exchange publishes, everything else only on demand. An unusable book is empty and gives the reason, so that a caller who
does not check cannot price from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, format_price, format_qty
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedGap, Level, Message
from kalshi_cli.core.model.order_terms import BID, Side
from kalshi_cli.core.model.orders import Order

_ONE = int(ONE_DOLLAR)


class PriceLevel(NamedTuple):
    """A price and the quantity at it."""

    price: Price
    qty: Qty


class FillEstimate(NamedTuple):
    """The fill that an order would get from the book: `filled` contracts for `notional` (price times quantity).

    All values are on the YES scale. `worst` is the last price reached. `average` is rounded against us: up for a bid,
    down for an ask. Both are None if nothing fills.
    """

    filled: Qty
    notional: Money
    worst: Price | None
    average: Price | None


class OrderBook:
    """Bids and asks of one market. Unusable until a snapshot; `ts` is the time of the last change (0 before any)."""

    __slots__ = ("_asks", "_bids", "best_ask", "best_bid", "is_usable", "ticker", "ts", "unusable_reason")

    def __init__(self, ticker: str) -> None:
        self.ticker = ticker
        self.ts = Ts(0)
        self.is_usable = False
        self.unusable_reason = "no snapshot yet"
        self.best_bid: Price | None = None
        self.best_ask: Price | None = None
        self._bids: dict[Price, int] = {}
        self._asks: dict[Price, int] = {}

    def load(self, bids: Iterable[Level], asks: Iterable[Level], ts: Ts) -> None:
        """Replace the book with a snapshot and make it usable, or unusable if the snapshot is impossible."""
        self.ts = ts
        sides: list[dict[Price, int]] = []
        for given in (bids, asks):
            levels: dict[Price, int] = {}
            for price, qty in given:
                if not 0 < price < _ONE or qty <= 0 or price in levels:
                    self.invalidate(f"snapshot with an impossible level: {format_qty(qty)} at {format_price(price)}")
                    return
                levels[price] = qty
            sides.append(levels)
        self._bids, self._asks = sides
        self.best_bid = max(self._bids, default=None)
        self.best_ask = min(self._asks, default=None)
        self.is_usable = True
        self.unusable_reason = ""

    def apply(self, side: Side, price: Price, delta: Qty, ts: Ts) -> None:
        """Add `delta` contracts to a level; a negative delta removes them.

        An unusable book ignores it. A negative level or an impossible price means that messages were lost: the book
        becomes unusable. Bids and asks have separate code, because this is the hot path.
        """
        if not self.is_usable:
            return
        self.ts = ts
        if side is BID:
            bids = self._bids
            qty = bids.get(price, 0) + delta
            if qty > 0 and 0 < price < _ONE:
                bids[price] = qty
                if self.best_bid is None or price > self.best_bid:
                    self.best_bid = price
            elif qty == 0 and 0 < price < _ONE:
                bids.pop(price, None)
                if price == self.best_bid:
                    self.best_bid = max(bids, default=None)
            else:
                self._lost(price, delta)
        else:
            asks = self._asks
            qty = asks.get(price, 0) + delta
            if qty > 0 and 0 < price < _ONE:
                asks[price] = qty
                if self.best_ask is None or price < self.best_ask:
                    self.best_ask = price
            elif qty == 0 and 0 < price < _ONE:
                asks.pop(price, None)
                if price == self.best_ask:
                    self.best_ask = min(asks, default=None)
            else:
                self._lost(price, delta)

    def _lost(self, price: Price, delta: Qty) -> None:
        self.invalidate(f"impossible change: {format_qty(delta)} at {format_price(price)}")

    def invalidate(self, reason: str) -> None:
        """Empty the book and make it unusable until the next snapshot."""
        self.is_usable = False
        self.unusable_reason = reason
        self.best_bid = self.best_ask = None
        self._bids, self._asks = {}, {}

    @property
    def bid(self) -> PriceLevel | None:
        """Return the best bid with its quantity."""
        return None if self.best_bid is None else PriceLevel(self.best_bid, Qty(self._bids[self.best_bid]))

    @property
    def ask(self) -> PriceLevel | None:
        """Return the best ask with its quantity."""
        return None if self.best_ask is None else PriceLevel(self.best_ask, Qty(self._asks[self.best_ask]))

    @property
    def top(self) -> tuple[Price | None, int, Price | None, int]:
        """Return the best bid, its quantity, the best ask and its quantity."""
        bid, ask = self.best_bid, self.best_ask
        return bid, 0 if bid is None else self._bids[bid], ask, 0 if ask is None else self._asks[ask]

    @property
    def mid(self) -> Price | None:
        """Return the middle of the best prices, rounded down; None without both."""
        if self.best_bid is None or self.best_ask is None:
            return None
        return Price((self.best_bid + self.best_ask) // 2)

    @property
    def spread(self) -> Price | None:
        """Return the best ask less the best bid, negative if crossed; None without both."""
        if self.best_bid is None or self.best_ask is None:
            return None
        return Price(self.best_ask - self.best_bid)

    @property
    def is_crossed(self) -> bool:
        """Return whether the best bid reaches the best ask; a locked book counts.

        Between deltas of the same `ts` this is normal.
        """
        return self.best_bid is not None and self.best_ask is not None and self.best_bid >= self.best_ask

    @property
    def is_decidable(self) -> bool:
        """Return whether the book is usable and not crossed, so that a decision may depend on it."""
        bid, ask = self.best_bid, self.best_ask
        return self.is_usable and (bid is None or ask is None or bid < ask)

    def levels(self, side: Side, depth: int | None = None) -> list[Level]:
        """Return the levels of a side, best first, at most `depth` of them."""
        levels = sorted(self._bids.items(), reverse=True) if side is BID else sorted(self._asks.items())
        return [(price, Qty(qty)) for price, qty in levels[:depth]]

    def best_excluding(self, side: Side, own: Mapping[Price, int]) -> Price | None:
        """Return the best price of a side that has more quantity than the own orders in `own`."""
        best = self.best_bid if side is BID else self.best_ask
        if best is None or self.qty_at(side, best) > own.get(best, 0):
            return best
        levels = self.levels(side, len(own) + 1)
        return next((price for price, count in levels if count > own.get(price, 0)), None)

    def without(self, own: Iterable[Order]) -> OrderBook:
        """Return a copy without own orders in this market, as far as the book shows them."""
        book = OrderBook(self.ticker)
        book.ts, book.is_usable, book.unusable_reason = self.ts, self.is_usable, self.unusable_reason
        book.best_bid, book.best_ask = self.best_bid, self.best_ask
        book._bids, book._asks = dict(self._bids), dict(self._asks)
        for order in own:
            shown = min(order.remaining, book.qty_at(order.side, order.price)) if order.ticker == self.ticker else 0
            if shown:
                book.apply(order.side, order.price, Qty(-shown), self.ts)
        return book

    def qty_at(self, side: Side, price: Price) -> Qty:
        """Return the quantity at a price, 0 for an empty level."""
        return Qty((self._bids if side is BID else self._asks).get(price, 0))

    def cost(self, side: Side, qty: Qty) -> FillEstimate:
        """Estimate the cost of an order for `qty` now; a bid takes the asks. `filled` may be less than `qty`."""
        left, total, worst = int(qty), 0, None
        for price, standing in self.levels(side.opposite):
            if left <= 0:
                break
            taken = min(left, standing)
            left -= taken
            total += price * taken
            worst = price
        filled = qty - left
        if worst is None:
            return FillEstimate(Qty(0), Money(0), None, None)
        average = -(-total // filled) if side is BID else total // filled
        return FillEstimate(Qty(filled), Money(total), worst, Price(average))


def book_without(seen: BookSnapshot, own: Iterable[Order]) -> OrderBook:
    """Return the book of a snapshot without own resting orders, as far as it shows them."""
    book = OrderBook(seen.ticker)
    book.load(seen.bids, seen.asks, seen.ts)
    return book.without(own)


def follow(books: dict[str, OrderBook], message: Message) -> None:
    """Change order books by a message: a snapshot begins one, a change of an unknown one is left out."""
    if isinstance(message, BookDelta):
        if message.ticker in books:
            books[message.ticker].apply(message.side, message.price, message.delta, message.ts)
    elif isinstance(message, BookSnapshot):
        book = books.setdefault(message.ticker, OrderBook(message.ticker))
        book.load(message.bids, message.asks, message.ts)
    elif isinstance(message, FeedGap):
        for ticker in books.keys() & set(message.tickers):
            books[ticker].invalidate(message.reason)
