"""What running and operating prints: runs, backtests, health, status, settings. Rules as in `rows`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.views.formats import Gain, Prose, Ratio, Standing, Verdict
from kalshi_cli.views.halts import standing
from kalshi_cli.views.positions import PnlRow
from kalshi_cli.views.row import Row

if TYPE_CHECKING:
    from kalshi_cli.config.sources import Setting
    from kalshi_cli.desk.backtest import BacktestReport
    from kalshi_cli.desk.health import Finding
    from kalshi_cli.desk.status import Status
    from kalshi_cli.desk.summary import Summary


class StrategyPartRow(Row, frozen=True, kw_only=True):
    """What one strategy of a run did; `(none)` is whoever else traded meanwhile. `net` and `fees` add up."""

    strategy: str
    live_orders: int
    at_risk: Money
    budget: Money | None
    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain

    shown = ("strategy", "net", "realized", "unrealized", "fees", "at_risk", "budget", "live_orders")


class TradeSummary(Row, frozen=True, kw_only=True):
    """One run of `trade`; `denied` counts refusals by code, `day_net` is the net of the trading day."""

    strategy: str
    env: str
    mode: str
    uptime_s: float
    cycles: int
    intents: int
    orders: int
    fills: int
    maker_fills: int
    taker_fills: int
    open_positions: int
    live_orders: int
    win_rate: Ratio | None
    denied: dict[str, int]
    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain
    balance: Money | None
    day_net: Gain
    stopped_by: str
    strategies: tuple[StrategyPartRow, ...]


def trade_summary(summary: Summary) -> TradeSummary:
    parts = tuple(StrategyPartRow.of(part, strategy=part.strategy or "(none)") for part in summary.parts)
    return TradeSummary.of(summary, strategies=parts)


class BacktestView(Row, frozen=True, kw_only=True):
    """A run over recordings, its deepest fall from a peak, and what each market made or lost."""

    strategy: str
    intents: int
    orders: int
    fills: int
    maker_fills: int
    taker_fills: int
    win_rate: Ratio | None
    denied: dict[str, int]
    realized: Gain
    unrealized: Gain
    fees: Money
    net: Gain
    max_drawdown: Money
    balance: Money | None
    rows: tuple[PnlRow, ...]


def backtest_report(report: BacktestReport) -> BacktestView:
    return BacktestView.of(
        report.summary,
        max_drawdown=report.max_drawdown,
        rows=tuple(PnlRow.of(part, key=ticker) for ticker, part in report.markets.items()),
    )


class HealthRow(Row, frozen=True, kw_only=True):
    check: str
    status: Verdict
    latency_ms: float | None
    detail: Prose
    hint: Prose | None


def health_row(finding: Finding) -> HealthRow:
    return HealthRow.of(finding, status=finding.verdict.name, hint=finding.hint or None)


class StatusView(Row, frozen=True, kw_only=True):
    """What runs here, and how it is doing. `strategy` to `cycles` are those of the last run; what only holds while it
    runs, `uptime_s` and from `feed_age_s` on, is missing once it `ended`.
    """

    env: str
    mode: str
    trading_day: str
    running: bool
    pid: int | None
    stalled_since: Ts | None
    state: Standing
    paused: bool
    state_code: str | None
    state_reason: Prose | None
    state_since: Ts | None
    open_positions: int
    unknown_orders: int
    resting_orders: int
    resting_until: Ts | None
    triggered_groups: tuple[str, ...]
    flatten_asked: Ts | None
    blind_since: Ts | None
    strategy: str | None
    failed_strategies: tuple[str, ...]
    started: Ts | None
    uptime_s: float | None
    last_cycle: Ts | None
    cycles: int | None
    ended: Ts | None
    ended_in_order: bool | None
    stopped_by: Prose | None
    exit_code: int | None
    feed_age_s: float | None
    feed_lag_s: float | None
    no_book: Prose | None
    waiting: Prose | None
    cash: Money | None
    day_pnl: Gain | None
    sources: tuple[str, ...]
    stale_sources: tuple[str, ...]


def status_view(status: Status) -> StatusView:
    halt, cycle, running = status.halt, status.cycle, status.running
    return StatusView(
        env=status.env,
        mode=status.mode,
        trading_day=status.trading_day,
        running=status.is_running,
        pid=status.pid,
        stalled_since=status.stalled_since,
        state=standing(halt),
        paused=halt.is_pause,
        state_code=halt.code or None,
        state_reason=Prose(halt.reason) if halt.reason else None,
        state_since=halt.since or None,
        open_positions=status.open_positions,
        unknown_orders=status.unknown_orders,
        resting_orders=status.resting_orders,
        resting_until=status.resting_until,
        triggered_groups=status.triggered_groups,
        flatten_asked=status.flatten_asked,
        blind_since=status.blind_since,
        strategy=cycle.strategy if cycle else None,
        failed_strategies=tuple(f"{alert.subject} {alert.code}" for alert in status.failed),
        started=cycle.started if cycle else None,
        uptime_s=(running.completed - running.started) / 1000 if running else None,
        last_cycle=cycle.completed if cycle else None,
        cycles=cycle.cycles if cycle else None,
        ended=status.ended,
        ended_in_order=status.ended_in_order,
        stopped_by=Prose(status.stopped_by) if status.stopped_by else None,
        exit_code=status.exit_code,
        feed_age_s=running.feed_age_ms / 1000 if running and running.feed_age_ms is not None else None,
        feed_lag_s=running.feed_lag_ms / 1000 if running and running.feed_lag_ms is not None else None,
        no_book=Prose(running.no_book) if running and running.no_book else None,
        waiting=Prose(running.waiting) if running and running.waiting else None,
        cash=running.cash if running else None,
        day_pnl=Gain(running.day_pnl) if running and running.day_pnl is not None else None,
        sources=tuple(source.name for source in status.sources),
        stale_sources=status.stale_sources,
    )


class SettingRow(Row, frozen=True, kw_only=True):
    """A configured value and who said so: flag, variable, file or default."""

    path: str
    value: Prose
    origin: Prose


def setting_row(setting: Setting) -> SettingRow:
    return SettingRow.of(setting)


class PathRow(Row, frozen=True, kw_only=True):
    what: str
    path: str
    exists: bool


def path_row(what: str, path: Path) -> PathRow:
    return PathRow(what=what, path=str(path), exists=path.exists())
