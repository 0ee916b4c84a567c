"""Coinbase Exchange: the `matches` channel, and the product's ticker over REST.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels and `.../overview` (errors, limits), and
https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-ticker, as of November 2026. No
key is needed. The first message after the subscription is `last_match`; unknown message types are ignored, as the
documentation requires.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.core.model.messages import SpotPrice
from kalshi_cli.feeds.spot.venue import SpotError, TradingPair, Venue, decoded, time_of, trade

NAME = "coinbase"
_TRADES = ("match", "last_match")


class _Frame(msgspec.Struct):
    type: str
    product_id: str = ""
    price: str = ""
    size: str = ""
    time: str = ""
    message: str = ""
    reason: str = ""


class _Ticker(msgspec.Struct):
    price: str
    size: str
    time: str


_frame = msgspec.json.Decoder(prepared(_Frame))
_ticker = msgspec.json.Decoder(prepared(_Ticker))


def subscribe(pair: TradingPair) -> str:
    """Return the subscription to the trades and to a heartbeat each second."""
    request = {"type": "subscribe", "product_ids": [pair.name], "channels": ["matches", "heartbeat"]}
    return msgspec.json.encode(request).decode()


def read_frame(raw: bytes, pair: TradingPair) -> list[SpotPrice]:
    """Return the trade in a frame; nothing for heartbeats, acknowledgments and other pairs."""
    frame = decoded(_frame, raw)
    if frame.type == "error":
        raise SpotError("refused", f"{frame.message} {frame.reason}")
    if frame.type not in _TRADES or frame.product_id != pair.name:
        return []
    return [trade(pair, NAME, frame.price, frame.size, time_of(frame.time))]


def rest_path(pair: TradingPair) -> str:
    """Return the path of the last trade."""
    return f"/products/{pair.name}/ticker"


def read_answer(raw: bytes, pair: TradingPair) -> list[SpotPrice]:
    """Return the last trade."""
    ticker = decoded(_ticker, raw)
    return [trade(pair, NAME, ticker.price, ticker.size, time_of(ticker.time))]


COINBASE = Venue(
    name=NAME,
    ws_url="wss://ws-feed.exchange.coinbase.com",
    rest_url="https://api.exchange.coinbase.com",
    pair="COIN-USD",
    subscribe=subscribe,
    read_frame=read_frame,
    rest_path=rest_path,
    read_answer=read_answer,
)
