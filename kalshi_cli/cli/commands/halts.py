"""`kalshi pause`, `resume`, `stop`: what a person says to whatever trades on this account."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.options import CommandGroup, flags_of, open_services, show_view
from kalshi_cli.cli.screen.output import prompt, warn

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
    with open_services(ctx) as kalshi:
        view = kalshi.trading.execute(kalshi.trading.plan_pause(reason))
        _shown(ctx, view, kalshi.now, "pause")


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
    with open_services(ctx) as kalshi:
        reason = reason.strip()
        if not reason and sys.stdin.isatty():
            warn(kalshi.trading.halt_description())
            reason = prompt("why is it safe to trade?").strip()
        if not reason:
            raise UsageError("a halt is left with a reason", hint='kalshi resume --reason "..."', code="no_reason")
        view = kalshi.trading.execute(kalshi.trading.plan_resume(reason))
        _shown(ctx, view, view.since, "resume")


@app.command("stop")
def stop(ctx: typer.Context) -> None:
    """Stop the running loop in good order, as Ctrl-C does where it runs, and wait until it did.

    It cancels its own orders within trade.stop_budget_s. What is started later is not stopped; to keep trading from
    starting again: `kalshi pause`. Ends with 7 where something may still be live.

    \b
    kalshi stop
    """
    with open_services(ctx) as kalshi:
        view = kalshi.trading.execute(kalshi.trading.plan_stop())
        _shown(ctx, view, kalshi.now, "stop")


def _shown(ctx: typer.Context, view: OutputRow, now: Ts, title: str) -> None:
    """The same as data, where a format was asked for: a person has read it already."""
    if flags_of(ctx).form is not None:
        show_view(ctx, view, title=title, now=now)
