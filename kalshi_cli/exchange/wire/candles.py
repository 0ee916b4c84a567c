"""The REST bodies of candles, in both dialects, and the moments that divide the live tier from the historical one."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kalshi_cli.base.units import Price, Ts
from kalshi_cli.core.model.markets import Candle, Ohlc
from kalshi_cli.exchange.wire.values import (
    Moment,
    maybe_ts,
    no_negative,
    outcome_price,
    quote_price,
    read,
    seconds,
    ts_of,
)


class _Quotes(msgspec.Struct, gc=False, rename=lambda name: f"{name}_dollars"):
    open: str
    low: str
    high: str
    close: str


class _Prices(msgspec.Struct, gc=False, rename=lambda name: f"{name}_dollars"):
    open: str | None = None  # without a trade in the period only `previous` is there (recorded in August 2026)
    low: str | None = None
    high: str | None = None
    close: str | None = None
    mean: str | None = None
    previous: str | None = None


class _Candle(msgspec.Struct, gc=False):
    end_period_ts: int
    yes_bid: _Quotes
    yes_ask: _Quotes
    price: _Prices
    volume_fp: str
    open_interest_fp: str


class _OldQuotes(msgspec.Struct, gc=False):
    """The historical tier writes the same without suffixes."""

    open: str
    low: str
    high: str
    close: str


class _OldPrices(msgspec.Struct, gc=False):
    open: str | None = None
    low: str | None = None
    high: str | None = None
    close: str | None = None
    mean: str | None = None
    previous: str | None = None


class _OldCandle(msgspec.Struct, gc=False):
    end_period_ts: int
    yes_bid: _OldQuotes
    yes_ask: _OldQuotes
    price: _OldPrices
    volume_fp: str = msgspec.field(name="volume")
    open_interest_fp: str = msgspec.field(name="open_interest")


class _CandlesBody(msgspec.Struct):
    candlesticks: list[_Candle] | None = None


class _OldCandlesBody(msgspec.Struct):
    candlesticks: list[_OldCandle] | None = None


class _Named(msgspec.Struct):
    market_ticker: str
    candlesticks: list[_Candle] | None = None


class _BatchBody(msgspec.Struct):
    markets: list[_Named] | None = None


class _EventBody(msgspec.Struct):
    market_tickers: list[str]
    market_candlesticks: list[list[_Candle] | None]
    adjusted_end_ts: int


def _traded(text: str | None) -> Price | None:
    """Zero means that nothing ever traded, as on the market itself."""
    return (outcome_price(text) or None) if text else None


def _quotes(wire: _Quotes | _OldQuotes) -> Ohlc:
    return Ohlc(quote_price(wire.open), quote_price(wire.low), quote_price(wire.high), quote_price(wire.close))


def _candle(wire: _Candle | _OldCandle) -> Candle:
    price = wire.price
    return Candle(
        end=seconds(wire.end_period_ts),
        yes_bid=_quotes(wire.yes_bid),
        yes_ask=_quotes(wire.yes_ask),
        price=Ohlc(_traded(price.open), _traded(price.low), _traded(price.high), _traded(price.close)),
        mean=_traded(price.mean),
        previous=_traded(price.previous),
        volume=no_negative(wire.volume_fp),
        open_interest=no_negative(wire.open_interest_fp),
    )


class EventCandles(NamedTuple):
    """The candles of each market of an event, up to `until`: the exchange cuts a long span short, and says where."""

    markets: dict[str, list[Candle]]
    until: Ts


def _by_event(wire: _EventBody) -> EventCandles:
    if len(wire.market_tickers) != len(wire.market_candlesticks):
        raise ValueError(f"{len(wire.market_tickers)} markets, {len(wire.market_candlesticks)} lists of candles")
    pairs = zip(wire.market_tickers, wire.market_candlesticks, strict=True)
    return EventCandles(
        {ticker: [_candle(c) for c in found or ()] for ticker, found in pairs}, seconds(wire.adjusted_end_ts)
    )


_candles_body = msgspec.json.Decoder(_CandlesBody)
_old_candles_body = msgspec.json.Decoder(_OldCandlesBody)
_batch_body = msgspec.json.Decoder(_BatchBody)
_event_body = msgspec.json.Decoder(_EventBody)


def read_candles(body: bytes) -> list[Candle]:
    """`GET /series/{series_ticker}/markets/{ticker}/candlesticks`."""
    return read(_candles_body, lambda wire: [_candle(c) for c in wire.candlesticks or ()], body, "candles")


def read_historical_candles(body: bytes) -> list[Candle]:
    """`GET /historical/markets/{ticker}/candlesticks`."""
    return read(_old_candles_body, lambda wire: [_candle(c) for c in wire.candlesticks or ()], body, "old candles")


def read_batch_candles(body: bytes) -> dict[str, list[Candle]]:
    """`GET /markets/candlesticks`: by ticker."""
    return read(
        _batch_body,
        lambda wire: {one.market_ticker: [_candle(c) for c in one.candlesticks or ()] for one in wire.markets or ()},
        body,
        "candles of several markets",
    )


def read_event_candles(body: bytes) -> EventCandles:
    """`GET /series/{series_ticker}/events/{ticker}/candlesticks`."""
    return read(_event_body, _by_event, body, "candles of an event")


# -- the two tiers ------------------------------------------------------------------------------------------------


class Cutoff(NamedTuple):
    """What is older than this moved to the historical tier: markets by settlement, trades and fills by time, orders by
    their end, settled positions by their last change (None where the exchange does not say: as for markets).
    """

    markets: Ts
    trades: Ts
    orders: Ts
    positions: Ts | None = None


class _Cutoff(msgspec.Struct, gc=False):
    market_settled_ts: Moment
    trades_created_ts: Moment
    orders_updated_ts: Moment
    market_positions_last_updated_ts: Moment | None = None


_cutoff_body = msgspec.json.Decoder(_Cutoff)


def read_cutoff(body: bytes) -> Cutoff:
    """`GET /historical/cutoff`."""

    def convert(wire: _Cutoff) -> Cutoff:
        return Cutoff(
            ts_of(wire.market_settled_ts),
            ts_of(wire.trades_created_ts),
            ts_of(wire.orders_updated_ts),
            maybe_ts(wire.market_positions_last_updated_ts),
        )

    return read(_cutoff_body, convert, body, "the historical cutoff")
