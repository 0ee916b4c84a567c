"""The last prices of recorded markets, for the value of positions whose order book is lost, empty or closed.

Live, a market is read again after such a change. A recording has at most the quotes of its start.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Price
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import ENDED, Market
from kalshi_cli.core.model.messages import Quote


class LastPrices:
    """The best bid and ask of each market before it closed, or before its book was lost or emptied."""

    def __init__(self) -> None:
        self._tops: dict[str, tuple[Price | None, Price | None]] = {}

    def keep(self, market: Market, book: OrderBook, *, is_lost: bool) -> None:
        """Keep the top of a book that is about to be lost; forget it if the book is renewed.

        After the close the exchange cancels all orders, one by one, so that the top is no price any more.
        """
        if market.status in ENDED:
            return
        if not is_lost:
            self._tops.pop(market.ticker, None)
        elif not _is_empty(book):
            self._tops[market.ticker] = (book.best_bid, book.best_ask)

    def priced(self, market: Market, book: OrderBook | None, quote: Quote | None) -> tuple[OrderBook | None, Market]:
        """Return the book if it can still price a position, and the market with its last prices."""
        bid, ask, last = (None,) * 3 if quote is None else (quote.bid, quote.ask, quote.last)
        if book is not None and market.status not in ENDED and not _is_empty(book):
            return book, market if last is None else msgspec.structs.replace(market, last=last)
        bid, ask = self._tops.get(market.ticker, (bid, ask))
        return None, msgspec.structs.replace(market, yes_bid=bid, yes_ask=ask, last=last)


def _is_empty(book: OrderBook) -> bool:
    return book.best_bid is None and book.best_ask is None
