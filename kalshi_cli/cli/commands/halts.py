"""`kalshi pause`, `resume`, `stop`: what a person says to whatever trades on this account."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.options import CommandGroup, flags_of, open_app, show_view
from kalshi_cli.cli.screen.output import info, prompt, warn

if TYPE_CHECKING:
    from kalshi_cli.views.row import OutputRow

app = CommandGroup("Pause, resume and stop what trades on this account.")


@app.command("pause")
def pause(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown by status.")] = "",
) -> None:
    """No new orders until `resume`: not by a loop, not by a command. A running loop takes its own orders back, goes on
    watching, and trades again after the pause. Closing positions and canceling stay possible.

    `touch .pause` in the state directory (see `config path`) does the same; so does SIGUSR1 to the loop, which also
    ends a pause.

    \b
    kalshi pause --reason "before the jobs report"
    """
    from kalshi_cli.services.trading.halts import TradingControl, describe
    from kalshi_cli.views.halts import HaltView

    with open_app(ctx) as resources:
        halt = TradingControl(resources).pause(reason.strip())
        if halt.is_final:
            info(f"halted already, and stays so: {describe(halt)}")
        info("paused; no new orders until: kalshi resume --reason TEXT")
        _shown(ctx, HaltView.of(halt), resources.clock.now(), "pause")


@app.command("resume")
def resume(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is safe again; kept.")] = "",
) -> None:
    """Leave a halt or a pause. The only way out of a halt, and it wants a reason; on a terminal it asks for one.

    Refused while `cancel-all` runs (exit 3, KILL_RUNS): wait until it has ended.

    \b
    kalshi resume --reason "checked positions with the web site"
    """
    from kalshi_cli.services.trading.halts import TradingControl, describe
    from kalshi_cli.views.formats import TradingStateCell, TruncatableText
    from kalshi_cli.views.halts import ResumeView

    with open_app(ctx) as resources:
        reason = reason.strip()
        if not reason and sys.stdin.isatty():
            warn(describe(TradingControl(resources).now()))
            reason = prompt("why is it safe to trade?").strip()
        if not reason:
            raise UsageError("a halt is left with a reason", hint='kalshi resume --reason "..."', code="no_reason")
        before, now = TradingControl(resources).resume(reason), resources.clock.now()
        info(
            f"trading is active again; before, {describe(before)}"
            if before.state.value != "active"
            else "trading is active, as it was"
        )
        for remark in (TradingControl(resources).would_halt_again(before), *TradingControl(resources).leftovers()):
            if remark:
                info(remark)
        given = {
            "state": TradingStateCell("active"),
            "code": "RESUMED",
            "reason": TruncatableText(reason),
            "since": now,
        }
        _shown(ctx, ResumeView.of(before, **given), now, "resume")


@app.command("stop")
def stop(ctx: typer.Context) -> None:
    """Stop the running loop in good order, as Ctrl-C does where it runs, and wait until it did.

    It cancels its own orders within trade.stop_budget_s. What is started later is not stopped; to keep trading from
    starting again: `kalshi pause`. Ends with 7 where something may still be live.

    \b
    kalshi stop
    """
    from kalshi_cli.services.trading.halts import TradingControl
    from kalshi_cli.services.trading.status import run_status
    from kalshi_cli.views.halts import StopView

    with open_app(ctx) as resources:
        stopped = TradingControl(resources).stop()
        for pid in stopped:
            info(f"the loop (pid {pid}) has stopped, and nothing of it is live")
        status = run_status(resources, resources.home)
        if not stopped:
            info("no loop is running here")
            if status.rest:
                info(f"as far as the state file knows {status.rest}", "    kalshi order list", "    kalshi cancel-all")
        view = StopView.of(status, signal="SIGTERM" if stopped else None, pids=tuple(stopped))
        _shown(ctx, view, resources.clock.now(), "stop")


def _shown(ctx: typer.Context, view: OutputRow, now: Ts, title: str) -> None:
    """The same as data, where a format was asked for: a person has read it already."""
    if flags_of(ctx).form is not None:
        show_view(ctx, view, title=title, now=now)
