"""Views of order books. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Price, Qty
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import BookSnapshot, Level
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.views.row import OutputRow


class FillCostRow(OutputRow, frozen=True, kw_only=True):
    """The cost of an order of `count` now; `slippage` is the distance of the average from the best price."""

    action: str
    count: Qty
    fills: Qty
    average_price: Price | None
    worst_price: Price | None
    slippage: Price | None
    notional: Money


class OrderbookView(OutputRow, frozen=True, kw_only=True):
    """Levels on the YES scale, best first; the asks are implied by bids for NO."""

    ticker: str
    yes_bids: tuple[Level, ...]
    yes_asks: tuple[Level, ...]
    best_bid: Price | None
    best_ask: Price | None
    spread: Price | None
    mid: Price | None
    to_fill: tuple[FillCostRow, ...] = ()


def orderbook_view(snapshot: BookSnapshot, depth: int, size: Qty | None = None) -> OrderbookView:
    """Return the `depth` best levels of a book; with `size`, the cost of buying or selling that many YES."""
    book = OrderBook(snapshot.ticker)
    book.load(snapshot.bids, snapshot.asks, snapshot.ts)
    return book_view(book, depth, size)


def book_view(book: OrderBook, depth: int, size: Qty | None = None) -> OrderbookView:
    """Return the `depth` best levels of an order book, as `orderbook_view` does."""
    return OrderbookView.of(
        book,
        yes_bids=tuple(book.levels(BID, depth)),
        yes_asks=tuple(book.levels(ASK, depth)),
        to_fill=() if size is None else (_fill_cost(book, BID, size), _fill_cost(book, ASK, size)),
    )


def _fill_cost(book: OrderBook, side: Side, size: Qty) -> FillCostRow:
    sweep = book.cost(side, size)
    best = book.best_ask if side is BID else book.best_bid
    known = sweep.average is not None and best is not None
    return FillCostRow(
        action="buy yes" if side is BID else "sell yes",
        count=size,
        fills=sweep.filled,
        average_price=sweep.average,
        worst_price=sweep.worst,
        slippage=Price(abs((sweep.average or 0) - (best or 0))) if known else None,
        notional=sweep.notional,
    )


class LevelRow(OutputRow, frozen=True, kw_only=True):
    """A level of a book; `total` is the count from the best price to this level."""

    side: str
    price: Price
    count: Qty
    total: Qty


class MarketLevelRow(LevelRow, frozen=True, kw_only=True):
    """A level of one of several books."""

    ticker: str
