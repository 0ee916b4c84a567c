"""Views of order books. Rules as in `row`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from kalshi_cli.base.units import Money, Price, Qty
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import BookSnapshot, Level
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.views.row import Outcome, OutputRow, own_price


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

    outcome: ClassVar[Outcome] = "yes"

    ticker: str
    yes_bids: tuple[Level, ...]
    yes_asks: tuple[Level, ...]
    best_bid: Price | None
    best_ask: Price | None
    spread: Price | None
    mid: Price | None
    to_fill: tuple[FillCostRow, ...] = ()

    @property
    def bids(self) -> tuple[Level, ...]:
        """Return the bids for the outcome of the view."""
        return self.yes_bids

    @property
    def asks(self) -> tuple[Level, ...]:
        """Return the asks for the outcome of the view."""
        return self.yes_asks


class NoOrderbookView(OutputRow, frozen=True, kw_only=True):
    """Levels at the prices of NO, best first; the asks are implied by bids for YES, at one dollar less their price."""

    outcome: ClassVar[Outcome] = "no"

    ticker: str
    no_bids: tuple[Level, ...]
    no_asks: tuple[Level, ...]
    best_bid: Price | None
    best_ask: Price | None
    spread: Price | None
    mid: Price | None
    to_fill: tuple[FillCostRow, ...] = ()

    @property
    def bids(self) -> tuple[Level, ...]:
        """Return the bids for the outcome of the view."""
        return self.no_bids

    @property
    def asks(self) -> tuple[Level, ...]:
        """Return the asks for the outcome of the view."""
        return self.no_asks


BookView = OrderbookView | NoOrderbookView

OwnLevels = Mapping[tuple[str, Price], Qty]
"""The quantity of own orders by `bid` or `ask` and the price."""

NO_LEVELS: OwnLevels = MappingProxyType({})


def orderbook_view(snapshot: BookSnapshot, depth: int, size: Qty | None = None) -> OrderbookView:
    """Return the `depth` best levels of a book; with `size`, the cost of buying or selling that many YES."""
    return book_view(_book(snapshot), depth, size)


def no_orderbook_view(snapshot: BookSnapshot, depth: int, size: Qty | None = None) -> NoOrderbookView:
    """Return a book at the prices of NO; with `size`, the cost of buying or selling that many NO."""
    return no_book_view(_book(snapshot), depth, size)


def _book(snapshot: BookSnapshot) -> OrderBook:
    book = OrderBook(snapshot.ticker)
    book.load(snapshot.bids, snapshot.asks, snapshot.ts)
    return book


def book_view(book: OrderBook, depth: int, size: Qty | None = None) -> OrderbookView:
    """Return the `depth` best levels of an order book, as `orderbook_view` does."""
    return OrderbookView.of(
        book,
        yes_bids=tuple(book.levels(BID, depth)),
        yes_asks=tuple(book.levels(ASK, depth)),
        to_fill=_fill_costs(book, size, "yes"),
    )


def no_book_view(book: OrderBook, depth: int, size: Qty | None = None) -> NoOrderbookView:
    """Return the `depth` best levels of an order book at the prices of NO, as `no_orderbook_view` does."""
    turned = OrderBook(book.ticker)
    if book.is_usable:
        bids, asks = ([(own_price("no", price), qty) for price, qty in book.levels(side)] for side in (ASK, BID))
        turned.load(bids, asks, book.ts)
    return NoOrderbookView.of(
        turned,
        no_bids=tuple(turned.levels(BID, depth)),
        no_asks=tuple(turned.levels(ASK, depth)),
        to_fill=_fill_costs(turned, size, "no"),
    )


def _fill_costs(book: OrderBook, size: Qty | None, outcome: Outcome) -> tuple[FillCostRow, ...]:
    return () if size is None else tuple(_fill_cost(book, side, size, outcome) for side in (BID, ASK))


def _fill_cost(book: OrderBook, side: Side, size: Qty, outcome: Outcome) -> FillCostRow:
    sweep = book.cost(side, size)
    best = book.best_ask if side is BID else book.best_bid
    known = sweep.average is not None and best is not None
    return FillCostRow(
        action=f"{'buy' if side is BID else 'sell'} {outcome}",
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
