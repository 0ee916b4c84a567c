"""`kalshi trade`, `backtest`, `record`, `status`: running strategies, and watching them run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import HaltedError, KalshiError, UsageError
from kalshi_cli.base.units import pluralize
from kalshi_cli.cli.options import (
    CommandGroup,
    Paper,
    agreed,
    duration_option,
    environment_of,
    flags_of,
    home_of,
    open_app,
    show_view,
)
from kalshi_cli.cli.screen.output import info, warn

if TYPE_CHECKING:
    from kalshi_cli.services.trading.run_summary import RunPlan, RunSummary

app = CommandGroup("Run strategies, and watch them run.")

Names = Annotated[str, typer.Option("--strategy", metavar="NAME[,NAME]", help="Built in, or FILE.py:Class.")]
Tuning = Annotated[
    list[str] | None, typer.Option("--param", metavar="K=V", help="A parameter, or NAME.K=V; may be repeated.")
]


@app.command("trade")
def trade(
    ctx: typer.Context,
    strategy: Names,
    tickers: Annotated[str | None, typer.Option("--ticker", metavar="T,..", help="Only these markets.")] = None,
    series: Annotated[str | None, typer.Option(metavar="SERIES", help="The open markets of this series.")] = None,
    paper: Annotated[bool, typer.Option("--paper", help="Real books, simulated fills (the default on prod).")] = False,
    live: Annotated[bool, typer.Option("--live", help="Really trade, on prod.")] = False,
    interval: Annotated[Any, duration_option("--interval", text="A cycle at least so often, 10s at most (2s).")] = None,
    duration: Annotated[Any, duration_option("--duration", text="Stop after this.")] = None,
    param: Tuning = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask (prod --live asks).")] = False,
) -> None:
    """Run strategies until stopped. Ctrl-C stops in good order: own orders canceled, state saved, summary printed.

    SIGTERM, SIGHUP (a terminal that is closed, without nohup) and `kalshi stop` do the same. A second Ctrl-C ends it at
    once and names what is still live. SIGUSR1 and `kalshi pause` pause it; started into a pause it waits.

    Ends with 130 after Ctrl-C and 143 after SIGTERM or SIGHUP; with 7, whatever ended it, where an order may still be
    live; with 9 where the account is halted when it ends otherwise, or before it starts. Look before you restart it
    after 7 or 9.

    \b
    kalshi trade --strategy spike
    kalshi trade --strategy spike --series KXBTCD --duration 10m --param move=4c --param size=2
    kalshi trade --strategy spike,crypto-ta --param spike.move=4c
    kalshi trade --strategy ./fade.py:Fade --env prod --paper
    """
    from kalshi_cli.app.trading import RunModes, TradeRequest
    from kalshi_cli.cli.screen.live import is_live, status_display
    from kalshi_cli.config.schema import MAX_INTERVAL_S
    from kalshi_cli.services.trading.run_summary import trade_summary
    from kalshi_cli.services.trading.stop_signals import RunEnd

    if paper and live:
        raise UsageError("--paper and --live exclude each other")
    for given in (tickers, series):
        if given is not None and not given.replace(",", "").strip():
            raise UsageError("an empty choice would mean the busiest markets", hint="leave the option out to mean that")
    if interval is not None and interval > MAX_INTERVAL_S:
        raise UsageError(
            f"--interval is {MAX_INTERVAL_S}s at most",
            hint="reads of the account, halts and cancels wait for the next cycle; a strategy may skip cycles",
        )
    with RunEnd(warn) as end, environment_of(ctx) as environment:
        request = TradeRequest(
            strategies=tuple(name.strip() for name in strategy.split(",")),
            tickers=tuple(name.strip().upper() for name in (tickers or "").split(",") if name.strip()),
            series=(series or "").upper(),
            fills="paper" if paper else "live" if live else "",
            interval_s=interval or environment.config.trade.interval_s,
            duration_s=duration,
            status_every_s=1.0 if is_live() else environment.config.trade.status_every_s,
            params=_params(param),
        )
        if live:
            fact = f"{environment.config.env}: {strategy} will place orders by itself"
            agreed(environment, "trade with real money?", fact, yes=yes)
        with status_display() as show:
            summary = RunModes(environment).trade(request, _banner, show)
        end.count_with(lambda: summary.live_orders)
        show_view(ctx, trade_summary(summary), title="summary")
        environment.close()  # a simulated exchange takes its time, and this is when people press Ctrl-C again
        _end(summary)


def _end(summary: RunSummary) -> None:
    """Raise what a run did not end well by; what may still be live goes first."""
    from kalshi_cli.services.trading.stop_signals import SIGNALS, orders_left_live

    if summary.live_orders:
        raise orders_left_live(summary.live_orders)
    if summary.stopped_by in SIGNALS:
        raise typer.Exit(summary.exit_code)
    if summary.halt:
        raise HaltedError(f"trading is halted: {summary.halt}", hint="find out why, then: kalshi resume --reason TEXT")
    if summary.failed:
        raise _failure(summary)


def _failure(summary: RunSummary) -> KalshiError:
    """A strategy that raised was taken out: what the numbers say of it is not what it would have done."""
    return KalshiError(f"a strategy failed: {'; '.join(summary.failed)}", hint="mend it", code="strategy_failed")


def _banner(plan: RunPlan) -> None:
    what = f"strategy {plan.strategy} on {pluralize(plan.markets, 'market')}"
    info(plan.words, f"{what}; Ctrl-C stops in good order", *(f"code {file}" for file in plan.code))


def _params(given: list[str] | None) -> dict[str, str]:
    params: dict[str, str] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--param takes NAME=VALUE, not {pair!r}", hint="for example: --param move=4c")
        params[name.strip()] = value.strip()
    return params


@app.command("backtest")
def backtest(
    ctx: typer.Context,
    strategy: Names,
    data: Annotated[list[Path], typer.Option("--data", metavar="FILE", help="Recording or spot prices; repeat it.")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE...]", help="More files.")] = None,
    results: Annotated[
        list[Path] | None, typer.Option("--results", metavar="FILE", help="How the markets ended; repeat it.")
    ] = None,
    latency_ms: Annotated[int, typer.Option(min=0, max=60_000, help="From decision to exchange.")] = 150,
    param: Tuning = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the curve, here or into a FILE.svg.")] = False,
) -> None:
    """Run a strategy over recordings: the same engine, simulated fills, recorded time.

    A recording is what `kalshi record` writes. Fills are decided by queue position, latency and fees, against us where
    the recording does not tell. What a strategy hears from outside must be recorded, too (`record --strategy`), or
    stand in a file with times.

    \b
    kalshi backtest --strategy spike --data tape.jsonl.gz --results results.json
    kalshi backtest --strategy spike --data tape.jsonl.gz --plot curve.svg
    """
    from kalshi_cli.app.trading import RunModes
    from kalshi_cli.cli.screen.curve import require_curve, show_curve
    from kalshi_cli.services.research.backtest import BacktestRequest, backtest_view

    more = list(files or ())
    picture = more.pop() if plot and more and more[-1].suffix == ".svg" else None
    if plot:
        require_curve(flags_of(ctx).form, picture, "kalshi backtest ... --plot curve.svg")
    with environment_of(ctx) as environment:
        request = BacktestRequest(
            strategies=tuple(name.strip() for name in strategy.split(",")),
            files=(*data, *more),
            results=tuple(results or ()),
            params=_params(param),
            latency_ms=latency_ms,
        )
        report = RunModes(environment).backtest(request)
        if report.summary.failed:
            raise _failure(report.summary)
        show_view(ctx, backtest_view(report), title=f"backtest of {strategy}")
        if plot:
            show_curve(report.curve, picture)


@app.command("record")
def record(
    ctx: typer.Context,
    tickers: Annotated[list[str], typer.Argument(metavar="TICKER...", help="Markets to follow.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to; .gz packs it.")],
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME[,NAME]", help="Also what these hear: outside prices, models, news.")
    ] = None,
    duration: Annotated[Any, duration_option("--duration", text="Stop after this.")] = None,
    param: Tuning = None,
) -> None:
    """Write the stream of some markets to a file that `backtest` reads. Nothing is traded.

    A strategy that hears from outside the exchange needs what it hears in the file, too: name it, with its parameters.

    \b
    kalshi record KXBTCD-26NOV2114-T86249.99 --out btc.jsonl.gz --duration 10m
    kalshi record KXBTCD-26NOV2114-T86249.99 --out btc.jsonl.gz --strategy crypto-ta
    """
    from kalshi_cli.app.trading import RecordRequest, RunModes

    if param and not strategy:
        raise UsageError("--param is a parameter of a --strategy", hint="name the strategy, too")
    with environment_of(ctx) as environment:
        request = RecordRequest(
            tickers=tuple(name.upper() for name in tickers),
            path=out,
            strategies=tuple(name.strip() for name in (strategy or "").split(",") if name.strip()),
            params=_params(param),
            duration_s=duration,
        )
        lines = RunModes(environment).record(request)
        info(f"{pluralize(lines, 'line')} in {out}")


@app.command("status")
def status(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Every second, until Ctrl-C; NDJSON in a pipe.")] = False,
    paper: Paper = False,
) -> None:
    """What runs here, the trading state, the last completed cycle and how the run ended, orders in doubt.

    Of the account, unless --paper is given. Where the one loop that runs now is on paper, or only paper ever ran, that
    is what is shown, and the first line says so; `mode` says it always.

    \b
    kalshi status --json
    kalshi status --watch
    kalshi status --paper
    """
    from kalshi_cli.services.trading.status import run_status, status_notes, status_view

    if watch:
        from kalshi_cli.cli.commands.watch import watch_status

        watch_status(ctx, is_paper=paper)
        return
    with open_app(ctx) as resources:
        found, now = run_status(resources, home_of(resources, paper=paper)), resources.clock.now()
        if found.preface:
            info(found.preface)
        show_view(ctx, status_view(found), title="status", now=now)
        for remark in status_notes(found, now):
            info(remark)
