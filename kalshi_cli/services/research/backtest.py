"""The loop over recordings, without a store: what was made or lost, and when."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.account.pnl import ProfitAndLoss, group_by
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.messages import Message, Tick
from kalshi_cli.services.runner import VenueProtocol, run
from kalshi_cli.services.trading.run_summary import RunPlan, RunSummary, StrategyResults, summarize
from kalshi_cli.views.positions import PnlRow
from kalshi_cli.views.runs import BacktestView


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Recordings, in any order; results say how their markets ended."""

    strategies: tuple[str, ...]
    files: tuple[Path, ...]
    results: tuple[Path, ...] = ()
    params: dict[str, str] = {}
    latency_ms: int = 150


class BacktestReport(msgspec.Struct, frozen=True, kw_only=True):
    """The run, the deepest fall of its equity from a peak, and what each market made or lost.

    `curve` is what was made or lost until when, in recorded time, where it changed.
    """

    summary: RunSummary
    max_drawdown: Money
    markets: dict[str, ProfitAndLoss]
    curve: tuple[tuple[Ts, Money], ...]


MAX_POINTS = 20_000
"""Of a curve; of a longer one every second point is left out, as often as it takes."""


class Unrecorded:
    """A backtest leaves nothing behind."""

    def record(self, effect: Effect) -> None:
        """Forget it."""


def backtest(
    plan: RunPlan, engine: TradingEngine, feed: Iterable[Message], venue: VenueProtocol, clock: Clock
) -> BacktestReport:
    """The same loop over a recording; equity is looked at on every tick."""
    score = StrategyResults(engine)
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

    run(feed, engine, venue, Unrecorded(), look)
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
    )


def add_point(curve: list[tuple[Ts, Money]], ts: Ts, net: Money) -> None:
    """Where it changed; the first point stays, and there are never more than MOST_POINTS."""
    if not curve or curve[-1][1] != net:
        curve.append((ts, net))
    if len(curve) > MAX_POINTS:
        del curve[1::2]


def backtest_view(report: BacktestReport) -> BacktestView:
    """Return the numbers of a run, and what each market made or lost."""
    rows = tuple(PnlRow.of(part, key=ticker) for ticker, part in report.markets.items())
    return BacktestView.of(report.summary, max_drawdown=report.max_drawdown, rows=rows)
