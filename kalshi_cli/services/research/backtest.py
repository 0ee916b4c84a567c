"""Backtests: the trading loop over recordings, without a store, and its profit and loss over time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Money, Ts, format_ts
from kalshi_cli.core.account.pnl import ProfitAndLoss, group_by, sort_by_time
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import Effect, OrderRefused
from kalshi_cli.core.model.messages import Message, Tick
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.services.runner import VenueProtocol, run
from kalshi_cli.services.trading.run_summary import RunPlan, RunSummary, StrategyResults, summarize
from kalshi_cli.views.positions import PnlRow
from kalshi_cli.views.runs import BacktestView


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A backtest: recordings in any order, and files with the results of their markets."""

    strategies: tuple[str, ...]
    files: tuple[Path, ...]
    results: tuple[Path, ...] = ()
    params: dict[str, str] = {}
    latency_ms: int = 150


class BacktestReport(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a backtest, its maximum drawdown, and the profit and loss of each market.

    `curve` has the cumulative profit and loss in recorded time, one point per change. `refusals` are the first refusal
    of each code, `fills` every fill in order of time.
    """

    summary: RunSummary
    max_drawdown: Money
    markets: dict[str, ProfitAndLoss]
    curve: tuple[tuple[Ts, Money], ...]
    refusals: tuple[OrderRefused, ...] = ()
    fills: tuple[Fill, ...] = ()


MAX_POINTS = 20_000
"""Points of a curve; of a longer one every second point is dropped until it fits."""


class Unrecorded:
    """A store that keeps nothing but the first refusal of each code."""

    def __init__(self) -> None:
        self.refusals: dict[str, OrderRefused] = {}

    def record(self, effect: Effect) -> None:
        """Keep the first refusal of a code, and drop all other effects."""
        if isinstance(effect, OrderRefused):
            self.refusals.setdefault(effect.code, effect)


def backtest(
    plan: RunPlan, engine: TradingEngine, feed: Iterable[Message], venue: VenueProtocol, clock: Clock
) -> BacktestReport:
    """Run the trading loop over a recording, and measure equity on every tick."""
    score, store = StrategyResults(engine), Unrecorded()
    started = clock.now()
    cycles, peak, deepest = 0, 0, 0
    curve: list[tuple[Ts, Money]] = []

    def look(message: Message) -> None:
        nonlocal cycles, peak, deepest, started
        started = started or message.ts
        if isinstance(message, Tick):
            cycles += 1
            net = score.gained().net
            peak = max(peak, net)
            deepest = max(deepest, peak - net)
            add_point(curve, message.ts, net)

    run(feed, engine, venue, store, look)
    state = engine.state
    entries = state.ledger.entries
    summary = summarize(
        engine,
        score,
        plan,
        cycles=cycles,
        uptime_s=(clock.now() - started) / 1000,
        day_net=score.gained().net,
        stopped_by="end of data",
    )
    markets = group_by(entries, state.marks(), lambda ticker, _: ticker)
    return BacktestReport(
        summary=summary,
        max_drawdown=Money(deepest),
        markets=dict(sorted(markets.items())),
        curve=(*curve, (clock.now(), summary.net)),
        refusals=tuple(store.refusals.values()),
        fills=tuple(entry for entry in sort_by_time(entries) if isinstance(entry, Fill)),
    )


def add_point(curve: list[tuple[Ts, Money]], ts: Ts, net: Money) -> None:
    """Add a point where the value changed. The first point stays, and the number of points is limited."""
    if not curve or curve[-1][1] != net:
        curve.append((ts, net))
    if len(curve) > MAX_POINTS:
        del curve[1::2]


def backtest_view(report: BacktestReport) -> BacktestView:
    """Return the results of a backtest in total and by market."""
    rows = tuple(PnlRow.of(part, key=ticker) for ticker, part in report.markets.items())
    return BacktestView.of(report.summary, max_drawdown=report.max_drawdown, rows=rows)


def backtest_notes(report: BacktestReport) -> list[str]:
    """Return the first refusal of each code in words, or the likely causes if the strategies requested nothing."""
    if not report.summary.intents:
        return ["No orders were requested. Check the parameters, the markets, and that each hook uses `yield`"]
    return [
        f"Refused {report.summary.denied.get(refusal.code, 1)} by {refusal.code}; first {format_ts(refusal.ts)} "
        f"{refusal.ticker}" + (f": {refusal.detail}" if refusal.detail else "")
        for refusal in report.refusals
    ]
