"""Views of the output of `watch` in a pipe. Rules as in `row`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Price, Qty, Ts, format_ts, show_price, show_qty
from kalshi_cli.core.model.messages import FeedGap, FeedState, PublicTrade, Quote
from kalshi_cli.core.model.order_terms import BID, Side
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import Outcome, OutputRow, own_price


class SidePrices(NamedTuple):
    """The best prices of an outcome, with the contracts there, and its last price."""

    bid: Price | None
    bid_size: Qty
    ask: Price | None
    ask_size: Qty
    last: Price | None


def side_prices(
    side: Outcome, bid: Price | None, bid_size: Qty, ask: Price | None, ask_size: Qty, last: Price | None
) -> SidePrices:
    """Return the prices of an outcome from those of YES: a bid for YES at p is an ask for NO at one dollar less p."""
    if side == "yes":
        return SidePrices(bid, bid_size, ask, ask_size, last)
    no_bid, no_ask, no_last = (None if price is None else own_price("no", price) for price in (ask, bid, last))
    return SidePrices(no_bid, ask_size, no_ask, bid_size, no_last)


class StreamRow(OutputRow, frozen=True, kw_only=True):
    """A line of the stream; fields of other types are missing.

    quote: best prices and counts of YES, last price, volume, and the status of the market. trade: `price` of YES,
    `count`, and the taker's action on the YES book. feed: whether the stream is connected (`is_live` false: prices may
    still be polled, see `reason`). gap: the prices of `ticker` (empty: of all markets) are unreliable until the next
    quote.
    """

    type: Literal["quote", "trade", "feed", "gap"]
    time: Ts
    ticker: str | None = None
    yes_bid: Price | None = None
    yes_bid_count: Qty | None = None
    yes_ask: Price | None = None
    yes_ask_count: Qty | None = None
    last: Price | None = None
    volume: Qty | None = None
    trade_id: str | None = None
    price: Price | None = None
    count: Qty | None = None
    taker_side: Side | None = None
    is_live: bool | None = None
    reason: TruncatableText | None = None
    status: str | None = None


def tape_rows(told: Quote | PublicTrade | FeedState | FeedGap, status: str | None = None) -> Iterator[StreamRow]:
    """Return the lines for a message of the feed. `status` is that of the market of a quote."""
    if isinstance(told, Quote):
        yield StreamRow(
            type="quote", time=told.ts, ticker=told.ticker,
            yes_bid=told.bid, yes_bid_count=None if told.bid is None else told.bid_size,
            yes_ask=told.ask, yes_ask_count=None if told.ask is None else told.ask_size,
            last=told.last, volume=told.volume, status=status,
        )  # fmt: skip
    elif isinstance(told, PublicTrade):
        yield StreamRow(
            type="trade", time=told.ts, ticker=told.ticker, trade_id=told.trade_id,
            price=told.price, count=told.qty, taker_side=told.taker_side,
        )  # fmt: skip
    elif isinstance(told, FeedState):
        yield StreamRow(type="feed", time=told.ts, is_live=told.is_live, reason=TruncatableText(told.reason) or None)
    else:
        for ticker in told.tickers or (None,):
            yield StreamRow(type="gap", time=told.ts, ticker=ticker, reason=TruncatableText(told.reason))


def text_line(row: StreamRow, side: Outcome = "yes") -> str:
    """Return a line for display: `05:12:31 KXBTCD-... bid $0.47 x 100, ask $0.52 x 3, last $0.50, volume 20`.

    With the prices of NO, the market is followed by `NO`.
    """
    clock, name = format_ts(row.time)[11:19], f"{row.ticker} NO" if side == "no" else str(row.ticker)
    if row.type == "quote":
        prices = side_prices(
            side, row.yes_bid, row.yes_bid_count or Qty(0), row.yes_ask, row.yes_ask_count or Qty(0), row.last
        )
        bid = f"bid {show_price(prices.bid)}" + (f" x {show_qty(prices.bid_size)}" if prices.bid_size else "")
        ask = f"ask {show_price(prices.ask)}" + (f" x {show_qty(prices.ask_size)}" if prices.ask_size else "")
        text = f"{name} {bid}, {ask}, last {show_price(prices.last)}, volume {show_qty(row.volume)}"
        if row.status not in (None, "active"):
            text += f", {row.status}"
    elif row.type == "trade":
        taker = "YES" if row.taker_side is BID else "NO"
        at = None if row.price is None else own_price(side, row.price)
        text = f"{name} {show_qty(row.count)} traded at {show_price(at)}, taker bought {taker}"
    elif row.type == "feed":
        text = "stream connected" if row.is_live else f"no stream: {row.reason or 'not connected'}"
    else:
        text = f"{row.ticker or 'all markets'}: prices are STALE ({row.reason})"
    return f"{clock} {safe_text(text)}"
