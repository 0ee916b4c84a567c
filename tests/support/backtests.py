"""A backtest of a random recording of two markets, with their results, and its view."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec

from kalshi_cli import testing
from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Price, Ts, cents, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot, MarketChange, Message, PublicTrade, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.research.backtest import BacktestReport, backtest, backtest_view
from kalshi_cli.simulator.paper.venue import PaperVenue
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.views.formats import to_machine
from kalshi_cli.views.runs import BacktestView
from support.trading import PLAN

START = Ts(1_780_000_000_000)
TICKERS = ("KXSIM-26JUN-T1", "KXOTHER-26JUN-T1")


class Loser(Strategy):
    """Takes the ask every ten seconds and gives it back at the bid: it pays the spread and the fees each time."""

    name = "loser"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        if view.now % 10_000:
            return
        for ticker in TICKERS:
            book, held = view.book(ticker), view.position(ticker)
            price = book.best_bid if held else book.best_ask
            if price is not None and not view.orders(ticker):
                side: Side = ASK if held else BID
                yield Place(ticker, side, price, contracts(5), tif=TimeInForce.IOC, reason="spends")


def messages_of(seed: int, seconds: int = 300, *, has_result: bool = True) -> Iterator[Message]:
    """Books, trades and ticks of two markets, and their results."""
    rng = random.Random(seed)
    mids = dict.fromkeys(TICKERS, 50)
    markets = {
        ticker: testing.market(
            ticker=ticker, event_ticker=ticker.rpartition("-")[0], close_time=Ts(START + 1000 * seconds)
        )
        for ticker in TICKERS
    }
    yield from (MarketChange(START, market, FeeSchedule()) for market in markets.values())
    for second in range(seconds):
        now = Ts(START + second * 1000)
        for ticker in TICKERS:
            mid = mids[ticker] = min(90, max(10, mids[ticker] + rng.choice([-1, 0, 0, 1])))
            yield BookSnapshot(now, ticker, ((cents(mid - 1), contracts(20)),), ((cents(mid + 1), contracts(20)),))
            taker: Side = rng.choice([BID, ASK])
            at = cents(mid + taker.sign)
            yield PublicTrade(now, ticker, f"p{second}", at, contracts(rng.randint(1, 60)), taker)
        yield Tick(now)
    if has_result:
        end = Ts(START + 1000 * seconds)
        for ticker, market in markets.items():
            yield MarketChange(
                end,
                testing.market(
                    ticker=ticker, event_ticker=market.event_ticker, close_time=end, status=MarketStatus.FINALIZED,
                    result="no", settlement_value=Price(0), settlement_ts=end,
                ),
            )  # fmt: skip


def ran(messages: Iterator[Message], *strategies: Strategy) -> BacktestReport:
    """Return the report of a run without limits, with $1,000."""
    ids = count(1)
    engine = TradingEngine(
        EngineState(now=Ts(0)), RiskLimits(min_edge=None), strategies, new_id=lambda: f"c{next(ids)}",
        order_expiry_s=90.0,
    )  # fmt: skip
    fees = engine.state.fees
    venue = PaperVenue(
        cash=dollars(1_000), fees=lambda ticker: fees.get(ticker, FeeSchedule()), new_id=lambda: f"v{next(ids)}"
    )
    engine.step(venue.snapshot(engine.state.now))
    clock = ManualClock(Ts(0))

    def feed() -> Iterator[Message]:
        for message in messages:
            clock.set(message.ts)
            yield message

    return backtest(PLAN, engine, feed(), venue, clock)


def losing(seed: int = 1, *, has_result: bool = True) -> BacktestReport:
    """Return the report of the losing strategy."""
    return ran(messages_of(seed, has_result=has_result), Loser(StrategyParams()))


def save_report(path: Path, **changes: object) -> BacktestView:
    """Write the report of the losing backtest as `kalshi backtest` does, with some fields changed; return it."""
    view = msgspec.structs.replace(backtest_view(losing()), **changes)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(to_machine(BacktestView)(view)))
    return view
