"""What the commands print: one typed struct for each kind of row, its fields named as in JSON.

A field's declared type decides how it is written (see `cells`); `shown` names the columns of a terminal table, the most
important first, where the row has more than a screen is wide. Names and types are a contract: adding is free, renaming
is not. Constructors are pure: what the domain knows, turned into what a person typed and reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.cli.screen.cells import Gain, Prose
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.account.pnl import Pnl
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import BookSnapshot, Level
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill, Order

Outcome = Literal["yes", "no"]
Action = Literal["buy", "sell"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything printed. `shown` are the columns of a list on a terminal, what a person decides by first (a
    narrow one leaves out the last); without them, all. `screen` are the lines of one object there, without those that
    are missing; without it, all. `vital` are columns that stay however narrow the screen is. Prose
    that does not fit is cut; with `wraps` it goes on below.
    """

    shown: ClassVar[tuple[str, ...]] = ()
    screen: ClassVar[tuple[str, ...]] = ()
    vital: ClassVar[tuple[str, ...]] = ()
    wraps: ClassVar[bool] = False

    @classmethod
    def of(cls, source: object, **given: object) -> Self:
        """A row of what `source` calls by the same names, and of what is given."""
        names = (name for name in cls.__struct_fields__ if name not in given)
        return cls(**{name: getattr(source, name) for name in names}, **given)


# -- market data --------------------------------------------------------------------------------------------------


class MarketRow(Row, frozen=True, kw_only=True):
    ticker: str
    event_ticker: str
    title: Prose
    status: str
    yes_bid: Price | None
    yes_ask: Price | None
    last: Price | None
    volume: Qty
    volume_24h: Qty
    open_interest: Qty
    close_time: Ts

    shown: ClassVar[tuple[str, ...]] = ("ticker", "title", "yes_bid", "yes_ask", "last", "volume_24h", "close_time")


def market_row(market: Market) -> MarketRow:
    return MarketRow.of(market, title=full_title(market))


def full_title(market: Market) -> str:
    """The question, behind what tells this market from its siblings where that is kept apart: tables cut the end."""
    if market.subtitle and market.subtitle not in market.title:
        return f"{market.subtitle}: {market.title}"
    return market.title


class FillCost(Row, frozen=True, kw_only=True):
    """What an order of `count` would cost now; `slippage` is how far the average is from the best price."""

    action: str
    count: Qty
    fills: Qty
    average_price: Price | None
    worst_price: Price | None
    slippage: Price | None
    notional: Money


class OrderbookView(Row, frozen=True, kw_only=True):
    """Levels on the YES scale, best first; the asks are those implied by bids for NO."""

    ticker: str
    yes_bids: tuple[Level, ...]
    yes_asks: tuple[Level, ...]
    best_bid: Price | None
    best_ask: Price | None
    spread: Price | None
    mid: Price | None
    to_fill: tuple[FillCost, ...] = ()


def orderbook_view(snapshot: BookSnapshot, depth: int, size: Qty | None = None) -> OrderbookView:
    """The `depth` best levels of a whole book; with `size`, what buying or selling so many YES would cost."""
    book = OrderBook(snapshot.ticker)
    book.load(snapshot.bids, snapshot.asks, snapshot.ts)
    return OrderbookView.of(
        book,
        yes_bids=tuple(book.levels(BID, depth)),
        yes_asks=tuple(book.levels(ASK, depth)),
        to_fill=() if size is None else (_fill_cost(book, BID, size), _fill_cost(book, ASK, size)),
    )


def _fill_cost(book: OrderBook, side: Side, size: Qty) -> FillCost:
    sweep = book.cost(side, size)
    best = book.best_ask if side is BID else book.best_bid
    known = sweep.average is not None and best is not None
    return FillCost(
        action="buy yes" if side is BID else "sell yes",
        count=size,
        fills=sweep.filled,
        average_price=sweep.average,
        worst_price=sweep.worst,
        slippage=Price(abs((sweep.average or 0) - (best or 0))) if known else None,
        notional=sweep.notional,
    )


class LevelRow(Row, frozen=True, kw_only=True):
    """A level of a book; `total` is the count from the best price to here."""

    side: str
    price: Price
    count: Qty
    total: Qty


class MarketLevelRow(LevelRow, frozen=True, kw_only=True):
    """A level of one of several books."""

    ticker: str


# -- orders and account -------------------------------------------------------------------------------------------


class OrderRow(Row, frozen=True, kw_only=True):
    """`side` and `action` as typed, `price` the price of that side; `book_side` is the side of the YES book."""

    order_id: str | None
    client_order_id: str | None
    ticker: str
    side: Outcome
    action: Action
    book_side: Side
    price: Price
    count: Qty
    filled: Qty
    remaining: Qty
    status: str
    average_fill_price: Price | None
    fees: Money
    created: Ts
    expires: Ts | None
    self_trade_prevention: str | None
    cancel_on_pause: bool
    order_group_id: str | None
    subaccount: int
    exchange_index: int

    shown = ("ticker", "action", "side", "price", "filled", "remaining", "status", "order_id")


def order_row(order: Order, typed: tuple[Outcome, Action] | None = None) -> OrderRow:
    """The order as it was typed where that is known, else as a purchase or a sale of YES.

    The exchange keeps one book: it does not remember whether an ask meant "sell YES" or "buy NO".
    """
    side, action = typed or ("yes", "buy" if order.side is BID else "sell")
    return OrderRow(
        order_id=order.order_id or None,
        client_order_id=order.client_order_id or None,
        ticker=order.ticker,
        side=side,
        action=action,
        book_side=order.side,
        price=_of(side, order.price),
        count=order.qty,
        filled=order.filled,
        remaining=order.remaining,
        status=order.status.value,
        average_fill_price=_of(side, _per(order.fill_cost, order.filled)) if order.filled else None,
        fees=order.fees,
        created=order.created,
        expires=order.expires,
        self_trade_prevention=order.self_trade_prevention,
        cancel_on_pause=order.cancel_on_pause,
        order_group_id=order.order_group_id or None,
        subaccount=order.subaccount,
        exchange_index=order.exchange_index,
    )


def _of(side: Outcome, price: Price) -> Price:
    """A YES price as the price of this side."""
    return price if side == "yes" else Price(ONE_DOLLAR - price)


def _per(amount: Money, count: Qty) -> Price:
    """Money over contracts, to the nearest price."""
    return Price((2 * amount + count) // (2 * count))


class PositionRow(Row, frozen=True, kw_only=True):
    """`position` is signed, plus for YES; prices and `mark` are those of the `side` that is held."""

    ticker: str
    position: Qty
    side: Outcome
    count: Qty
    average_price: Price | None
    cost: Money
    mark: Price | None
    value: Money | None
    unrealized: Gain | None
    realized: Gain
    fees: Money
    subaccount: int

    shown: ClassVar[tuple[str, ...]] = (
        "ticker", "side", "count", "unrealized", "realized", "average_price", "mark", "value", "fees",
    )  # fmt: skip


class SubaccountPositionRow(PositionRow, frozen=True, kw_only=True):
    """The same where not all is held in the primary account."""

    shown = ("ticker", "subaccount", *PositionRow.shown[1:])


def position_row(position: Position, mark: Price | None) -> PositionRow:
    """`mark` on the YES scale: what the position could be closed at; None where nobody quotes."""
    side: Outcome = "yes" if position.qty >= 0 else "no"
    return PositionRow.of(
        position,
        position=position.qty,
        side=side,
        count=abs(position.qty),
        mark=None if mark is None else _of(side, mark),
        value=position.value(mark),
        unrealized=position.unrealized(mark),
    )


class FillRow(Row, frozen=True, kw_only=True):
    """A trade of ours; `price` on the YES scale, `cost` what left the account for it before the fee."""

    trade_id: str
    order_id: str
    ticker: str
    book_side: Side
    price: Price
    count: Qty
    cost: Money
    fee: Money
    is_taker: bool
    time: Ts

    shown = ("ticker", "book_side", "price", "count", "fee", "time", "is_taker")


def fill_row(fill: Fill) -> FillRow:
    paid = fill.price if fill.side is BID else Price(ONE_DOLLAR - fill.price)
    return FillRow.of(fill, book_side=fill.side, count=fill.qty, cost=notional(paid, fill.qty), time=fill.ts)


class PnlRow(Row, frozen=True, kw_only=True):
    key: str
    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain

    vital: ClassVar[tuple[str, ...]] = ("net",)


class PnlView(Row, frozen=True, kw_only=True):
    """The whole and its parts; `realized + unrealized - fees = net`, in every row and in the sum."""

    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain
    rows: tuple[PnlRow, ...]


def pnl_view(whole: Pnl, parts: Mapping[str, Pnl]) -> PnlView:
    return PnlView.of(whole, rows=tuple(PnlRow.of(part, key=key) for key, part in parts.items()))


class CancelRow(Row, frozen=True, kw_only=True):
    """One cancel; `detail` says why it was not confirmed."""

    order_id: str
    canceled: bool
    detail: Prose | None


class CancelAllView(Row, frozen=True, kw_only=True):
    canceled: int
    remaining: int | None
    halted: bool
    seconds: float
