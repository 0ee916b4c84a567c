"""What `trades` and `candles` print."""

from __future__ import annotations

from typing import ClassVar

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.markets import Candle
from kalshi_cli.core.model.messages import PublicTrade
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.views.row import Row


class PrintRow(Row, frozen=True, kw_only=True):
    """A public trade; `price` on the YES scale, `taker` the side that the one who came later took."""

    trade_id: str
    ticker: str
    time: Ts
    price: Price
    count: Qty
    taker: str
    is_block: bool

    shown = ("time", "price", "count", "taker", "is_block")


def print_row(trade: PublicTrade) -> PrintRow:
    return PrintRow.of(trade, time=trade.ts, count=trade.qty, taker="yes" if trade.taker_side is BID else "no")


class CandleRow(Row, frozen=True, kw_only=True):
    """A period, by its end. Prices are of trades, missing where there was none, as quotes are where nobody quoted."""

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

    shown: ClassVar[tuple[str, ...]] = (
        "end", "open", "low", "high", "close", "volume", "yes_bid_close", "yes_ask_close",
    )  # fmt: skip


class MarketCandleRow(CandleRow, frozen=True, kw_only=True):
    """The same where the candles are of several markets."""

    ticker: str

    shown = ("ticker", *CandleRow.shown)


def candle_row(candle: Candle) -> CandleRow:
    parts = {"": candle.price, "yes_bid_": candle.yes_bid, "yes_ask_": candle.yes_ask}
    named = {
        f"{prefix}{name}": getattr(part, name)
        for prefix, part in parts.items()
        for name in ("open", "low", "high", "close")
    }
    return CandleRow.of(candle, **named)


def market_candle_row(ticker: str, candle: Candle) -> MarketCandleRow:
    return MarketCandleRow.of(candle_row(candle), ticker=ticker)
