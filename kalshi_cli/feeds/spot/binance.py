"""Binance, and Binance.US with the same protocol: the trade stream, and recent trades over REST.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams (trade streams, subscribing, errors) and
https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints (recent trades), as of November
2026; https://docs.binance.us for the other. No key is needed. The pair is quoted in USDT, close to the dollar. They
disconnect after 24 hours, and answer 451 in countries where they may not serve.
"""

from __future__ import annotations

from functools import partial

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.core.model.messages import SpotPrice
from kalshi_cli.feeds.spot.venue import SpotError, TradingPair, Venue, decoded, parse_milliseconds, trade

_MAX_TRADES = 100


class _Refusal(msgspec.Struct):
    msg: str = ""


class _Frame(msgspec.Struct):
    kind: str = msgspec.field(name="e", default="")
    symbol: str = msgspec.field(name="s", default="")
    price: str = msgspec.field(name="p", default="")
    size: str = msgspec.field(name="q", default="")
    at: int = msgspec.field(name="T", default=0)
    code: int | None = None
    msg: str = ""
    error: _Refusal | None = None


class _Trade(msgspec.Struct):
    price: str
    qty: str
    time: int


_frame = msgspec.json.Decoder(prepared(_Frame))
_trades = msgspec.json.Decoder(prepared(list[_Trade]))


def subscribe(pair: TradingPair) -> str:
    """Return the subscription to the trades; stream names are in lower case."""
    return msgspec.json.encode({"method": "SUBSCRIBE", "params": [f"{pair.name.lower()}@trade"], "id": 1}).decode()


def read_frame(venue: str, raw: bytes, pair: TradingPair) -> list[SpotPrice]:
    """Return the trade in a frame; nothing for acknowledgments and other pairs."""
    frame = decoded(_frame, raw)
    if frame.code is not None or frame.error is not None:
        raise SpotError("refused", frame.msg or (frame.error.msg if frame.error else ""))
    if frame.kind == "serverShutdown":
        raise SpotError("refused", "the server is shutting down")
    if frame.kind != "trade" or frame.symbol != pair.name:
        return []
    return [trade(pair, venue, frame.price, frame.size, parse_milliseconds(frame.at))]


def rest_path(pair: TradingPair) -> str:
    """Return the path of the last trades."""
    return f"/api/v3/trades?symbol={pair.name}&limit={_MAX_TRADES}"


def read_answer(venue: str, raw: bytes, pair: TradingPair) -> list[SpotPrice]:
    """Return the last trades, oldest first."""
    found = decoded(_trades, raw)[-_MAX_TRADES:]
    return [trade(pair, venue, x.price, x.qty, parse_milliseconds(x.time)) for x in found]


def _venue(name: str, ws_url: str, rest_url: str) -> Venue:
    return Venue(
        name=name, ws_url=ws_url, rest_url=rest_url, pair="COINUSDT", subscribe=subscribe,
        read_frame=partial(read_frame, name), rest_path=rest_path, read_answer=partial(read_answer, name),
    )  # fmt: skip


BINANCE = _venue("binance", "wss://stream.binance.com:9443/ws", "https://api.binance.com")
BINANCE_US = _venue("binance_us", "wss://stream.binance.us:9443/ws", "https://api.binance.us")
