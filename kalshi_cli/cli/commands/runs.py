"""`kalshi trade`, `backtest`, `record`, `status`: run strategies and watch them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import HaltedError, UsageError
from kalshi_cli.base.units import Money, Ts, pluralize, show_money
from kalshi_cli.cli import backtest_files
from kalshi_cli.cli.backtest_files import lake_part, latency_of
from kalshi_cli.cli.options import (
    agreed,
    environment_of,
    flags_of,
    home_of,
    is_for_people,
    is_terse,
    open_app,
    show_view,
    shows_every_field,
)
from kalshi_cli.cli.parameters import (
    CommandGroup,
    LakeFolder,
    Paper,
    argument,
    choice_option,
    duration_option,
    flag,
    option,
)
from kalshi_cli.cli.screen.output import info, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kalshi_cli.app.environment import Environment
    from kalshi_cli.app.trading import TradeRequest
    from kalshi_cli.services.research.backtest import BacktestRequest
    from kalshi_cli.services.trading.reports.run_summary import RunPlan, RunSummary

app = CommandGroup("Run strategies and watch them.")

Names = Annotated[str, option("--strategy", "NAME[,NAME]", "Strategies to run: built-in names, or FILE.py:Class.")]
Tuning = Annotated[
    list[str] | None, option("--param", "NAME=VALUE", "Set a strategy parameter, or STRATEGY.NAME=VALUE; repeatable.")
]

Compared = Annotated[
    list[str] | None, option("--param", "NAME=VALUE", "Set a strategy parameter; NAME=A,B,C compares values.")
]


Jobs = Annotated[int | None, option("--jobs", "N", "Run each recording alone, in N processes.", min=1, max=64)]
Recordings = Annotated[
    list[Path] | None, argument("FILE...", "Recordings or files of outside prices; with --plot, a FILE.svg to write.")
]
MoreRecordings = Annotated[list[Path] | None, option("--data", "FILE", "The same as FILE; repeatable.")]
Holes = Annotated[
    str, choice_option("--gaps", ("refuse", "forget", "ignore"), "What to do where data was lost.", "--holes")
]
Plot = Annotated[bool, flag("--plot", "Draw the equity curve, on the terminal or into FILE.svg.")]


@app.command("trade")
def trade(
    ctx: typer.Context,
    strategy: Names,
    tickers: Annotated[list[str] | None, option("--ticker", "TICKER[,TICKER]", "Trade only these markets.")] = None,
    series: Annotated[
        list[str] | None, option("--series", "SERIES[,SERIES]", "Trade the open markets of these series.")
    ] = None,
    paper: Annotated[bool, flag("--paper", "Trade on paper: simulated fills (default on prod).")] = False,
    live: Annotated[bool, flag("--live", "Trade with real money on prod.")] = False,
    interval: Annotated[Any, duration_option("--interval", "Maximum time between cycles, at most 10s (2s).")] = None,
    duration: Annotated[Any, duration_option("--duration", "Stop after this time.")] = None,
    param: Tuning = None,
    yes: Annotated[bool, flag("--yes", "Skip the confirmation of --live.")] = False,
    screen: Annotated[bool, flag("--screen", "Run in the background and open `kalshi top` on it.")] = False,
) -> None:
    """Run strategies, on paper or live.

    Run one or more strategies until stopped. On prod they trade on paper (real order books, simulated fills) unless
    `--live` is given. Ctrl-C stops gracefully: own orders are canceled, the state is saved and a summary is printed.
    SIGTERM, SIGHUP (a closed terminal) and `kalshi stop` do the same. A second Ctrl-C stops at once and lists the
    orders that are still live. `kalshi pause` and SIGUSR1 pause trading; a run started during a pause waits for
    `kalshi resume`.

    Exit codes: 130 after Ctrl-C, 143 after SIGTERM or SIGHUP; 7 if an order may still be live, however the run ended; 9
    if the account is halted, before the start or at any other end. Look before you restart it after 7 or 9.

    \b
    kalshi trade --strategy spike
    kalshi trade --strategy spike --series KXBTCD --duration 10m --param move=4c --param size=2
    kalshi trade --strategy spike,crypto-ta --param spike.move=4c
    kalshi trade --strategy ./fade.py:Fade --env prod --paper
    kalshi trade --strategy market-maker --screen
    """
    from kalshi_cli.app.trading import RunModes, TradeRequest
    from kalshi_cli.cli.commands.top import open_on_screen
    from kalshi_cli.cli.screen.live import is_live, status_display
    from kalshi_cli.services.trading.reports.run_summary import run_notes, trade_summary
    from kalshi_cli.services.trading.stop_signals import RunEnd

    chosen, of_series = backtest_files.joined(tickers), backtest_files.joined(series)
    _check_options(paper=paper, live=live, chosen=(chosen, of_series), interval=interval)
    with RunEnd(warn) as end, environment_of(ctx) as environment:
        request = TradeRequest(
            strategies=tuple(name.strip() for name in strategy.split(",")),
            tickers=backtest_files.names_of(tickers),
            series=(of_series or "").upper(),
            fills="paper" if paper else "live" if live else "",
            interval_s=interval or environment.config.trade.interval_s,
            duration_s=duration,
            status_every_s=1.0 if is_live() else environment.config.trade.status_every_s,
            params=_params(param),
        )
        _confirm_live(ctx, environment, request, is_live=live, yes=yes)
        if screen:
            open_on_screen(ctx, environment)
            return
        with status_display() as show:
            summary = RunModes(environment).trade(request, _banner, show)
        end.count_with(lambda: summary.live_orders)
        show_view(ctx, trade_summary(summary, has_sent=not backtest_files.is_for_screen(ctx)), title="Summary")
        info(*run_notes(summary))
        environment.close()  # before the exit code is chosen: a second Ctrl-C often comes here
        _end(summary)


def _check_options(*, paper: bool, live: bool, chosen: tuple[str | None, ...], interval: float | None) -> None:
    """Raise UsageError for options that contradict each other or would select more than was meant."""
    if paper and live:
        raise UsageError("--paper and --live cannot be combined")
    for given in chosen:
        if given is not None and not given.replace(",", "").strip():
            raise UsageError(
                "An empty --ticker or --series would select the most active markets",
                hint="omit the option if you want that",
            )
    _checked(interval)


def _checked(interval: float | None) -> float | None:
    """Return the interval; UsageError for a longer one than the trade loop takes."""
    from kalshi_cli.config.schema import MAX_INTERVAL_S

    if interval is not None and interval > MAX_INTERVAL_S:
        raise UsageError(
            f"--interval is at most {MAX_INTERVAL_S}s",
            hint="account reads, halts and cancels wait for the next cycle; a strategy may skip cycles by itself",
        )
    return interval


def _confirm_live(
    ctx: typer.Context, environment: Environment, request: TradeRequest, *, is_live: bool, yes: bool
) -> None:
    """Show what `--live` would use (balance, limits, budgets, markets, host), and ask on prod."""
    from kalshi_cli.services.trading.reports.briefing import live_briefing

    if not is_live:
        return
    names = ", ".join(request.strategies)
    facts = [f"{environment.config.env}: {names} will place orders automatically"]
    if environment.needs_confirmation and not yes:
        with open_app(ctx) as resources:
            _ = resources.account  # an answer is of no use without a key
            if sys.stdin.isatty():
                facts += live_briefing(resources, request.strategies, request.tickers, request.series)
    agreed(environment, "Trade with real money?", *facts, yes=yes)


def _end(summary: RunSummary) -> None:
    """Raise the error that a run ended with, if any; orders that may still be live come first."""
    from kalshi_cli.services.trading.stop_signals import SIGNALS, orders_left_live

    if summary.live_orders:
        raise orders_left_live(summary.live_orders)
    if summary.stopped_by in SIGNALS:
        raise typer.Exit(summary.exit_code)
    if summary.halt:
        raise HaltedError(
            f"Trading is halted: {summary.halt}", hint="find the cause, then run `kalshi resume --reason TEXT`"
        )
    if summary.failed:
        raise backtest_files.strategy_failed(summary.failed)


def _banner(plan: RunPlan) -> None:
    what = f"strategy {plan.strategy} on {pluralize(plan.markets, 'market')}"
    cash = "unknown" if plan.balance is None else show_money(plan.balance)
    checked = ", ".join(("exchange, clock and disk OK", *plan.feeds))
    info(
        plan.words,
        f"{what}. Press Ctrl-C to stop gracefully",
        f"starting balance {cash}; {checked}",
        *(f"code {file}" for file in plan.code),
    )


def _params(given: list[str] | None) -> dict[str, str]:
    params: dict[str, str] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--param takes NAME=VALUE, not {pair!r}", hint="for example --param move=4c")
        params[name.strip()] = value.strip()
    return params


@app.command("backtest")
def backtest(
    ctx: typer.Context,
    strategy: Names = "",
    files: Recordings = None,
    data: MoreRecordings = None,
    results: backtest_files.Results = None,
    latency: backtest_files.Latency = None,
    latency_ms: backtest_files.LatencyMs = None,
    fills: backtest_files.FillChoice = "proportional",
    interval: backtest_files.TickInterval = None,
    phases: backtest_files.Phases = 1,
    param: Compared = None,
    jobs: Jobs = None,
    lake: LakeFolder = None,
    series: backtest_files.LakeSeries = None,
    tickers: backtest_files.PlayedMarkets = None,
    since: backtest_files.LakeSince = None,
    until: backtest_files.LakeUntil = None,
    holes: Holes = "forget",
    page: backtest_files.PageFile = None,
    out: backtest_files.OutFolder = None,
    plot: Plot = False,
) -> None:
    """Run strategies over recorded data.

    The engine is that of live trading, fills are simulated and time is recorded. Ticks come every `trade.interval_s`,
    or `--interval`. Where a recording does not show the queue position, `--fills` sets the assumption, and `--fills
    both` shows both bounds. External inputs must be in the recording (`kalshi record --strategy`) or in a file with
    timestamps. Market impact is not modeled.

    `kalshi backtest compare A B` compares two reports: JSON files of `--json`, or folders of `--out`. A JSON file of
    `kalshi trade --json` compares a run with its backtest.

    Instead of files, `--series` or `--lake` reads recordings of the lake (`kalshi data`). `--since` and `--until` cut
    both; order books are as they were then. Where messages were lost, a market is not traded until its next snapshot.

    Several recordings are one run, merged by time. With `--jobs`, and when values of a parameter are compared, each is
    a run of its own, from the starting cash, and the results are added up in the order of the files.

    \b
    kalshi backtest tape.jsonl.gz --strategy spike --fills both --latency recorded --html report.html
    kalshi backtest tape.jsonl.gz --strategy threshold --param buy_below=20c,30c,40c --jobs 2
    kalshi backtest tape.jsonl.gz curve.svg --strategy spike --plot
    kalshi backtest --strategy threshold --series KXBTC15M --since 2026-05-13
    kalshi backtest compare monday.json tuesday.json
    """
    from kalshi_cli.cli.commands.sweep import show_sweep
    from kalshi_cli.cli.screen.curve import require_curve, show_curve
    from kalshi_cli.services.research.backtest import BacktestRequest

    given, has_both = [*(data or ()), *(files or ())], fills == "both"
    if files and files[0] == Path("compare"):
        backtest_files.compare_reports(ctx, files[1:])
        return
    backtest_files.require_files(page, out)
    is_from_lake = any(each is not None for each in (lake, backtest_files.joined(series), since, until))
    picture = backtest_files.picture_of(given, strategy, is_plotted=plot, is_from_lake=is_from_lake)
    if plot:
        require_curve(flags_of(ctx).form, picture, "kalshi backtest ... --plot curve.svg")
    with environment_of(ctx) as environment:
        request = BacktestRequest(
            strategies=tuple(name.strip() for name in strategy.split(",")), files=tuple(given),
            results=tuple(results or ()), params=_params(param), latency_ms=latency_of(latency, latency_ms),
            fill_model="pessimistic" if has_both else fills, holes=holes, interval_s=_checked(interval),
            **lake_part(environment.config, given, lake, series, (since, until), tickers, lambda: environment.clock),
        )  # fmt: skip
        if not show_sweep(ctx, environment, request, jobs, (plot, page, out), has_both, phases):
            curve = _show_backtest(ctx, environment, request, jobs, page, out, has_both, phases)
            if plot:
                show_curve(curve, picture)


def _show_backtest(
    ctx: typer.Context,
    environment: Environment,
    request: BacktestRequest,
    jobs: int | None,
    page: Path | None,
    out: Path | None,
    has_both_bounds: bool,
    phases: int,
) -> Sequence[tuple[Ts, Money]]:
    """Run a backtest, show and write its report, and return its curve.

    Where one of several strategies fails, the report of the others comes before the error.
    """
    from kalshi_cli.app.backtests import run_backtests
    from kalshi_cli.cli.commands.sweep import backtest_progress
    from kalshi_cli.services.research.backtest import backtest_notes, backtest_warnings
    from kalshi_cli.services.research.report.made_with import made_with

    with backtest_progress(jobs, is_of_files=request.lake is None) as show:
        report = run_backtests(environment, request, jobs, show, has_both_bounds=has_both_bounds, phases=phases)
    failed = {text.partition(":")[0] for text in report.summary.failed}
    if failed and len(failed) == len(request.strategies):
        raise backtest_files.strategy_failed(report.summary.failed)
    info(*backtest_warnings(report, with_unknown=not shows_every_field(ctx)))
    view, notes = made_with(report, environment.config, request), backtest_notes(report)
    warnings = [*backtest_warnings(report, with_unknown=False), *notes]
    backtest_files.show_report(ctx, view, f"Backtest of {','.join(request.strategies)}", page, out, warnings)
    info(*notes, *(backtest_files.one_run_note(request) if jobs is None else []))
    if failed:
        raise backtest_files.strategy_failed(report.summary.failed)
    return report.curve


def _check_recording(tickers: Sequence[str] | None, series: str | None, out: Path | None, lake: Path | None) -> None:
    """Raise UsageError for options of `record` that are missing or contradict each other."""
    if bool(tickers) == bool(series):
        raise UsageError(
            "Markets and --series cannot be combined" if tickers else "No market to record",
            hint="use one of them" if tickers else "kalshi record TICKER, or --series KXBTCD",
        )
    if out is not None and lake is not None:
        raise UsageError("--file and --lake cannot be combined", hint="use one of them")
    if out == Path("-"):
        raise UsageError("A recording is not written to stdout", hint="name a file; for a pipe: `kalshi watch TICKER`")


@app.command("record")
def record(
    ctx: typer.Context,
    tickers: Annotated[list[str] | None, argument("TICKER...", "Markets to record.")] = None,
    series: Annotated[
        list[str] | None, option("--series", "SERIES[,SERIES]", "Record the most active open markets of these series.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--file", "--out", metavar="FILE", help="Record to a file instead; .gz is compressed."),
    ] = None,
    strategy: Annotated[
        str | None, option("--strategy", "NAME[,NAME]", "Also record the external inputs of these strategies.")
    ] = None,
    duration: Annotated[Any, duration_option("--duration", "Stop after this time.")] = None,
    param: Tuning = None,
    lake: LakeFolder = None,
) -> None:
    """Record market data for backtests.

    Record the market data stream of some markets to the lake, or to one file, for `kalshi backtest`. Nothing is traded.
    If a strategy uses external inputs, name it with its parameters so that those inputs are recorded too.

    In the lake, a journal is synced to the disk at least every ten seconds, and becomes Parquet files every hour and at
    the end. If the recorder is killed, the next one adds its journal. The lake needs the extra `research`.

    `--series` records its open markets, at most 50, the most active ones, as `kalshi trade --series` chooses them.
    Markets that open later are added within a minute.

    Ctrl-C and SIGTERM end a recording in an orderly way too, with exit code 130 and 143.

    \b
    kalshi record KXBTCD-26NOV2114-T86249.99 --duration 10m
    kalshi record --series KXBTCD --duration 1h
    kalshi record KXBTCD-26NOV2114-T86249.99 --file btc.jsonl.gz --strategy crypto-ta
    """
    from kalshi_cli.app.trading import RecordRequest, RunModes
    from kalshi_cli.services.trading.stop_signals import SIGNALS
    from kalshi_cli.views.runs import RecordedView

    if param and not strategy:
        raise UsageError("--param needs the --strategy it belongs to", hint="add --strategy NAME")
    of_series = backtest_files.joined(series)
    _check_recording(tickers, of_series, out, lake)
    with environment_of(ctx) as environment:
        request = RecordRequest(
            tickers=tuple(name.upper() for name in tickers or ()),
            series=(of_series or "").upper(),
            path=out,
            lake=lake,
            strategies=tuple(name.strip() for name in (strategy or "").split(",") if name.strip()),
            params=_params(param),
            duration_s=duration,
        )
        found = RunModes(environment).record(request)
        if out is not None:
            next_step = f"kalshi backtest {shlex.quote(str(out))} --strategy {shlex.quote(strategy or 'NAME')}"
        else:
            names = ",".join(sorted({name.partition("-")[0] for name in found.tickers}))
            folder = f" --lake {shlex.quote(str(lake))}" if lake is not None else ""
            next_step = f"kalshi backtest --strategy {strategy or 'NAME'} --series {names}{folder}"
        info(f"Recorded {pluralize(found.lines, 'line')} to {out or 'the lake'}", f"Next: `{next_step}`")
        if flags_of(ctx).wants_data:
            file = None if out is None else str(out)
            show_view(ctx, RecordedView(tickers=found.tickers, file=file, lines=found.lines))
    if found.stopped_by:
        raise typer.Exit(SIGNALS[found.stopped_by])


@app.command("status")
def status(
    ctx: typer.Context,
    watch: Annotated[bool, flag("--watch", "Refresh every second until Ctrl-C; NDJSON when piped.")] = False,
    paper: Paper = False,
) -> None:
    """Show what is running and how it is doing.

    Show whether a trading loop is running, the trading state, the last completed cycle, how the last run ended, and
    unconfirmed orders. It shows live trading unless `--paper` is given. If the only loop that runs is on paper, or only
    paper trading ever ran, that is shown instead; the first line and the field `mode` say so.

    It reads this machine's records only, so it works without a network. An order that another command canceled may
    still be counted as resting: `kalshi order list` reads the exchange, `kalshi order reconcile` updates the records.

    \b
    kalshi status --json
    kalshi status --watch
    kalshi status --paper
    """
    from kalshi_cli.services.trading.reports.feed_silence import with_silence
    from kalshi_cli.services.trading.reports.status import run_status, status_notes, status_view, urgent_notes
    from kalshi_cli.views.runs import status_brief

    if watch:
        from kalshi_cli.cli.commands.watch import watch_status

        watch_status(ctx, is_paper=paper)
        return
    with open_app(ctx) as resources:
        found, now = run_status(resources, home_of(resources, paper=paper)), resources.clock.now()
        if found.preface:
            info(found.preface)
        view = status_view(found)
        if is_terse(ctx):
            view = status_brief(view)
        if is_for_people(ctx) and not flags_of(ctx).fields:
            view = with_silence(view, resources.config.checks.feed_age_s, now)
        show_view(ctx, view, title="Status", now=now)
        urgent = set(urgent_notes(found, now))
        for remark in status_notes(found, now):
            (warn if remark in urgent else info)(remark)
