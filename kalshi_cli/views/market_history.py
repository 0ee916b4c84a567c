"""Views of public trades and candles. Rules as in `row`."""

from __future__ import annotations

from typing import ClassVar

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.messages import PublicTrade
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.views.row import OutputRow, names


class PublicTradeRow(OutputRow, frozen=True, kw_only=True):
    """A public trade; `price` is on the YES scale, `taker` is the side that the taker bought."""

    trade_id: str
    ticker: str
    time: Ts
    price: Price
    count: Qty
    taker: str
    is_block: bool

    named = names(time="ts", count="qty")
    shown = ("time", "price", "count", "taker", "is_block")


def print_row(trade: PublicTrade) -> PublicTradeRow:
    """Return a public trade as a row."""
    return PublicTradeRow.of(trade, taker="yes" if trade.taker_side is BID else "no")


class CandleRow(OutputRow, frozen=True, kw_only=True):
    """A candle, by the end of its period. Prices are missing without trades, quotes without quotes."""

    end: Ts
    open: Price | None
    low: Price | None
    high: Price | None
    close: Price | None
    mean: Price | None
    previous: Price | None
    yes_bid_open: Price | None
    yes_bid_low: Price | None
    yes_bid_high: Price | None
    yes_bid_close: Price | None
    yes_ask_open: Price | None
    yes_ask_low: Price | None
    yes_ask_high: Price | None
    yes_ask_close: Price | None
    volume: Qty
    open_interest: Qty

    named = names(
        open="price.open", low="price.low", high="price.high", close="price.close", yes_bid_open="yes_bid.open",
        yes_bid_low="yes_bid.low", yes_bid_high="yes_bid.high", yes_bid_close="yes_bid.close",
        yes_ask_open="yes_ask.open", yes_ask_low="yes_ask.low", yes_ask_high="yes_ask.high",
        yes_ask_close="yes_ask.close",
    )  # fmt: skip
    shown: ClassVar[tuple[str, ...]] = (
        "end", "open", "low", "high", "close", "volume", "yes_bid_close", "yes_ask_close",
    )  # fmt: skip


class MarketCandleRow(CandleRow, frozen=True, kw_only=True):
    """A candle with its market, where there are several."""

    ticker: str

    shown = ("ticker", *CandleRow.shown)
