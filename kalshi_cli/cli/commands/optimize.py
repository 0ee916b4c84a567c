"""`kalshi optimize`: search for the parameters of a strategy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli import backtest_files
from kalshi_cli.cli.options import open_services, require_extra, show_view, shows_every_field
from kalshi_cli.cli.parameters import CommandGroup, LakeFolder, argument, choice_option, flag, option
from kalshi_cli.cli.screen.output import info, warn

if TYPE_CHECKING:
    from kalshi_cli.services.research.search.cluster import SchedulerAddress

StrategyName = Annotated[str | None, argument("STRATEGY", "A built-in name, or FILE.py:Class.")]
Named = Annotated[str | None, option("--strategy", "NAME", "The same as STRATEGY, as `backtest` takes it.")]
Recordings = Annotated[list[Path] | None, argument("FILE...", "Recordings or files of outside prices.")]
Ranges = Annotated[
    list[str] | None, option("--param", "NAME=RANGE", "Search A..B, A..B/STEP or A,B,C; NAME=VALUE sets it.")
]
Holdout = Annotated[float, option("--holdout", "N", "Share of the recordings, the latest, kept apart.", min=0, max=0.9)]
OpenHoldout = Annotated[bool, flag("--open-holdout", "Judge the choice on the holdout; only once for a study.")]
SamplerChoice = Annotated[Any, choice_option("--sampler", ("tpe", "random", "grid"), "How trials are chosen (tpe).")]
OneFillModel = Annotated[
    Any, choice_option("--fills", backtest_files.FILLS[:-1], "Queue position: where canceled contracts stood.")
]
Gaps = Annotated[str, choice_option("--gaps", ("refuse", "forget", "ignore"), "What to do where data was lost.")]
Jobs = Annotated[int | None, option("--jobs", "N", "Local worker processes (one for each core).", min=1, max=64)]
Scheduler = Annotated[str | None, option("--scheduler", "ADDRESS", "Use the workers of a Dask scheduler.")]
app = CommandGroup("Search for the parameters of a strategy.")


@app.command("optimize")
def optimize(
    ctx: typer.Context,
    strategy: StrategyName = None,
    files: Recordings = None,
    named: Named = None,
    param: Ranges = None,
    trials: Annotated[int, option("--trials", "N", "Trials for each window.", min=1, max=100_000)] = 50,
    sampler: SamplerChoice = "tpe",
    windows: Annotated[int, option("--windows", "N", "Time windows of the search.", min=1, max=50)] = 3,
    holdout: Holdout = 0.2,
    open_holdout: OpenHoldout = False,
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="End poor trials early.")] = True,
    seed: Annotated[int, option("--seed", "N", "Seed of the sampler.", min=0)] = 1,
    study: Annotated[Path | None, option("--study", "FILE", "Study file, to resume it.")] = None,
    results: backtest_files.Results = None,
    lake: LakeFolder = None,
    series: backtest_files.LakeSeries = None,
    tickers: backtest_files.PlayedMarkets = None,
    since: backtest_files.LakeSince = None,
    until: backtest_files.LakeUntil = None,
    latency: backtest_files.Latency = None,
    latency_ms: backtest_files.LatencyMs = None,
    fills: OneFillModel = "proportional",
    interval: backtest_files.TickInterval = None,
    gaps: Gaps = "forget",
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    tls_ca: Annotated[Path | None, option("--tls-ca", "FILE", "CA certificate.")] = None,
    tls_cert: Annotated[Path | None, option("--tls-cert", "FILE", "Client certificate.")] = None,
    tls_key: Annotated[Path | None, option("--tls-key", "FILE", "Client private key.")] = None,
) -> None:
    """Search for strategy parameters.

    The score is the net less half of the maximum drawdown, median over time windows. Parameters are chosen on the first
    windows and judged on the next one. The latest recordings are a holdout, which `--open-holdout` opens once.

    Instead of files, `--series` or `--lake` uses the recordings of the lake (`kalshi data`). `--since`, `--until` and
    `--ticker` cut both; recordings without such data are left out. Give dates, not durations, to resume a study.

    The study is a file. The same command resumes it, also after Ctrl-C, and more --trials continue it. Other markets,
    fills, latency, interval or gaps begin a new one; they are those of `kalshi backtest`. The number of workers changes
    no result. A worker never has KALSHI_ variables. A scheduler on another machine must be tls://.

    \b
    kalshi optimize threshold tapes/*.jsonl.gz --param buy_below=20c..40c/2c --param sell_above=60c..80c --trials 50
    kalshi optimize threshold --series KXBTC15M --since 2026-05-13 --until 2026-05-15 --param buy_below=20c..40c
    kalshi optimize ./fade.py tapes/*.jsonl.gz --param limit=10c,20c,30c --sampler grid --windows 2 --fills pessimistic
    """
    from kalshi_cli.cli.screen.progress import progress

    strategy, files = _strategy_and_files(named, strategy, files or [])
    require_extra("research", "optuna", "distributed", "sqlalchemy")
    from kalshi_cli.services.research.search.optimize import OptimizeRequest, optimize_notes, optimize_warnings

    remote = _scheduler(scheduler, tls_ca, tls_cert, tls_key)
    with open_services(ctx) as kalshi:
        config, clock = kalshi.resources.config, kalshi.resources.clock
        request = OptimizeRequest(
            strategy=strategy, files=tuple(files), params=tuple(param or ()), trials=trials,
            results=tuple(results or ()), latency_ms=backtest_files.latency_of(latency, latency_ms), fill_model=fills,
            interval_s=interval, holes=gaps, windows=windows, holdout=holdout, sampler=sampler, seed=seed, study=study,
            is_pruned=prune, jobs=jobs or min(os.cpu_count() or 1, 64), scheduler=remote, opens_holdout=open_holdout,
            **backtest_files.lake_part(config, files, lake, series, (since, until), tickers, lambda: clock),
        )  # fmt: skip
        with progress("trials", SystemClock().monotonic) as show:
            view = kalshi.research.optimize(request, show)
    show_view(ctx, view, title=f"Parameters of {strategy}")
    warn(*optimize_warnings(view))
    info(*optimize_notes(view, with_unknown=not shows_every_field(ctx)))


def _strategy_and_files(named: str | None, first: str | None, files: list[Path]) -> tuple[str, list[Path]]:
    """Return the strategy and the recordings: after `--strategy` the first argument is a recording as well."""
    if named:
        return named, [*map(Path, filter(None, [first])), *files]
    if not first:
        raise UsageError("No strategy given", hint="kalshi optimize threshold FILE... --param buy_below=20c..40c")
    return first, files


def _scheduler(address: str | None, *files: Path | None) -> SchedulerAddress | None:
    from kalshi_cli.services.research.search.cluster import SchedulerAddress

    if address is None:
        if any(files):
            raise UsageError("--tls-ca, --tls-cert and --tls-key need --scheduler", hint="--scheduler tls://HOST:8786")
        return None
    ca, cert, key = files
    found = SchedulerAddress(address=address, ca=ca, cert=cert, key=key)
    found.check()
    return found
