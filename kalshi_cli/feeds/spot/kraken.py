"""Kraken: the `trade` channel of WebSocket v2, and recent trades over REST.

https://docs.kraken.com/exchange/api-reference/spot-websocket-v2/trade (with `heartbeat` and `status`) and
https://docs.kraken.com/api-reference/market-data/get-recent-trades, as of November 2026. No key is needed. Prices are
JSON numbers, read as decimals and never as floats. The REST ticker has no time, so trades are read instead. WebSocket
v2 calls bitcoin BTC, REST calls it XBT.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.core.model.messages import SpotPrice
from kalshi_cli.feeds.spot import venue

NAME = "kraken"
_REST_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
_MAX_TRADES = 100


class _Trade(msgspec.Struct):
    symbol: str
    price: Decimal
    qty: Decimal
    timestamp: str


class _Frame(msgspec.Struct):
    channel: str = ""
    success: bool = True
    error: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Answer(msgspec.Struct):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


_frame = msgspec.json.Decoder(prepared(_Frame))
_trades = msgspec.json.Decoder(prepared(list[_Trade]))
_answer = msgspec.json.Decoder(prepared(_Answer))
_rows = msgspec.json.Decoder(list[tuple[str, str, Decimal, str, str, str, int]])


def subscribe(pair: venue.TradingPair) -> str:
    """Return the subscription to the trades from now on; heartbeats need none."""
    params = {"channel": "trade", "symbol": [pair.name], "snapshot": False}
    return msgspec.json.encode({"method": "subscribe", "params": params}).decode()


def read_frame(raw: bytes, pair: venue.TradingPair) -> list[SpotPrice]:
    """Return the trades in a frame, oldest first; nothing for heartbeats, acknowledgments, status and other pairs."""
    frame = venue.decoded(_frame, raw)
    if not frame.success or frame.error:
        raise venue.SpotError("refused", frame.error or "no reason given")
    if frame.channel != "trade":
        return []
    found = venue.decoded(_trades, bytes(frame.data))[-_MAX_TRADES:]
    return [venue.trade(pair, NAME, x.price, x.qty, venue.time_of(x.timestamp)) for x in found if x.symbol == pair.name]


def rest_path(pair: venue.TradingPair) -> str:
    """Return the path of the last trades."""
    base = pair.name.partition("/")[0]
    name = pair.name.replace(base, _REST_NAMES.get(base, base), 1).replace("/", "")
    return f"/0/public/Trades?pair={name}&count={_MAX_TRADES}"


def read_answer(raw: bytes, pair: venue.TradingPair) -> list[SpotPrice]:
    """Return the last trades, oldest first. The result has a third name of the pair."""
    answer = venue.decoded(_answer, raw)
    if answer.error:
        raise venue.SpotError("refused", ", ".join(answer.error))
    found = [value for name, value in answer.result.items() if name != "last"]
    if len(found) != 1:
        raise venue.SpotError("junk", f"{len(found)} pairs in the response to one")
    rows = venue.decoded(_rows, bytes(found[0]))[-_MAX_TRADES:]
    return [
        venue.trade(pair, NAME, price, size, venue.parse_milliseconds(venue.parse_fixed(at, 9) // 10**6))
        for price, size, at, *_ in rows
    ]


KRAKEN = venue.Venue(
    name=NAME,
    ws_url="wss://ws.kraken.com/v2",
    rest_url="https://api.kraken.com",
    pair="COIN/USD",
    subscribe=subscribe,
    read_frame=read_frame,
    rest_path=rest_path,
    read_answer=read_answer,
)
