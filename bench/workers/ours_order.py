"""A frame of the book in, its order reviewed by the engine, recorded on the disk, sent and acknowledged.

Between two measured frames the order ends, so that each is decided among as many orders, and, with ready signatures,
the loop has its idle moment.
"""

import random
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from pathlib import Path

from bench.deltas import TICKER
from bench.worker import Each, serve
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Qty, Ts, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import Effect, SubmitOrder
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import Family, Market, MarketStatus
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedState, Message, OrderCanceled
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.exchange.rest.rate_limits import KNOWN_COSTS, RateLimiter
from kalshi_cli.exchange.rest.signing import Signer, load_key
from kalshi_cli.exchange.stream.frames import decode_frame, to_message
from kalshi_cli.exchange.wire.account import ApiLimits, TokenBucketLimits
from kalshi_cli.services.runner import process_messages
from kalshi_cli.simulator.model.price_grids import STRUCTURES
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies.base import Strategy, StrategyParams

base_url, key_path, file, folder, how = sys.argv[1:]
clock = SystemClock()
frames = cycle(Path(file).read_bytes().splitlines())
no_limit = TokenBucketLimits(10**9, 10**9)


class Follower(Strategy):
    """Bids at the best bid, at every change."""

    name = "follower"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        book = view.book(ticker)
        if book.best_bid is not None:
            yield Place(ticker, BID, book.best_bid, contracts(10), fair=book.best_ask, reason="bench")


class Acknowledging:
    """The venue, which notes when it has the exchange's answer: what the loop records after it is not measured."""

    def __init__(self, venue: LiveVenue, now: Callable[[], int]) -> None:
        self._venue = venue
        self._now = now
        self.at = 0

    def observe(self, message: Message) -> Iterable[Message]:
        return self._venue.observe(message)

    def perform(self, effect: Effect) -> Iterable[Message]:
        replies = self._venue.perform(effect)
        if isinstance(effect, SubmitOrder):
            self.at = self._now()
        return replies


MARKET = Market(
    ticker=TICKER,
    event_ticker="KXBTC15M-26MAY131215",
    title="Up?",
    status=MarketStatus.ACTIVE,
    grid=STRUCTURES["deci_cent"],
    yes_bid=None,
    yes_bid_size=Qty(0),
    yes_ask=None,
    yes_ask_size=Qty(0),
    last=None,
    volume=Qty(0),
    volume_24h=Qty(0),
    open_interest=Qty(0),
    open_time=Ts(clock.now() - 1_000_000),
    close_time=Ts(clock.now() + 86_400_000),
)
LIMITS = RiskLimits(
    max_orders_per_minute=None, min_edge=None, price_collar=None, max_book_age_ms=None, max_order_qty=Qty(100_000)
)


with (
    KalshiClient(
        base_url,
        clock=clock,
        rng=random.Random(1),
        signer=Signer("bench", load_key(Path(key_path)), clock),
        limiter=RateLimiter(clock, ApiLimits("bench", no_limit, no_limit), KNOWN_COSTS),
        presign=how == "presign",
    ) as client,
    Store.open(Path(folder) / f"{how}.db", account="bench", environment="bench") as store,
):
    family = Family(event_ticker=MARKET.event_ticker)
    state = EngineState(markets=[MARKET], families={MARKET.event_ticker: family}, now=clock.now())
    engine = TradingEngine(
        state, LIMITS, [Follower(StrategyParams())], new_id=lambda: uuid.uuid4().hex, order_expiry_s=90.0
    )
    venue = LiveVenue(client, None, clock, live=lambda: (), since=clock.now())
    engine.step(FeedState(clock.now(), True))
    client.balance()  # connects, and shows the exchange's clock

    def react(now: Callable[[], int]) -> int:
        frame = decode_frame(next(frames))
        message = frame and to_message(frame, recv_ts=Ts(0), use_yes_price=False)
        assert isinstance(message, BookDelta | BookSnapshot)
        acknowledging = Acknowledging(venue, now)
        process_messages((message,), engine, acknowledging, store)
        return acknowledging.at

    def end() -> None:
        live = list(engine.state.orders.live())
        if not live:
            raise SystemExit("no order was acknowledged")
        for each in live:
            engine.step(OrderCanceled(clock.now(), each.order_id, each.client_order_id))
        while client.sign_ahead() <= clock.monotonic():
            pass

    react(int)
    serve({"order": Each(react, end)})
