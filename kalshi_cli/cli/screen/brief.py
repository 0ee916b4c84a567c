"""Views for a terminal only: orders with their meaning in NO, and a market on one screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, show_money, show_price, show_qty
from kalshi_cli.views.formats import MISSING, ShortId, TruncatableText
from kalshi_cli.views.markets import MarketView
from kalshi_cli.views.orders import OrderRow
from kalshi_cli.views.row import OutputRow

MAX_TEXT_LENGTH = 200
"""Characters of a rule on a screen; the rest is shown with `-v`."""


class OrderLine(OutputRow, frozen=True, kw_only=True):
    """An order as the exchange lists it; `as_no` is the same order in NO where it trades no YES that is held."""

    order_id: ShortId | None
    ticker: str
    order: str
    price: Price
    as_no: str | None
    filled: str


class OrderStatusLine(OrderLine, frozen=True, kw_only=True):
    """An order in a list of several statuses."""

    status: str

    vital = ("status",)


def no_terms(order: OrderRow, held: Qty) -> str | None:
    """Return an order for YES in NO, such as `buy $0.62`; None where it buys YES or sells YES that is held.

    `held` is the position in YES, negative for NO; it says nothing about an order that no longer rests. The exchange
    keeps one book: an order to buy NO is listed as one to sell YES, and one to sell NO as one to buy YES.
    """
    is_bid = order.book_side.value == "bid"
    if order.status != "resting" or held > 0 or (is_bid and not held):
        return None
    yes_price = order.price if order.side == "yes" else ONE_DOLLAR - order.price
    return f"{'sell' if is_bid else 'buy'} {show_price(Price(ONE_DOLLAR - yes_price))}"


def order_lines(
    orders: Iterable[OrderRow], held: Mapping[tuple[int, str], Qty], kind: type[OrderLine] = OrderLine
) -> list[OrderLine]:
    """Return the lines of orders; `held` has the positions by subaccount and market."""
    return [
        kind.of(
            each,
            order=f"{each.action} {each.side.upper()}",
            as_no=no_terms(each, held.get((each.subaccount, each.ticker), Qty(0))),
            filled=f"{show_qty(each.filled)}/{show_qty(each.count)}",
        )
        for each in orders
    ]


class MarketBrief(OutputRow, frozen=True, kw_only=True):
    """A market on one screen: prices first, then what decides it."""

    title: str
    status: str
    result: str | None
    YES: str
    NO: str
    last: Price | None
    volume_24h: Qty
    open_interest: Qty
    fees_of_100: str | None
    price_step: str | None
    fee_changes: str | None
    open_time: Ts | None
    close_time: Ts
    early_close_condition: TruncatableText | None
    rules_primary: TruncatableText
    rules_secondary: TruncatableText | None

    screen = (
        "title", "status", "result", "YES", "NO", "last", "volume_24h", "open_interest", "fees_of_100", "price_step",
        "fee_changes", "open_time", "close_time", "early_close_condition", "rules_primary", "rules_secondary",
    )  # fmt: skip


def market_brief(market: MarketView) -> MarketBrief:
    """Return what decides a trade in this market, with long rules cut."""
    steps = sorted({band.step for band in market.price_grid})
    taker = next((row for row in market.fees if row.role == "taker"), None)
    waiting = len(market.fee_changes)
    return MarketBrief.of(
        market,
        YES=_quote(market.yes_bid, market.yes_bid_size, market.yes_ask, market.yes_ask_size),
        NO=_quote(market.no_bid, market.yes_ask_size, market.no_ask, market.yes_bid_size),
        fees_of_100=taker and f"{show_money(taker.fee)} as taker at {show_price(taker.price)}",
        price_step=" to ".join(show_price(step) for step in dict.fromkeys((steps[0], steps[-1]))) if steps else None,
        fee_changes=f"{waiting} scheduled; -v shows them" if waiting else None,
        open_time=None if market.status == "active" else market.open_time,
        early_close_condition=_cut(market.early_close_condition) if market.can_close_early else None,
        rules_primary=_cut(market.rules_primary),
        rules_secondary=_cut(market.rules_secondary),
    )


def _quote(bid: Price | None, bid_size: Qty, ask: Price | None, ask_size: Qty) -> str:
    """Return the best prices with the contracts there."""
    return f"bid {_level(bid, bid_size)}   ask {_level(ask, ask_size)}"


def _level(price: Price | None, size: Qty) -> str:
    return MISSING if price is None else f"{show_price(price)} for {show_qty(size)}"


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_TEXT_LENGTH:
        return text
    return f"{text[: MAX_TEXT_LENGTH - 1].rstrip()}… (-v shows all)"
