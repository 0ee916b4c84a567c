"""One tape under one set of strategies: what came of it with the reference engine, and with the compiled loop."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, cents, contracts, dollars
from kalshi_cli.compiled.rows import BookRows, TapeItem
from kalshi_cli.config.config import Config
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.model.intents import Amend, Cancel, Intent, Place
from kalshi_cli.core.model.messages import MarketChange, Message
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.feeds.recorded_results import MarketResult
from kalshi_cli.services.research.backtest import backtest
from kalshi_cli.services.research.recorded_run import set_up
from kalshi_cli.services.trading.reports.run_summary import RunPlan
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.strategies.registry import BUILT_IN

PLAN = RunPlan(
    run_id="replay", pid=1, strategy="any", env="sim", mode="backtest", words="a comparison", markets=1,
    duration_s=None, status_every_s=60.0, stop_budget_s=10.0,
)  # fmt: skip
DEFAULT = RiskLimits(max_daily_loss=None, max_drawdown=None)
LOOSE = RiskLimits(
    max_daily_loss=None, max_drawdown=None, max_position=None, max_exposure=None, max_order_qty=None,
    max_order_cost=None, price_collar=None, max_orders_per_minute=None, min_edge=None,
)  # fmt: skip
GUARDED = RiskLimits(max_daily_loss=None, max_drawdown=None, max_spread=cents(20), stop_loss_pct=80)
"""With exits, which look at every change of a book."""
SPREAD = RiskLimits(max_daily_loss=None, max_drawdown=None, max_spread=cents(5), min_edge=None)
"""With the limit on the spread that every configuration has: a book is looked at when its prices change, and later."""
REQUIRED = {"model-edge": {"source": "tape"}, "news": {"source": "tape"}}
REFERENCES: Mapping[str, str] = Config().references


class Restless(Strategy):
    """Rests, moves, takes and cancels at random wherever it may: queues, fills and refusals of every kind."""

    def __init__(self, watches: Watches, seed: int = 1) -> None:
        super().__init__(StrategyParams())
        self.watches = watches  # type: ignore[misc]
        self.name = f"restless-{watches}"  # type: ignore[misc]
        self._dice = random.Random(seed)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        yield from self._act(view, ticker, 0.05)

    def on_fill(self, view: StrategyContext, fill: Fill) -> Iterator[Intent]:
        yield from self._act(view, fill.ticker, 0.5)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for ticker in view.tickers:
            yield from self._act(view, ticker, 0.3)

    def _act(self, view: StrategyContext, ticker: str, chance: float) -> Iterator[Intent]:
        dice, book, market = self._dice, view.book(ticker), view.market(ticker)
        if dice.random() >= chance or market is None:
            return
        orders = view.orders(ticker)
        if len(orders) > 4:
            for order in orders[:2]:
                yield Cancel(order.client_order_id, reason="too many")
        if orders and dice.random() < 0.3:
            order = dice.choice(orders)
            at = view.snap(ticker, order.side, max(1, min(ONE_DOLLAR - 1, order.price + dice.choice((-200, 0, 100)))))
            if at is not None:
                yield Amend(order.order_id, at, contracts(dice.randrange(1, 9)), fair=Price(5_000))
            return
        side = dice.choice((BID, ASK))
        near, far = (book.best_bid, book.best_ask) if side is BID else (book.best_ask, book.best_bid)
        price = dice.choice((near, near, far))
        if price is None:
            return
        at = view.snap(ticker, side, max(1, min(ONE_DOLLAR - 1, price - side.sign * dice.choice((0, 0, 100, -100)))))
        if at is not None:
            tif = dice.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))
            is_post_only = tif is TimeInForce.GTC and dice.random() < 0.5
            qty = contracts(dice.randrange(1, 40))
            yield Place(
                ticker, side, at, qty, fair=Price(5_000), tif=tif, post_only=is_post_only, expires_in_s=30.0,
                reduce_only=tif is TimeInForce.IOC and dice.random() < 0.5,
            )  # fmt: skip


class Outcome(NamedTuple):
    """What a backtest came to. All of it must be the same."""

    fills: tuple[Fill | Settlement, ...]
    net: int
    fees: int
    drawdown: int
    orders: int
    refused: tuple[tuple[str, int], ...]
    failed: tuple[str, ...]
    curve: tuple[tuple[Ts, int], ...]
    calls: int
    look_again_at: tuple[Ts, ...]


class Comparison(NamedTuple):
    """Both outcomes, and the CPU seconds of each."""

    reference: Outcome
    compiled: Outcome
    reference_s: float
    compiled_s: float
    changes: int

    @property
    def difference(self) -> str:
        """Return the first field that differs, with both values; empty if none does."""
        for name, ours, theirs in zip(Outcome._fields, self.reference, self.compiled, strict=True):
            if ours != theirs:
                if isinstance(ours, tuple) and isinstance(theirs, tuple):
                    at = next((n for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), -1)
                    return (
                        f"{name} {len(ours)}/{len(theirs)}, first at {at}: {ours[at : at + 1]} / {theirs[at : at + 1]}"
                    )
                return f"{name}: {ours} / {theirs}"
        return ""


def strategies_of(name: str) -> list[Strategy]:
    """Return a built-in strategy by name, all of them at once, or one of ours that trades at random."""
    if name == "all":
        return [each for one in BUILT_IN for each in strategies_of(one)]
    if name.startswith("restless-"):
        watches: Watches = name.removeprefix("restless-")  # type: ignore[assignment]
        return [Restless(watches)]
    return [registry.make(name, REQUIRED.get(name, {}))]


CASES: dict[str, RiskLimits] = {
    **dict.fromkeys(BUILT_IN, DEFAULT),
    "all": LOOSE,
    **dict.fromkeys(("restless-price", "restless-top", "restless-depth"), LOOSE),
}
"""What each tape is replayed with."""


def results_in(tape: Iterable[TapeItem]) -> dict[str, MarketResult]:
    """Return the results that the tape tells, some only after its end."""
    found = (item.market for item in tape if isinstance(item, MarketChange))
    return {
        market.ticker: MarketResult(result=market.result, value=market.settlement_value)
        for market in found
        if market.settlement_value is not None
    }


def replay(
    tape: Sequence[TapeItem], name: str, limits: RiskLimits, *, is_compiled: bool, fill_model: str = "proportional"
) -> tuple[Outcome, float]:
    """Return the outcome of a backtest, and its CPU seconds."""
    ids = count(1)
    engine, venue, drive = set_up(
        limits, strategies_of(name), cash=dollars(10_000), new_id=lambda: f"c{next(ids)}", references=REFERENCES,
        order_expiry_s=90.0, latency_ms=150, is_compiled=is_compiled, fill_model=fill_model,
        results=results_in(tape),
    )  # fmt: skip
    began = time.process_time()
    report = backtest(PLAN, engine, tape, venue, ManualClock(Ts(0)), drive)  # type: ignore[arg-type]
    took = time.process_time() - began
    summary = report.summary
    return Outcome(
        fills=tuple(engine.state.ledger.entries),
        net=summary.net,
        fees=summary.fees,
        drawdown=report.max_drawdown,
        orders=summary.orders,
        refused=tuple(sorted(summary.denied.items())),
        failed=engine.failed,
        curve=report.curve[:-1],
        calls=engine.hooks.calls,
        look_again_at=tuple(map(engine.exits.look_again_at, engine.state.books)),
    ), took


def compare(
    messages: Sequence[Message],
    tape: Sequence[TapeItem],
    name: str,
    limits: RiskLimits | None = None,
    fill_model: str = "proportional",
) -> Comparison:
    """Replay the messages with the reference engine, and the same as rows with the compiled loop."""
    limits = CASES[name] if limits is None else limits
    reference, reference_s = replay(messages, name, limits, is_compiled=False, fill_model=fill_model)
    compiled, compiled_s = replay(tape, name, limits, is_compiled=True, fill_model=fill_model)
    changes = sum(len(item.rows) for item in tape if isinstance(item, BookRows))
    return Comparison(reference, compiled, reference_s, compiled_s, changes)
