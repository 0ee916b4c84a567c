"""Views of the results of scans, net of fees. Rules as in `row`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from kalshi_cli.base.units import Money, Price, Qty, Ts, format_price
from kalshi_cli.core.market.baskets import Basket
from kalshi_cli.core.model.markets import Event
from kalshi_cli.core.model.order_terms import BID, leg_price
from kalshi_cli.views.formats import Ratio, SignedMoney, TruncatableText
from kalshi_cli.views.row import OutputRow, names


class BasketLegRow(OutputRow, frozen=True, kw_only=True):
    """An order of a basket: buys `side` up to its `price`. `cost` is without the `fee`."""

    ticker: str
    side: str
    price: Price
    cost: Money
    fee: Money


class ArbitrageRow(OutputRow, frozen=True, kw_only=True):
    """A basket with `count` contracts of every leg.

    `profit` is the result of the worst outcome after all fees, `profit_each` that of one contract of the basket, and
    `profit_share` its ratio to cost and fees.
    """

    event_ticker: str
    title: TruncatableText
    kind: str
    count: Qty
    profit: SignedMoney
    profit_each: Price
    profit_share: Ratio
    cost: Money
    fees: Money
    close_time: Ts
    legs: TruncatableText
    orders: tuple[BasketLegRow, ...]

    named = names(count="qty", profit="net", profit_each="edge")
    shown = ("event_ticker", "kind", "profit", "legs", "profit_share", "count", "close_time")
    vital = ("profit",)
    wraps = True


def arbitrage_row(basket: Basket, event: Event, closes: Ts) -> ArbitrageRow:
    """Return a basket as a row, with each leg in words too: a table and a CSV have no nested rows."""
    orders = tuple(
        BasketLegRow.of(leg, side="yes" if leg.side is BID else "no", price=leg_price(leg.side, leg.price))
        for leg in basket.legs
    )
    return ArbitrageRow.of(
        basket,
        event_ticker=event.event_ticker,
        title=event.title,
        profit_share=Ratio(basket.net / (basket.cost + basket.fees)),
        close_time=closes,
        legs=TruncatableText(
            " + ".join(f"{order.side} {order.ticker} at {format_price(order.price)}" for order in orders)
        ),
        orders=orders,
    )


MARKET = names(
    ticker="listed.market.ticker", event_ticker="listed.market.event_ticker", title="listed.market.full_title",
    yes_bid="listed.market.yes_bid", yes_ask="listed.market.yes_ask", volume_24h="listed.market.volume_24h",
    close_time="listed.market.close_time",
)  # fmt: skip
"""The sources of the fields about the market itself."""


class ScannedRow(OutputRow, frozen=True, kw_only=True):
    """The first fields of every row about one market."""

    ticker: str
    event_ticker: str
    title: TruncatableText

    named: ClassVar[Mapping[str, str]] = MARKET


class SpreadRow(ScannedRow, frozen=True, kw_only=True):
    """A market and its spread.

    `maker_keeps` is the gain of one contract, bought at the bid and sold at the ask, after maker fees.
    """

    yes_bid: Price
    yes_ask: Price
    spread: Price
    spread_share: Ratio
    maker_keeps: Price
    volume_24h: Qty
    close_time: Ts

    named = MARKET | names(
        yes_bid="bid", yes_ask="ask", spread="width", spread_share="share", maker_keeps="keeps",
    )  # fmt: skip
    shown = ("ticker", "title", "spread", "maker_keeps", "yes_bid", "yes_ask", "spread_share", "volume_24h")
    vital = ("spread", "maker_keeps")


class MoverRow(ScannedRow, frozen=True, kw_only=True):
    """A market whose price moved.

    `last` is compared with `previous`, the last price a day ago; `change` is negative for a fall.
    """

    previous: Price
    last: Price
    change: Price
    yes_bid: Price | None
    yes_ask: Price | None
    volume_24h: Qty
    close_time: Ts

    shown = ("ticker", "title", "change", "previous", "last", "yes_bid", "yes_ask", "volume_24h")
    vital = ("change", "previous", "last")


class CheapRow(ScannedRow, frozen=True, kw_only=True):
    """A cheap offer: `count` contracts of `side` at `price`.

    `fee` is for all of them, `fee_share` its ratio to their cost.
    """

    side: str
    price: Price
    count: Qty
    fee: Money
    fee_share: Ratio
    volume_24h: Qty
    close_time: Ts

    named = MARKET | names(count="size")
    shown = ("ticker", "title", "side", "price", "count", "fee_share", "fee", "volume_24h", "close_time")
    vital = ("side", "price", "count")


class ClosingRow(ScannedRow, frozen=True, kw_only=True):
    """A market that closes soon."""

    close_time: Ts
    yes_bid: Price | None
    yes_ask: Price | None
    last: Price | None
    volume_24h: Qty
    open_interest: Qty

    named = names(title="full_title")
    shown = ("ticker", "title", "close_time", "yes_bid", "yes_ask", "last", "volume_24h")
    vital = ("close_time", "yes_bid", "yes_ask")


class VenueRow(OutputRow, frozen=True, kw_only=True):
    """Prices of both venues on the YES scale of the Kalshi market, with the gain of each direction after all fees.

    Per contract, `buy_edge` buys YES on Kalshi and sells it there, `sell_edge` is the opposite. `profit` is that of the
    better direction for the size at both best prices; `age_s` is the age that Polymarket states for its book.
    """

    ticker: str
    title: TruncatableText
    side: str
    polymarket: str
    kalshi_bid: Price | None
    kalshi_ask: Price | None
    polymarket_bid: Price | None
    polymarket_ask: Price | None
    buy_edge: Price | None
    buy_count: Qty | None
    sell_edge: Price | None
    sell_count: Qty | None
    profit: SignedMoney | None
    age_s: float | None

    named = names(
        ticker="market.ticker", title="market.full_title", polymarket="pair.polymarket",
        kalshi_bid="market.yes_bid", kalshi_ask="market.yes_ask", buy_edge="buy.each", buy_count="buy.qty",
        sell_edge="sell.each", sell_count="sell.qty", profit="best",
    )  # fmt: skip
    shown = (
        "ticker", "buy_edge", "sell_edge", "profit", "kalshi_bid", "kalshi_ask", "polymarket_bid", "polymarket_ask",
        "age_s", "buy_count", "sell_count",
    )  # fmt: skip
