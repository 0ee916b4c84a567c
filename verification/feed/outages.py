"""Dead and seemingly live streams over real sockets: how soon they are noticed, and how soon trading continues.

The exchange changes both order books all the time, by one contract each time, whatever the stream delivers. So the size
at the best price dates the order book that a price came from, and the error of the worst decision is measured.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.scripted_rest import ScriptedRest, market_body
from support.scripted_stream import ScriptedWs
from wsproto.utilities import LocalProtocolError

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import ResyncBook, SubmitOrder
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import BookSnapshot, FeedGap, FeedState, OrderRejected, StateCommand
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.live_feed import CHECK_EVERY_S, LiveFeed
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.reader import Stream, StreamTimings
from kalshi_cli.exchange.wire.markets import read_market
from kalshi_cli.strategies.base import Strategy

Kind = Literal["cut", "silent", "pulse", "books", "market"]
BOUNDS: dict[Kind, tuple[str, float, float]] = {
    "cut": ("the connection is cut", 3, 3),
    "silent": ("nothing comes, not even pings", 15, 20),
    "pulse": ("only pings come", 45, 45),
    "books": ("everything but the books flows", 45, 45),
    "market": ("one market's changes are missing, nothing else", 45, 45),
}
"""What happens; within how many seconds it must be noticed, and within how many traded on good books again."""

HOUR_MS = 3_600_000
EVERY_S = 0.02


class Quoter(Strategy):
    """Wants to buy in every market, always."""

    name = "quoter"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterable[Place]:
        yield Place(ticker, BID, cents(1), contracts(1))

    def on_tick(self, view: StrategyContext) -> Iterable[Place]:
        return [Place(ticker, BID, cents(1), contracts(1)) for ticker in view.tickers]


class Outage(NamedTuple):
    """In seconds since the stream broke: noticed, traded again; and how false the worst decision was, all told."""

    noticed: float
    again: float
    falsest: float


class Exchange:
    """Two books that change all the time; what the stream tells of it depends on `kind`."""

    def __init__(self) -> None:
        self.server = ScriptedWs("A", "B")
        self.kind: Kind | None = None
        self.rest = ScriptedRest(SystemClock().now())
        self.rest.routes["GET /markets/orderbooks"] = lambda _: {
            "orderbooks": [{"ticker": name, "orderbook_fp": {"yes_dollars": levels[0], "no_dollars": _no(levels[1])}}
                           for name, levels in list(self.server.levels.items())]
        }  # fmt: skip
        self.moved: dict[tuple[str, int], float] = {}
        """When a market's best bid was no longer of this size."""
        self._broken = 0
        self._asked = 0
        self._size = 3
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._trade, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self.server.__exit__()

    def break_stream(self, kind: Kind) -> None:
        """This connection, and only this one, is like that from now on."""
        self._broken, self._asked = self.server.connections, len(self.server.actions("get_snapshot"))
        if kind == "cut":
            self.server.cut()
        else:
            self.kind = kind
            if kind != "market":
                self.server.ignored.add("get_snapshot")

    def _heal(self) -> None:
        """Once the program did something about it."""
        asked = self.server.actions("get_snapshot")[self._asked :]
        if self.server.connections > self._broken or (self.kind == "market" and {"market_tickers": ["B"]} in [
            {"market_tickers": each["market_tickers"]} for each in asked
        ]):  # fmt: skip
            self.kind = None
            self.server.ignored.clear()

    def _trade(self) -> None:
        while not self._stopped.wait(EVERY_S):
            if self.kind is not None:
                self._heal()
            before, self._size = self._size, self._size + 1
            for ticker in ("A", "B"):
                with self.server._lock:  # a snapshot holds all changes that were sent before it, and no others
                    self.server.levels[ticker][0][0][1] = f"{self._size}.00"
                    self.moved[ticker, before * 100] = time.monotonic()
                    with suppress(OSError, KeyError, AssertionError, LocalProtocolError):  # between two connections
                        self._tell(ticker)

    def _tell(self, ticker: str) -> None:
        if self.kind == "silent":
            return
        self.server.ping()
        if self.kind == "pulse":
            return
        trade = {"trade_id": "t", "market_ticker": ticker, "yes_price_dollars": "0.4700", "count_fp": "1.00"}
        self.server.sequenced("trade", "trade", trade | {"taker_book_side": "bid", "ts_ms": SystemClock().now()})
        if self.kind != "books" and not (self.kind == "market" and ticker == "B"):
            self.server.delta(ticker, "0.4700", "1.00")


def _no(levels: list[list[str]]) -> list[list[str]]:
    """By REST they are in NO prices."""
    return [[f"{1 - float(price):.4f}", qty] for price, qty in levels]


def outage(kind: Kind, scale: float, seed: int) -> Outage:
    """One outage with all patience scaled; AssertionError where there is no trading again in twice the time."""
    exchange, clock, pace, ids = Exchange(), SystemClock(), StreamTimings(), itertools.count(1)
    scaled = StreamTimings(
        **{name: getattr(pace, name) * scale for name in pace.__struct_fields__ if name != "connect_s"}
    )
    now = clock.now()
    body = partial(market_body, open_time=Ts(now - HOUR_MS), close_time=Ts(now + HOUR_MS))
    markets = [read_market(msgspec.json.encode({"market": body(name)})) for name in "AB"]
    exchange.rest.routes["GET /markets"] = lambda _: {"markets": [body(n) for n in "AB"], "cursor": ""}
    signer = Signer("key-id", Ed25519PrivateKey.generate(), clock)
    client = KalshiClient(
        "http://127.0.0.1:1/trade-api/v2", clock=clock, rng=random.Random(seed), signer=signer, transport=exchange.rest
    )
    stream = Stream(exchange.server.url, signer, clock, random.Random(seed), tickers=["A", "B"], pace=scaled)
    feed = LiveFeed(stream, client, clock, markets=markets, interval_s=2 * scale, check_every_s=CHECK_EVERY_S * scale)
    age_ms = int(10_000 * scale)
    limits = RiskLimits(min_edge=None, max_orders_per_minute=None, max_api_errors=None, max_book_age_ms=age_ms)
    engine = TradingEngine(
        EngineState(markets=markets, now=now), limits, [Quoter(None)], new_id=lambda: str(next(ids)), order_expiry_s=60
    )
    exchange.start()
    stream.start()
    try:
        return _played(exchange, stream, feed, engine, kind, 2 * BOUNDS[kind][2] * scale + 10)
    finally:
        stream.stop()
        exchange.stop()


def _played(
    exchange: Exchange, stream: Stream, feed: LiveFeed, engine: TradingEngine, kind: Kind, limit_s: float
) -> Outage:
    broke = noticed = 0.0
    falsest, calm_until = 0.0, time.monotonic() + 0.3
    book = engine.state.books["B"]
    for message in feed:
        for effect in engine.step(message):
            at = time.monotonic()
            if isinstance(effect, ResyncBook):
                stream.resync(effect.ticker)
            if not isinstance(effect, SubmitOrder):
                continue
            engine.step(OrderRejected(engine.state.now, effect.order.client_order_id, "test"))
            falsest = max(falsest, _falseness(exchange, engine, effect.order.ticker, at))
            if noticed and effect.order.ticker == "B":
                return Outage(noticed - broke, at - broke, falsest)
        now = time.monotonic()
        if not broke and book.is_usable and now > calm_until:
            broke = now
            exchange.break_stream(kind)
        elif broke and not noticed and not book.is_usable:
            noticed = now
        if now > calm_until + limit_s:
            feed.request(StateCommand(engine.state.now, None, "too late"))
    raise AssertionError(f"{kind}: {'noticed, but no trading again' if noticed else 'not noticed'} in {limit_s:.0f} s")


def _falseness(exchange: Exchange, engine: TradingEngine, ticker: str, at: float) -> float:
    """For how many seconds the book of a decision had not been the exchange's."""
    book = engine.state.books[ticker]
    assert book.is_usable, "an order without a book"
    bid = book.bid
    assert bid is not None
    return max(0.0, at - exchange.moved.get((ticker, bid.qty), at))


def resync_s(times: int) -> float:
    """The longest of so many gaps on loopback, in seconds from the frame that shows it until its book is back."""
    clock, longest = SystemClock(), 0.0
    with ScriptedWs("A", "B") as server:
        signer = Signer("key-id", Ed25519PrivateKey.generate(), clock)
        stream = Stream(server.url, signer, clock, random.Random(1), tickers=["A", "B"])
        stream.start()
        try:
            _hear(stream, FeedState)
            for _ in range(times):
                began = time.monotonic()
                server.delta("A", "0.4700", "1.00", skip=1)
                _hear(stream, FeedGap, BookSnapshot)
                longest = max(longest, time.monotonic() - began)
        finally:
            stream.stop()
    return longest


def _hear(stream: Stream, *kinds: type) -> None:
    """Wait until something of each kind was said."""
    heard: deque[Any] = deque()
    until = time.monotonic() + 30
    while not all(any(isinstance(each, kind) for each in heard) for kind in kinds):
        assert time.monotonic() < until, kinds
        stream.inbox.take(heard, 1.0)
