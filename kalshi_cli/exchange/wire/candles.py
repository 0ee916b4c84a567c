"""REST bodies of candles, in both formats, and the cutoff between the live and the historical tier."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import field

from kalshi_cli.base.units import Price, Ts
from kalshi_cli.core.model.markets import Candle, OhlcPrices
from kalshi_cli.exchange.wire import values


def _traded(text: str) -> Price | None:
    """Return the price; zero means that the market never traded."""
    return (values.outcome_price(text) or None) if text else None


_Quote = Annotated[str, values.Unit(values.quote_price)]
_Traded = Annotated[str | None, values.Unit(_traded)]


class _OldQuotes(msgspec.Struct, gc=False):
    open: _Quote
    low: _Quote
    high: _Quote
    close: _Quote


class _OldPrices(msgspec.Struct, gc=False):
    open: _Traded = None
    low: _Traded = None
    high: _Traded = None
    close: _Traded = None
    mean: _Traded = None
    previous: _Traded = None


class _OldCandle(msgspec.Struct, gc=False):
    """A candle of the historical tier, without the suffixes of the live one."""

    end: values.Seconds = field(name="end_period_ts")
    yes_bid: _OldQuotes
    yes_ask: _OldQuotes
    price: _OldPrices
    volume: values.Count
    open_interest: values.Count


class _Quotes(msgspec.Struct, gc=False, rename=lambda name: f"{name}_dollars"):
    open: _Quote
    low: _Quote
    high: _Quote
    close: _Quote


class _Prices(msgspec.Struct, gc=False, rename=lambda name: f"{name}_dollars"):
    open: _Traded = None  # without a trade in the period only `previous` is there (recorded in August 2026)
    low: _Traded = None
    high: _Traded = None
    close: _Traded = None
    mean: _Traded = None
    previous: _Traded = None


class _Candle(msgspec.Struct, gc=False):
    end: values.Seconds = field(name="end_period_ts")
    yes_bid: _Quotes
    yes_ask: _Quotes
    price: _Prices
    volume: values.Count = field(name="volume_fp")
    open_interest: values.Count = field(name="open_interest_fp")


class _Named(msgspec.Struct):
    market_ticker: str
    candlesticks: list[_Candle] | None = None


class _BatchBody(msgspec.Struct):
    markets: list[_Named] | None = None


class _EventBody(msgspec.Struct):
    market_tickers: list[str]
    market_candlesticks: list[list[_Candle] | None]
    adjusted_end_ts: int


def _candle(wire: _Candle | _OldCandle) -> Candle:
    bid, ask, price = (values.convert(OhlcPrices, each) for each in (wire.yes_bid, wire.yes_ask, wire.price))
    traded = wire.price
    return values.convert(
        Candle,
        wire,
        yes_bid=bid,
        yes_ask=ask,
        price=price,
        mean=_traded(traded.mean or ""),
        previous=_traded(traded.previous or ""),
    )


class EventCandles(NamedTuple):
    """Candles of each market of an event, up to `until`: the exchange shortens long periods and returns their end."""

    markets: dict[str, list[Candle]]
    until: Ts


def _by_event(wire: _EventBody) -> EventCandles:
    if len(wire.market_tickers) != len(wire.market_candlesticks):
        raise ValueError(f"{len(wire.market_tickers)} markets but {len(wire.market_candlesticks)} lists of candles")
    pairs = zip(wire.market_tickers, wire.market_candlesticks, strict=True)
    return EventCandles(
        {ticker: [_candle(c) for c in found or ()] for ticker, found in pairs}, values.seconds(wire.adjusted_end_ts)
    )


def _by_ticker(wire: _BatchBody) -> dict[str, list[Candle]]:
    return {one.market_ticker: [_candle(c) for c in one.candlesticks or ()] for one in wire.markets or ()}


read_candles = values.listed("candlesticks", _Candle, _candle, "candles")
"""`GET /series/{series_ticker}/markets/{ticker}/candlesticks`."""
read_historical_candles = values.listed("candlesticks", _OldCandle, _candle, "old candles")
"""`GET /historical/markets/{ticker}/candlesticks`."""
read_batch_candles = values.whole(_BatchBody, _by_ticker, "candles of several markets")
"""`GET /markets/candlesticks`: by ticker."""
read_event_candles = values.whole(_EventBody, _by_event, "candles of an event")
"""`GET /series/{series_ticker}/events/{ticker}/candlesticks`."""


# -- the two tiers ------------------------------------------------------------------------------------------------


class Cutoff(msgspec.Struct, frozen=True):
    """Times before which data moved to the historical tier.

    Markets are compared by settlement, trades and fills by time, orders by their end, settled positions by their last
    change (None if the exchange does not say: as for markets).
    """

    markets: values.TsOfMoment = field(name="market_settled_ts")
    trades: values.TsOfMoment = field(name="trades_created_ts")
    orders: values.TsOfMoment = field(name="orders_updated_ts")
    positions: Annotated[Ts | None, values.Wire(values.Moment | None)] = field(
        name="market_positions_last_updated_ts", default=None
    )


read_cutoff = values.whole(*values.of(Cutoff), "the historical cutoff")
"""`GET /historical/cutoff`."""
