"""`kalshi pause`, `resume`, `stop`: control of everything that trades on this account."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kalshi_cli.base.errors import RefusedError, UsageError
from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.cli.options import flags_of, open_services, show_view
from kalshi_cli.cli.parameters import CommandGroup, argument, flag, option
from kalshi_cli.cli.screen.output import prompt, warn

if TYPE_CHECKING:
    from kalshi_cli.views.row import OutputRow

app = CommandGroup("Pause, resume and stop what trades on this account.")


@app.command("pause")
def pause(
    ctx: typer.Context,
    reason: Annotated[str, option("--reason", "TEXT", "Reason, shown by `kalshi status`.")] = "",
) -> None:
    """Pause trading: no new orders until resume.

    Block new orders from every program until `kalshi resume`. A running loop cancels its own orders, keeps reading the
    markets, and trades again after the pause. Closing positions and canceling orders stay possible. A file named
    `.pause` in the state directory (see `kalshi config path`) does the same. So does SIGUSR1 to the loop, which also
    ends a pause.

    \b
    kalshi pause --reason "before the jobs report"
    """
    with open_services(ctx, warn) as kalshi:
        view = kalshi.trading.execute(kalshi.trading.plan_pause(reason))
        _shown(ctx, view, kalshi.now, "pause")


@app.command("resume")
def resume(
    ctx: typer.Context,
    words: Annotated[list[str] | None, argument("[REASON]", "The reason, in place of --reason.")] = None,
    reason: Annotated[str, option("--reason", "TEXT", "Why it is safe to trade again; kept on record.")] = "",
    reset_groups: Annotated[
        bool, flag("--reset-groups", "Also reset the triggered order groups of the loops.")
    ] = False,
    yes: Annotated[
        bool, flag("--yes", "Resume although the exchange, an order or an order group is in doubt.")
    ] = False,
) -> None:
    """End a pause or a halt.

    This is the only way out of a halt; it requires a reason. On a terminal it asks for one, and then whether to resume.
    There it also offers to reset order groups that were triggered; `--reset-groups` does it without a question. Refused
    while `cancel-all` runs (exit 3, KILL_RUNS): wait until it has ended.

    If the exchange does not respond or orders are unconfirmed, it asks before it ends a halt; without a terminal it
    needs `--yes`, or the exit code is 3. Without a terminal it also needs `--reset-groups` while an order group of a
    loop is triggered, as after `cancel-all`, or `--yes` to leave the group triggered.

    \b
    kalshi resume --reason "checked positions with the web site"
    kalshi resume --reason "the burst was intended" --reset-groups
    """
    with open_services(ctx, warn) as kalshi:
        reason = " ".join([reason, *(words or ())]).strip()  # `--reason checked it` without quotes is one reason
        state = kalshi.trading.halt_description()
        if not reason and sys.stdin.isatty():
            if kalshi.trading.halt().state == "active" and not flags_of(ctx).wants_data:
                reason = "trading was already active"
            else:
                reason = _ask_reason(state)
        if not reason:
            raise UsageError(
                f"A reason is required to resume. {state}", hint='kalshi resume --reason "..."', code="no_reason"
            )
        if not yes:
            _confirm(kalshi.trading.resume_doubts())
        if not reset_groups and (groups := kalshi.trading.triggered_groups()):
            reset_groups = _wants_resets(groups, is_left=yes)
        view = kalshi.trading.execute(kalshi.trading.plan_resume(reason, reset_groups=reset_groups))
        _shown(ctx, view, view.since, "resume")


def _ask_reason(state: str) -> str:
    """Ask why it is safe to trade, and whether to resume."""
    warn(state)
    reason = prompt("Why is it safe to trade?").strip()
    if reason and prompt("Resume trading? [y/N]").lower() not in ("y", "yes"):
        raise RefusedError("Not resumed", hint="answer y, or run `kalshi resume --reason TEXT`", code="not_confirmed")
    return reason


def _confirm(doubts: Sequence[str]) -> None:
    """Show why a resume may be unsafe, and ask. RefusedError where the answer is no, or without a terminal."""
    for doubt in doubts:
        warn(doubt)
    if not doubts or (sys.stdin.isatty() and prompt("Resume anyway? [y/N]").lower() in ("y", "yes")):
        return
    raise RefusedError(
        "Not resumed: trading stays halted, because it may be unsafe to trade now",
        hint="solve the above first, such as with `kalshi order reconcile`; to resume anyway, add --yes",
        code="not_confirmed",
    )


def _wants_resets(groups: Sequence[str], *, is_left: bool) -> bool:
    """Return whether to reset the triggered groups of loops: on a terminal, ask.

    RefusedError without a terminal, unless `is_left`: the alert about a blocked loop pauses trading again.
    """
    from kalshi_cli.views.formats import short_ids

    blocked = f"{pluralize(len(groups), 'order group')} still triggered ({', '.join(short_ids(groups))})"
    if not sys.stdin.isatty() and not is_left:
        raise RefusedError(
            f"Not resumed: {blocked}. A loop could place no order there, not even an exit",
            hint="to resume and reset: `kalshi resume --reason TEXT --reset-groups`; to resume without, add --yes",
            code="not_confirmed",
        )
    if sys.stdin.isatty():
        question = f"{blocked}: a loop can place no order there, not even an exit. Reset too? [Y/n]"
        if prompt(question, "y").lower() in ("y", "yes"):
            return True
    warn(f"{blocked}: a loop can neither trade nor exit. Let it trade: `kalshi resume --reason TEXT --reset-groups`")
    return False


@app.command("stop")
def stop(ctx: typer.Context) -> None:
    """Stop the running trading loop gracefully.

    Stop it like Ctrl-C where it runs, and wait until it has stopped. It cancels its own orders within
    `trade.stop_budget_s`. A loop started later is not stopped; to prevent trading, use `kalshi pause`. Exit code 7 if
    an order may still be live.

    \b
    kalshi stop
    """
    with open_services(ctx, warn) as kalshi:
        view = kalshi.trading.execute(kalshi.trading.plan_stop())
        _shown(ctx, view, kalshi.now, "stop")


def _shown(ctx: typer.Context, view: OutputRow, now: Ts, title: str) -> None:
    """Print the view only where a format was requested: the notices have said it already."""
    if flags_of(ctx).wants_data:
        show_view(ctx, view, title=title, now=now)
