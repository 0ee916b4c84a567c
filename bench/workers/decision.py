"""A book change through the engine with one strategy, `nothing` being one that has no hooks: what deciding costs.

An order is answered as one that the exchange refused, so that the strategy goes on deciding. Every contestant gets the
same messages, among them those that only some listen to: a coin's price each second, ticks, a model, news.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from bench.deltas import TICKER
from bench.worker import serve
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.markets import Family, Market, MarketStatus
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    FairValue,
    FeedState,
    Message,
    NewsSignal,
    OrderRejected,
    SpotPrice,
    Tick,
)
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.stream.frames import decode_frame, to_message
from kalshi_cli.simulator.model.price_grids import STRUCTURES
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams

frames = Path(sys.argv[1]).read_bytes().splitlines()
name = sys.argv[2]

REQUIRED = {"model-edge": {"source": "none"}, "news": {"source": "none"}}
BTC = 860_000_000
SECONDS_BEFORE = 420
"""So long a coin's price is told before the book opens: indicators have what they need."""


class Nothing(Strategy):
    """Never trades."""

    name = "nothing"


def engine_at(now: Ts) -> TradingEngine:
    market = Market(
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
        open_time=Ts(now - 1_000_000),
        close_time=Ts(now + 1_800_000),
        strike_type="greater",
        floor_strike=BTC / 10_000,
    )
    family = Family(event_ticker=market.event_ticker)
    state = EngineState(markets=[market], families={market.event_ticker: family}, now=Ts(now - SECONDS_BEFORE * 1000))
    strategy = (
        Nothing(StrategyParams()) if name not in registry.BUILT_IN else registry.make(name, REQUIRED.get(name, {}))
    )
    numbers = count(1)
    return TradingEngine(state, RiskLimits(), [strategy], new_id=lambda: f"c{next(numbers)}", order_expiry_s=90.0)


def spot(ts: int) -> SpotPrice:
    """Up and down by a hundredth of a percent."""
    return SpotPrice(Ts(ts), "BTC", BTC + (ts // 1000 * 7919 % 101 - 50) * 1_700, "bench", 1_000_000)


def messages(deltas: int) -> Iterator[Message]:
    """The book, and once a second what else there is."""
    told = 0
    for raw in frames[: deltas + 1]:
        frame = decode_frame(raw)
        message = frame and to_message(frame, recv_ts=Ts(0), use_yes_price=False)
        if not isinstance(message, BookDelta | BookSnapshot):
            continue
        ts = message.ts
        yield message
        if ts - told >= 1_000:
            told = ts
            yield spot(ts)
            if ts // 1000 % 2 == 0:
                yield Tick(ts)
            if ts // 1000 % 10 == 0:
                yield NewsSignal(ts, f"n{ts}", TICKER, BID, 8_000)
                yield FairValue(ts, TICKER, Price(4_500 + ts // 1000 * 31 % 1_000), "bench")


def first_ts() -> Ts:
    frame = decode_frame(frames[1])
    message = frame and to_message(frame, recv_ts=Ts(0), use_yes_price=False)
    assert isinstance(message, BookDelta)
    return message.ts


def prepare(deltas: int) -> Callable[[], str]:
    now = first_ts()
    engine = engine_at(now)
    for second in range(SECONDS_BEFORE, 0, -1):
        engine.step(spot(now - second * 1000))
    engine.step(FeedState(now, True))
    made = list(messages(deltas))

    def run() -> str:
        for message in made:
            for effect in engine.step(message):
                if isinstance(effect, SubmitOrder):
                    engine.step(OrderRejected(message.ts, effect.order.client_order_id, "BENCH", "nobody is there"))
        book = engine.state.books[TICKER]
        return f"{book.best_bid} {book.best_ask}"

    return run


serve({"decision": prepare}, str)
