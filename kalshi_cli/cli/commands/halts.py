"""`kalshi pause`, `resume`, `stop`: control of everything that trades on this account."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.options import CommandGroup, flags_of, open_app, show_view
from kalshi_cli.cli.screen.output import info, prompt, warn

if TYPE_CHECKING:
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.views.row import OutputRow

app = CommandGroup("Pause, resume and stop what trades on this account.")


@app.command("pause")
def pause(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Reason, shown by `kalshi status`.")] = "",
) -> None:
    """Pause trading: no new orders until resume.

    Block new orders from every program until `kalshi resume`. A running loop cancels its own orders, keeps reading the
    markets, and trades again after the pause. Closing positions and canceling orders stay possible. A file named
    `.pause` in the state directory (see `kalshi config path`) does the same. So does SIGUSR1 to the loop, which also
    ends a pause.

    \b
    kalshi pause --reason "before the jobs report"
    """
    from kalshi_cli.services.trading.halts import TradingControl, describe
    from kalshi_cli.views.halts import HaltView

    with open_app(ctx) as resources:
        halt = TradingControl(resources).pause(reason.strip())
        if halt.is_final:
            info(f"Trading was already halted and stays halted: {describe(halt)}")
        info("Paused. No new orders until: kalshi resume --reason TEXT")
        _shown(ctx, HaltView.of(halt), resources.clock.now(), "pause")


@app.command("resume")
def resume(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[REASON]", help="The reason, in place of --reason.")
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why it is safe to trade again; kept on record.")
    ] = "",
) -> None:
    """End a pause or a halt.

    This is the only way out of a halt; it requires a reason, and asks for one on a terminal. On a terminal it also
    offers to reset order groups that were triggered. Refused while `cancel-all` runs (exit 3, KILL_RUNS): wait until it
    has ended.

    \b
    kalshi resume --reason "checked positions with the web site"
    """
    from kalshi_cli.services.trading.halts import TradingControl, describe
    from kalshi_cli.views.formats import TradingStateCell, TruncatableText
    from kalshi_cli.views.halts import ResumeView

    with open_app(ctx) as resources:
        control = TradingControl(resources)
        reason = reason.strip() or " ".join(words or ()).strip()
        if not reason and sys.stdin.isatty():
            warn(_sentence(describe(control.now())))
            reason = prompt("Why is it safe to trade?").strip()
        if not reason:
            raise UsageError(
                f"A reason is required to resume; {describe(control.now())}",
                hint='kalshi resume --reason "..."',
                code="no_reason",
            )
        before, now = control.resume(reason), resources.clock.now()
        is_active = before.state.value == "active"
        info("Trading was already active" if is_active else f"Trading is active again. Before: {describe(before)}")
        for remark in (control.would_halt_again(before), *control.leftovers()):
            if remark:
                info(remark)
        _offer_reset(resources, control.triggered_groups())
        given = {
            "state": TradingStateCell("active"),
            "code": "RESUMED",
            "reason": TruncatableText(reason),
            "since": now,
        }
        _shown(ctx, ResumeView.of(before, **given), now, "resume")


def _offer_reset(resources: Resources, groups: Sequence[str]) -> None:
    """Ask on a terminal whether to reset each triggered order group, and reset those that the user confirms."""
    from kalshi_cli.services.trading.run_order_groups import reset_group_by_id

    if not sys.stdin.isatty():
        return
    for group_id in groups:
        if prompt(f"Reset order group {group_id}, so that it accepts orders again? [y/N]").lower() in ("y", "yes"):
            reset_group_by_id(resources, group_id)
            info(f"Order group {group_id} was reset")


@app.command("stop")
def stop(ctx: typer.Context) -> None:
    """Stop the running trading loop gracefully.

    Stop it like Ctrl-C where it runs, and wait until it has stopped. It cancels its own orders within
    `trade.stop_budget_s`. A loop started later is not stopped; to prevent trading, use `kalshi pause`. Exit code 7 if
    an order may still be live.

    \b
    kalshi stop
    """
    from kalshi_cli.services.trading.halts import TradingControl
    from kalshi_cli.services.trading.status import run_status
    from kalshi_cli.views.halts import StopView

    with open_app(ctx) as resources:
        stopped = TradingControl(resources).stop()
        for pid in stopped:
            info(f"The loop (pid {pid}) has stopped. None of its orders is live")
        status = run_status(resources, resources.home)
        if not stopped:
            info("No trading loop is running")
            if status.rest:
                info(
                    f"According to the state file, {status.rest}. Check with `kalshi order list`; cancel with "
                    "`kalshi cancel-all`"
                )
        view = StopView.of(status, signal="SIGTERM" if stopped else None, pids=tuple(stopped))
        _shown(ctx, view, resources.clock.now(), "stop")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _shown(ctx: typer.Context, view: OutputRow, now: Ts, title: str) -> None:
    """Print the view only where a format was requested: the notices have said it already."""
    if flags_of(ctx).form is not None:
        show_view(ctx, view, title=title, now=now)
