"""The exchange's stream, a faulty connection, and this program's reader and engine behind it, in one thread.

The truth is kept twice, apart from the program: by the exchange itself, and by a simple fold over every frame of an
order book that it sent, one version per frame. A decision is compared with the version that the program had just read.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import ResyncBook, SubmitOrder
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import FeedGap, FeedState, Message, OrderRejected, PublicTrade, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.inbox import MessageQueue
from kalshi_cli.exchange.stream.sequencing import BOOK, StreamSession
from kalshi_cli.net.websocket import Framing
from kalshi_cli.simulator.exchange import STREAM_PATH, SimulatedExchange
from kalshi_cli.simulator.model.listing import (
    EventSpec,
    ExchangeOptions,
    MarketSpec,
    NewOrder,
    OrderReceipt,
    SeriesSpec,
)
from kalshi_cli.simulator.stream.connection import Connection
from kalshi_cli.strategies.base import Strategy

T0 = Ts(1_780_000_000_000)
YEAR_MS = 365 * 86_400_000
TICKERS = ("KXSIM-26JUN-T3", "KXSIM-26JUL-T3")
BOOK_TYPES = ("orderbook_snapshot", "orderbook_delta")
MOST_RESTING = 20
CHUNK = 1 << 18
"""Bytes that one read of a socket gives at most, as in the reader."""

KEPT = 500
"""Versions of a book that are remembered: more than any fault here holds a frame back."""

KEY = Ed25519PrivateKey.generate()

Levels = dict[tuple[str, int], int]
Wire = Callable[[str], Iterable[str]]
"""One frame of the exchange -> what arrives of it, and of what was held back before."""


class Eager(Strategy):
    """Wants an order in every market whenever it is asked anything, whatever the books look like."""

    name = "eager"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterable[Place]:
        return self._wants(view)

    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> Iterable[Place]:
        return self._wants(view)

    def on_tick(self, view: StrategyContext) -> Iterable[Place]:
        return self._wants(view)

    def _wants(self, view: StrategyContext) -> Iterable[Place]:
        return [Place(ticker, BID, cents(1), contracts(1)) for ticker in view.tickers]


class WrongBookError(AssertionError):
    """A decision was priced from a book that is not the exchange's."""


class Stage:
    """`act` lets something happen at the exchange; what it sends goes through `wire`. Raises WrongBookError."""

    def __init__(
        self, seed: int, wire: Wire = lambda frame: (frame,), *, is_blind: bool = False, is_eager: bool = True
    ) -> None:
        self.rng = random.Random(seed)
        self.clock = ManualClock(T0)
        self.wire = wire
        self.gaps = self.decisions = self.frames = self.deltas = self.refusals = 0
        self._is_blind = is_blind
        self._ids = itertools.count(1)
        self.exchange = self._listed()
        self._resting: deque[str] = deque()
        self._versions: dict[tuple[int, str], deque[tuple[int, Levels]]] = {}
        self.sequencer = StreamSession(TICKERS, channels=[BOOK, "trade"])
        self.engine = TradingEngine(
            EngineState(markets=[market_of(ticker) for ticker in TICKERS], now=T0),
            RiskLimits(min_edge=None, max_orders_per_minute=None, price_collar=None, max_api_errors=None),
            [Eager(None)] if is_eager else [], new_id=lambda: f"o{next(self._ids)}", order_expiry_s=60,
        )  # fmt: skip
        headers = Signer("alice-key", KEY, self.clock).headers("GET", STREAM_PATH)
        connection = self.exchange.connect({name.lower(): text for name, text in headers.items()}, STREAM_PATH, T0)
        assert isinstance(connection, Connection)
        self.connection = connection
        self.engine.step(FeedState(T0, is_live=True))
        self.sequencer.connect()
        self.settle()

    def _listed(self) -> SimulatedExchange:
        """Two markets of two events, and a maker who is rich."""
        ids = itertools.count(1)
        exchange = SimulatedExchange(
            new_id=lambda: f"{next(ids):08d}-0000-4000-8000-000000000000",
            options=ExchangeOptions(read_rate=0, write_rate=0),
        )
        exchange.list_series(SeriesSpec(ticker="KXSIM", title="Simulated"))
        for ticker in TICKERS:
            event = ticker.rpartition("-")[0]
            exchange.list_event(EventSpec(event_ticker=event, series_ticker="KXSIM", title="Some"), T0)
            close = Ts(T0 + YEAR_MS)
            exchange.list_market(
                MarketSpec(ticker=ticker, event_ticker=event, title="Above 3?", open_time=T0, close_time=close), T0
            )
        for name in ("alice", "maker", "taker"):
            exchange.add_account(name, dollars(1_000_000_000))
        pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        exchange.register_key("alice", "alice-key", pem)
        exchange.advance(T0)
        return exchange

    # -- the exchange -----------------------------------------------------------------------------------------------

    def act(self) -> None:
        """Somebody rests, cancels or takes; the program hears of it, and is asked for a decision as time passes."""
        self.clock.advance(0.01)
        now, rng, ticker = self.clock.now(), self.rng, self.rng.choice(TICKERS)
        what = rng.random()
        if len(self._resting) > MOST_RESTING or (what < 0.35 and self._resting):
            self.exchange.cancel("maker", self._resting.popleft(), now)
        elif what < 0.5:
            side = rng.choice((BID, ASK))
            taking = NewOrder(
                ticker=ticker, side=side, price=cents(99 if side is BID else 1), qty=contracts(rng.randrange(1, 30)),
                tif=TimeInForce.IOC,
            )  # fmt: skip
            self.exchange.submit("taker", taking, now)
        else:
            side = rng.choice((BID, ASK))
            price = cents(rng.randrange(40, 50) if side is BID else rng.randrange(51, 60))
            resting = NewOrder(ticker=ticker, side=side, price=price, qty=contracts(rng.randrange(1, 20)))
            receipt = self.exchange.submit("maker", resting, now)
            if isinstance(receipt, OrderReceipt) and receipt.remaining:
                self._resting.append(receipt.order_id)
        self.settle()
        self.hear(Tick(now))

    def settle(self) -> None:
        """What the exchange sent arrives, and what the program asks is answered, until nobody says anything."""
        for _ in range(1_000):
            frames = list(self.connection.outbox)
            self.connection.outbox.clear()
            for frame in frames:
                self._note(frame)
                for arrived in self.wire(frame):
                    self.read(arrived)
            if not self.sequencer.outbox and not self.connection.outbox:
                return
            for command in self.sequencer.outbox:
                self.connection.receive(command.decode(), self.clock.now())
            self.sequencer.outbox.clear()
        raise AssertionError("they talk without end")

    def _note(self, text: str) -> None:
        """Fold a frame into the truth, as simply as can be."""
        frame: dict[str, Any] = json.loads(text)
        self.frames += 1
        if frame["type"] not in BOOK_TYPES:
            return
        msg = frame["msg"]
        versions = self._versions.setdefault((frame["sid"], msg["market_ticker"]), deque(maxlen=KEPT))
        if frame["type"] == "orderbook_snapshot":
            levels = {
                (side, _number(price, 10_000)): _number(qty, 100)
                for side in ("yes", "no")
                for price, qty in msg.get(f"{side}_dollars_fp", [])
            }
        else:
            self.deltas += 1
            levels = dict(versions[-1][1])
            at = msg["side"], _number(msg["price_dollars"], 10_000)
            levels[at] = levels.get(at, 0) + _number(msg["delta_fp"], 100)
            if not levels[at]:
                del levels[at]
        versions.append((frame["seq"], levels))

    # -- the program --------------------------------------------------------------------------------------------------

    def read_all(self, line: bytes) -> float:
        """Bytes as they come off a socket, through the reader and the engine as in a run; the seconds that it took."""
        framing, inbox, heard = Framing(), MessageQueue[Any](len(line)), deque[Any]()
        began = time.perf_counter()
        for at in range(0, len(line), CHUNK):
            now = self.clock.now()
            said: list[Any] = []
            for _, text in framing.feed(line[at : at + CHUNK]):
                said += self.sequencer.on_frame(text, now)
            inbox.put(said)
            inbox.take(heard)
            while heard:
                self.engine.step(heard.popleft())
        return time.perf_counter() - began

    def read(self, frame: str) -> None:
        for said in self.sequencer.on_frame(frame.encode(errors="surrogateescape"), self.clock.now()):
            if isinstance(said, FeedGap):
                self.gaps += 1
                if self._is_blind:
                    continue
            if isinstance(said, Message):
                self.hear(said)

    def hear(self, message: Message) -> None:
        """Take a message; every order that follows is held against the truth, and then refused by the exchange."""
        for effect in self.engine.step(message):
            if isinstance(effect, SubmitOrder):
                self.decisions += 1
                self.compare(effect.order.ticker)
                self.engine.step(OrderRejected(self.clock.now(), effect.order.client_order_id, "test"))
            elif isinstance(effect, ResyncBook):
                self.sequencer.resync((effect.ticker,))
            else:
                self.refusals += type(effect).__name__ == "OrderRefused"

    def ours(self, ticker: str) -> Levels:
        book = self.engine.state.books[ticker]
        return _levels({"yes": book.levels(BID), "no": book.levels(ASK)})

    def compare(self, ticker: str) -> None:
        """Our book is usable, and what the exchange had sent up to the frame that was read last."""
        sid, last = self.sequencer.book_mark or (0, None)
        if not self.engine.state.books[ticker].is_usable or last is None:
            raise WrongBookError(f"an order in {ticker} without a book")
        truth = next(levels for seq, levels in reversed(self._versions[sid, ticker]) if seq <= last)
        if self.ours(ticker) != truth:
            raise WrongBookError(f"{ticker} at {last} of {sid}: ours {self.ours(ticker)}, the exchange's {truth}")

    def finish(self) -> None:
        """The network is well again: what the program does when all is quiet must make every book the exchange's."""
        assert not self.engine.failed, self.engine.failed
        self.wire = lambda frame: (frame,)
        self.sequencer.probe()
        self.settle()
        for _ in range(3):
            self.sequencer.repair()
            self.settle()
        for ticker in TICKERS:
            self.compare(ticker)
            standing = {"yes": self.exchange.levels(ticker, BID), "no": self.exchange.levels(ticker, ASK)}
            assert self.ours(ticker) == _levels(standing), ticker


def framed(text: bytes) -> bytes:
    """A WebSocket frame of a server."""
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text


def _levels(sides: dict[str, list[tuple[Price, Qty]]]) -> Levels:
    return {(name, int(price)): int(qty) for name, levels in sides.items() for price, qty in levels}


def _number(text: str, scale: int) -> int:
    return int(Decimal(text) * scale)


def market_of(ticker: str) -> Market:
    return Market(
        ticker=ticker, event_ticker=ticker.rpartition("-")[0], title="", status=MarketStatus.ACTIVE, grid=CENT_GRID,
        yes_bid=None, yes_bid_size=Qty(0), yes_ask=None, yes_ask_size=Qty(0), last=Price(5_000), volume=Qty(0),
        volume_24h=Qty(0), open_interest=Qty(0), open_time=T0, close_time=Ts(T0 + YEAR_MS),
    )  # fmt: skip
