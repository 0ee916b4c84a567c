"""The prices of the simulated world, in the formats of Coinbase, Kraken and Binance: four trades per second.

Below `/spot/<venue>` on the sockets of the exchange: the WebSocket, and the REST path of the venue. It is written from
the documents of the venues, not from our reader of them, so the two can disagree. No key is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import msgspec

from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.simulator.model.seeded_random import SeededRandom
from kalshi_cli.simulator.protocol.replies import Json, Request, Response

PREFIX = "/spot/"
VENUES = ("coinbase", "kraken", "binance", "binance_us")
COINS = ("BTC", "ETH")
EVERY_MS = 250
_MAX_AT_ONCE = 40
_MAX_WAITING = 1_000
_WRONG = 1.05
"""The factor of a wrong price."""

Fault = Literal["", "freeze", "junk", "cut", "wrong"]
Price = Callable[[str, Ts], float]
"""Returns the price of a coin in dollars, at a moment."""


class SpotStream:
    """A connection to a venue. Its messages are in `outbox`; `wake` is called for new ones."""

    def __init__(self, venue: str, now: Ts) -> None:
        self.venue = venue
        self.coins: dict[str, str] = {}
        """The coins by the venue's name of the pair."""
        self.outbox: deque[str] = deque(maxlen=_MAX_WAITING)
        self.hung_up = ""
        self.wake: Callable[[], None] = lambda: None
        self.sent_at = now

    def say(self, *messages: Json) -> None:
        """Send messages."""
        self.outbox.extend(msgspec.json.encode(message).decode() for message in messages)
        self.wake()

    def receive(self, text: str, now: Ts) -> None:
        """Process a subscription."""
        try:
            asked = msgspec.json.decode(text, type=dict[str, Any])
            self.say(*_VENUES[self.venue].subscribe(asked, self, now))
        except (msgspec.DecodeError, RecursionError, KeyError, TypeError, AttributeError):
            self.say({"type": "error", "message": "malformed request"})

    def close(self) -> None:
        """Close the connection."""
        self.hung_up = self.hung_up or "closed"


class SpotVenues:
    """All venues, over one world. `faults` has the injected fault of each venue."""

    def __init__(self, seed: int, price: Price) -> None:
        self._seed = seed
        self._price = price
        self._streams: list[SpotStream] = []
        self.faults: dict[str, Fault] = {}

    def connect(self, path: str, now: Ts) -> SpotStream | Response:
        """Open a connection to the venue of a path."""
        venue = path.removeprefix(PREFIX)
        if venue not in VENUES:
            return _json(404, {"message": "NotFound"})
        stream = SpotStream(venue, now)
        self._streams = [*(one for one in self._streams if not one.hung_up), stream]
        return stream

    def advance(self, now: Ts) -> None:
        """Send every stream the trades since its last message."""
        for stream in self._streams:
            if not stream.hung_up and stream.coins:
                self._tell(stream, now)

    def read(self, request: Request, now: Ts) -> Response:
        """Return the last trades of a pair."""
        venue, _, path = request.path.removeprefix(PREFIX).partition("/")
        if venue not in VENUES:
            return _json(404, {"message": "NotFound"})
        asked = {name: values[-1] for name, values in request.query.items()}
        name = asked.get("pair") or asked.get("symbol") or path.removeprefix("products/").removesuffix("/ticker")
        coin = _coin(venue, name.replace("XBT", "BTC") if venue == "kraken" else name, is_rest=True)
        if request.method != "GET" or coin is None or path != _VENUES[venue].path.replace("PAIR", name):
            return _json(404, {"message": "NotFound"})
        if self.faults.get(venue) == "junk":
            return Response(200, {"content-type": "text/html"}, b"<html>down for maintenance</html>")
        return _json(200, _VENUES[venue].answer(name, self._trade(venue, coin, Ts(now - now % EVERY_MS))))

    def _tell(self, stream: SpotStream, now: Ts) -> None:
        fault = self.faults.get(stream.venue, "")
        since = stream.sent_at - stream.sent_at % EVERY_MS if stream.sent_at <= now else now  # the clock may go back
        stream.sent_at = now
        if fault == "cut":
            stream.hung_up = "reset"
            stream.wake()
        elif fault == "junk":
            stream.outbox.append('{"type": 7, "channel')
            stream.wake()
        elif fault != "freeze":
            for at in range(since + EVERY_MS, now + 1, EVERY_MS)[-_MAX_AT_ONCE:]:
                for name, coin in stream.coins.items():
                    stream.say(_VENUES[stream.venue].trade(name, self._trade(stream.venue, coin, Ts(at))))

    def _trade(self, venue: str, coin: str, at: Ts) -> _Trade:
        price = self._price(coin, at) * (_WRONG if self.faults.get(venue) == "wrong" else 1)
        size = SeededRandom(self._seed, "spot", coin, at).heavy(0.02, 5)
        return _Trade(at // EVERY_MS, f"{price:.2f}", f"{size:.8f}", at)


class _Trade(msgspec.Struct, frozen=True):
    number: int
    price: str
    size: str
    at: Ts


def _coin(venue: str, name: str, *, is_rest: bool = False) -> str | None:
    """Return the coin of a pair in the venue's spelling, or None for an unknown pair."""
    sign, quote = {"coinbase": ("-", "USD"), "kraken": ("" if is_rest else "/", "USD")}.get(venue, ("", "USDT"))
    return next((coin for coin in COINS if name == f"{coin}{sign}{quote}"), None)


def _json(status: int, body: object) -> Response:
    return Response(status, {"content-type": "application/json"}, msgspec.json.encode(body))


# -- Coinbase Exchange --------------------------------------------------------------------------------------------


def _subscribe_coinbase(asked: Json, stream: SpotStream, now: Ts) -> Iterable[Json]:
    names = list(asked["product_ids"])
    bad = [name for name in names if _coin("coinbase", name) is None]
    if asked["type"] != "subscribe" or bad:
        yield {"type": "error", "message": "Failed to subscribe", "reason": f"{bad} is not a valid product"}
        return
    stream.coins.update({name: _coin("coinbase", name) or "" for name in names})
    stream.sent_at = Ts(now - EVERY_MS)
    yield {"type": "subscriptions", "channels": [{"name": name, "product_ids": names} for name in asked["channels"]]}
    yield {"type": "heartbeat", "sequence": 1, "last_trade_id": 1, "product_id": names[0], "time": format_ts(now)}


def _trade_coinbase(name: str, trade: _Trade) -> Json:
    return {
        "type": "match", "trade_id": trade.number, "sequence": trade.number, "maker_order_id": f"m{trade.number}",
        "taker_order_id": f"t{trade.number}", "time": format_ts(trade.at), "product_id": name, "size": trade.size,
        "price": trade.price, "side": "sell",
    }  # fmt: skip


def _answer_coinbase(_name: str, trade: _Trade) -> Json:
    return {
        "ask": trade.price, "bid": trade.price, "volume": "10000.00000000", "trade_id": trade.number,
        "price": trade.price, "size": trade.size, "time": format_ts(trade.at),
    }  # fmt: skip


# -- Kraken -------------------------------------------------------------------------------------------------------


def _subscribe_kraken(asked: Json, stream: SpotStream, now: Ts) -> Iterable[Json]:
    yield {"channel": "status", "type": "update", "data": [{"system": "online", "api_version": "v2"}]}
    for name in asked["params"]["symbol"]:
        coin = _coin("kraken", name)
        times = {"time_in": format_ts(now), "time_out": format_ts(now)}
        if coin is None or asked["params"]["channel"] != "trade":
            error = f"Currency pair not supported {name}"
            yield {"error": error, "method": "subscribe", "success": False, "symbol": name, **times}
            continue
        stream.coins[name] = coin
        stream.sent_at = Ts(now - EVERY_MS)
        result = {"channel": "trade", "snapshot": False, "symbol": name}
        yield {"method": "subscribe", "result": result, "success": True, **times}
        yield {"channel": "heartbeat"}


def _trade_kraken(name: str, trade: _Trade) -> Json:
    row = {
        "symbol": name, "side": "sell", "price": msgspec.Raw(trade.price.encode()),
        "qty": msgspec.Raw(trade.size.encode()), "ord_type": "market", "trade_id": trade.number,
        "timestamp": format_ts(trade.at),
    }  # fmt: skip
    return {"channel": "trade", "type": "update", "data": [row]}


def _answer_kraken(name: str, trade: _Trade) -> Json:
    at = msgspec.Raw(f"{trade.at // 1000}.{trade.at % 1000:03d}".encode())
    row = [trade.price, trade.size, at, "s", "m", "", trade.number]
    pair = f"X{name.removesuffix('USD')}ZUSD"
    return {"error": [], "result": {pair: [row], "last": str(trade.at * 10**6)}}


# -- Binance ------------------------------------------------------------------------------------------------------


def _subscribe_binance(asked: Json, stream: SpotStream, now: Ts) -> Iterable[Json]:
    for text in asked["params"]:
        name, _, kind = text.upper().partition("@")
        coin = _coin("binance", name)
        if coin is not None and kind == "TRADE":
            stream.coins[name] = coin
            stream.sent_at = Ts(now - EVERY_MS)
    yield {"result": None, "id": asked["id"]}


def _trade_binance(name: str, trade: _Trade) -> Json:
    return {
        "e": "trade", "E": trade.at, "s": name, "t": trade.number, "p": f"{trade.price}000000", "q": trade.size,
        "T": trade.at, "m": True, "M": True,
    }  # fmt: skip


def _answer_binance(_name: str, trade: _Trade) -> list[Json]:
    row = {"id": trade.number, "price": f"{trade.price}000000", "qty": trade.size, "time": trade.at}
    return [{**row, "isBuyerMaker": True, "isBestMatch": True}]


class _Venue(NamedTuple):
    """The messages of a venue, and the path of its last trades."""

    subscribe: Callable[[Json, SpotStream, Ts], Iterable[Json]]
    trade: Callable[[str, _Trade], Json]
    answer: Callable[[str, _Trade], object]
    path: str


_BINANCE = _Venue(_subscribe_binance, _trade_binance, _answer_binance, "api/v3/trades")
_VENUES = {
    "coinbase": _Venue(_subscribe_coinbase, _trade_coinbase, _answer_coinbase, "products/PAIR/ticker"),
    "kraken": _Venue(_subscribe_kraken, _trade_kraken, _answer_kraken, "0/public/Trades"),
    "binance": _BINANCE,
    "binance_us": _BINANCE,
}
