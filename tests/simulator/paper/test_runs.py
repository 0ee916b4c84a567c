"""The whole loop over half a recorded minute: engine and venue keep separate books of one account, and they agree."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from support.places import SHARED

from kalshi_cli.base.units import Ts, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.model.effects import Effect, SettlementBooked, SubmitOrder
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import PublicTrade
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.stream.sequencing import recorded_frames
from kalshi_cli.feeds.recorded_results import read_results
from kalshi_cli.feeds.replay import Replay
from kalshi_cli.services.runner import run
from kalshi_cli.simulator.paper.venue import PaperVenue

DATA = SHARED / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no recordings beside the repository (shared/data)")


class Quoter:
    """Rests a bid and an ask at the best prices and follows them."""

    name = "quoter"
    is_hedged = False
    watches: Watches = "depth"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        book = view.book(ticker)
        orders = view.orders(ticker)
        for side, best in ((BID, book.best_bid), (ASK, book.best_ask)):
            mine = [order for order in orders if order.side is side]
            if best is None:
                continue
            if not mine:
                yield Place(ticker, side, best, contracts(5), reason="quote")
            elif mine[0].price != best:
                yield Cancel(mine[0].client_order_id, "the best moved")

    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> None: ...
    def on_fill(self, view: StrategyContext, fill: Fill) -> None: ...
    def on_tick(self, view: StrategyContext) -> None: ...


class Journal:
    def __init__(self) -> None:
        self.effects: list[Effect] = []

    def record(self, effect: Effect) -> None:
        self.effects.append(effect)


def backtest(latency_ms: int = 150) -> tuple[EngineState, PaperVenue, Journal]:
    numbers = count(1)
    trades = count(1)
    state = EngineState(now=Ts(0))
    limits = RiskLimits(min_edge=None, max_orders_per_minute=None, price_collar=None)
    engine = TradingEngine(state, limits, [Quoter()], new_id=lambda: f"c{next(numbers)}", order_expiry_s=30)  # type: ignore[list-item]
    venue = PaperVenue(
        cash=dollars(1000), fees=lambda _: FeeSchedule(), new_id=lambda: f"v{next(trades)}", latency_ms=latency_ms
    )
    feed = Replay(
        [DATA / "ws" / "kxbtc15m-20260511T0531Z.jsonl.gz"],
        new_decoder=lambda use_yes_price: recorded_frames(use_yes_price=use_yes_price),
        results=read_results(DATA / "results" / "kxbtc15m.json"),
    )
    journal = Journal()
    run(feed, engine, venue, journal)
    return state, venue, journal


def test_engine_and_venue_agree_on_fills_positions_and_cash_after_settlement() -> None:
    state, venue, journal = backtest()
    assert any(isinstance(effect, SubmitOrder) for effect in journal.effects)
    assert any(isinstance(effect, SettlementBooked) for effect in journal.effects)
    assert state.ledger.cash == venue.ledger.cash == venue.cash - dollars(1000) != 0
    assert dict(state.ledger.positions) == dict(venue.ledger.positions)
    assert state.orders.live() == []


def test_the_same_recording_gives_the_same_run() -> None:
    first, second = backtest()[2].effects, backtest()[2].effects
    assert first == second
    assert first != backtest(latency_ms=900)[2].effects
