"""The settings and the recordings that a saved report of a backtest names."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kalshi_cli.base.units import format_ts, show_money
from kalshi_cli.config.config import Config
from kalshi_cli.services.research.backtest import BacktestReport, BacktestRequest, backtest_view
from kalshi_cli.services.research.recorded_data import lake_recordings
from kalshi_cli.services.trading.reports.run_settings import changed, run_settings
from kalshi_cli.strategies.registry import load
from kalshi_cli.views.runs import BacktestView

OF_RECORDINGS = ("gaps", "sim.seed", "since", "until", "markets", "results")
"""Settings that only a backtest has."""

_OFF = ("risk.max_daily_loss", "risk.max_drawdown")
"""Limits that a backtest does not apply."""


def made_with(report: BacktestReport, config: Config, request: BacktestRequest) -> BacktestView:
    """Return the view of a report with its settings, and the names of its recordings and files.

    A report itself has neither: the same recording in the lake and in a file gives the same report.
    """
    settings = settings_of(config, request, [each.strategy for each in report.summary.strategies])
    return msgspec.structs.replace(backtest_view(report), settings=settings, recordings=recordings_of(request))


def settings_of(config: Config, request: BacktestRequest, names: Iterable[str]) -> dict[str, str]:
    """Return what made a backtest beside parameters and recordings; `names` are those of the strategies."""
    interval_s = config.trade.interval_s if request.interval_s is None else request.interval_s
    of_run = run_settings(config, request.strategies, names, interval_s)
    settings = {name: value for name, value in of_run.items() if name not in _OFF} | {"gaps": request.holes}
    settings |= {f"sim.{name}": text for name, text in changed(config.sim, ("seed",))}
    settings |= {
        name: format_ts(ts) for name, ts in (("since", request.since), ("until", request.until)) if ts is not None
    }
    if request.tickers:
        settings["markets"] = ",".join(request.tickers)
    if request.results:
        settings["results"] = ",".join(path.name for path in request.results)
    return settings


def recordings_of(request: BacktestRequest) -> tuple[str, ...]:
    """Return the names of the recordings of a request: sessions of the lake, and files."""
    sessions = lake_recordings(request.lake, request)[2] if request.lake is not None else ()
    return (*(each.session for each in sessions), *(path.name for path in request.files))


def settings_of_variants(config: Config, request: BacktestRequest) -> dict[str, str]:
    """Return what made every variant of a comparison or a search beside its parameters and recordings."""
    names = [load(spec).name for spec in request.strategies]
    return settings_of(config, request, names) | {"starting cash": show_money(config.sim.starting_cash)}
