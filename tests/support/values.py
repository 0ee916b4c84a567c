"""Markets, orders, fills, books, states and engines: a test names only the fields that it is about."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.intents import Intent
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Balance, Settlement
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies.base import Strategy, StrategyParams

NOW = Ts(1_780_000_000_000)
HOUR = 3_600_000


class Scripted(Strategy):
    """Yields what a test puts in `wants`, at the next tick."""

    def __init__(self, name: str) -> None:
        super().__init__(StrategyParams())
        self.name = name  # type: ignore[misc]
        self.wants: list[Intent] = []

    def on_tick(self, _view: StrategyContext) -> Iterable[Intent]:
        while self.wants:
            yield self.wants.pop(0)


def make_market(ticker: str = "KXA-1", **changes: Any) -> Market:
    fields: dict[str, Any] = {
        "event_ticker": "KXA",
        "title": "Will it?",
        "status": MarketStatus.ACTIVE,
        "grid": CENT_GRID,
        "yes_bid": cents(40),
        "yes_bid_size": contracts(100),
        "yes_ask": cents(44),
        "yes_ask_size": contracts(100),
        "last": cents(42),
        "volume": contracts(1000),
        "volume_24h": contracts(100),
        "open_interest": contracts(50),
        "open_time": Ts(NOW - HOUR),
        "close_time": Ts(NOW + HOUR),
    }
    return Market(ticker=ticker, **(fields | changes))


def make_order(client_order_id: str = "c1", **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "ticker": "KXA-1",
        "side": BID,
        "price": cents(40),
        "qty": contracts(10),
        "status": OrderStatus.RESTING,
        "created": NOW,
        "updated": NOW,
    }
    return Order(client_order_id=client_order_id, **(fields | changes))


def make_fill(trade_id: str = "t1", **changes: Any) -> Fill:
    fields: dict[str, Any] = {
        "order_id": "o1",
        "ticker": "KXA-1",
        "side": BID,
        "price": cents(40),
        "qty": contracts(10),
        "fee": Money(0),
        "is_taker": False,
        "ts": NOW,
    }
    return Fill(trade_id=trade_id, **(fields | changes))


def hold_position(state: EngineState, strategy: str = "s", trade_id: str = "t1", **changes: Any) -> None:
    """Book a fill with the account and with the strategy whose order it was."""
    fill = make_fill(trade_id, **changes)
    state.ledger.book(fill)
    state.record_own_fill(strategy, fill)


def make_settlement(**changes: Any) -> Settlement:
    fields: dict[str, Any] = {
        "ticker": "KXA-1",
        "event_ticker": "KXA",
        "result": "yes",
        "value": Price(10_000),
        "yes_qty": contracts(10),
        "no_qty": Qty(0),
        "revenue": Money(10_000_000),
        "fee": Money(0),
        "ts": Ts(NOW + HOUR),
    }
    return Settlement(**(fields | changes))


def make_balance() -> Balance:
    return Balance(cash=Money(1_000_000_000), portfolio_value=Money(0), ts=NOW)


def make_book(bid: int = 40, ask: int = 44, *, size: int = 100, ticker: str = "KXA-1", ts: int = NOW) -> BookSnapshot:
    return BookSnapshot(Ts(ts), ticker, ((cents(bid), contracts(size)),), ((cents(ask), contracts(size)),))


def make_state(*markets: Market, **fields: Any) -> EngineState:
    return EngineState(markets=markets or (make_market(),), now=NOW, **fields)


def make_engine(*strategies: Any, limits: RiskLimits | None = None, state: EngineState | None = None) -> TradingEngine:
    ids: Iterator[int] = count(1)
    new_id: Callable[[], str] = lambda: f"id{next(ids)}"  # noqa: E731
    return TradingEngine(
        state or make_state(),
        limits or RiskLimits(min_edge=None),
        strategies,
        new_id=new_id,
        order_expiry_s=90,
    )


Open = Callable[..., Store]
Child = Callable[[Callable[[], None]], int]


def full_order(client_order_id: str = "c1", **changes: Any) -> Order:
    known: dict[str, Any] = {
        "ticker": "KXBTC-26JUN11-T100",
        "side": ASK,
        "price": cents(47),
        "qty": contracts(10),
        "status": OrderStatus.SUBMITTED,
        "created": NOW,
        "updated": NOW,
        "tif": TimeInForce.GTC,
        "post_only": True,
        "reduce_only": True,
        "expires": Ts(NOW + 90_000),
        "exchange_index": 3,
        "strategy": "fade",
        "fair": cents(45),
        "reason": "dear against fair",
    }
    return Order(client_order_id=client_order_id, **{**known, **changes})


def full_fill(trade_id: str = "t1", **changes: Any) -> Fill:
    known: dict[str, Any] = {
        "order_id": "o1",
        "ticker": "KXBTC-26JUN11-T100",
        "side": BID,
        "price": cents(47),
        "qty": contracts(2),
        "fee": Money(17_500),
        "is_taker": True,
        "ts": NOW,
        "client_order_id": "c1",
    }
    return Fill(trade_id=trade_id, **{**known, **changes})


def full_settlement(ticker: str = "KXBTC-26JUN11-T100", **changes: Any) -> Settlement:
    known: dict[str, Any] = {
        "event_ticker": "KXBTC-26JUN11",
        "result": "yes",
        "value": cents(100),
        "yes_qty": contracts(2),
        "no_qty": contracts(1),
        "revenue": Money(2_000_000),
        "fee": Money(100),
        "ts": Ts(NOW + 1_000),
    }
    return Settlement(ticker=ticker, **{**known, **changes})


def fork(work: Callable[[], None]) -> int:
    """Fork a process that does the work; its pid. The caller waits for it."""
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(99)
        os._exit(0)
    return child
