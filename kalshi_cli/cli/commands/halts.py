"""`kalshi pause`, `resume`, `stop`: what a person says to whatever trades on this account."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.options import Commands, flags_of, opened, show_view
from kalshi_cli.cli.screen.output import ask, note, tell

if TYPE_CHECKING:
    from kalshi_cli.views.row import Row

app = Commands("Pause, resume and stop what trades on this account.")


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
    from kalshi_cli.services.trading.halts import Halts, words
    from kalshi_cli.views.halts import HaltView

    with opened(ctx) as desk:
        halt = Halts(desk).pause(reason.strip())
        if halt.is_final:
            note(f"halted already, and stays so: {words(halt)}")
        note("paused; no new orders until: kalshi resume --reason TEXT")
        _shown(ctx, HaltView.of(halt), desk.clock.now(), "pause")


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
    from kalshi_cli.services.trading.halts import Halts, words
    from kalshi_cli.views.formats import Prose, Standing
    from kalshi_cli.views.halts import ResumeView

    with opened(ctx) as desk:
        reason = reason.strip()
        if not reason and sys.stdin.isatty():
            tell(words(Halts(desk).now()))
            reason = ask("why is it safe to trade?").strip()
        if not reason:
            raise UsageError("a halt is left with a reason", hint='kalshi resume --reason "..."', code="no_reason")
        before, now = Halts(desk).resume(reason), desk.clock.now()
        note(
            f"trading is active again; before, {words(before)}"
            if before.state.value != "active"
            else "trading is active, as it was"
        )
        for remark in (Halts(desk).trips_again(before), *Halts(desk).leftovers()):
            if remark:
                note(remark)
        given = {"state": Standing("active"), "code": "RESUMED", "reason": Prose(reason), "since": now}
        _shown(ctx, ResumeView.of(before, **given), now, "resume")


@app.command("stop")
def stop(ctx: typer.Context) -> None:
    """Stop the running loop in good order, as Ctrl-C does where it runs, and wait until it did.

    It cancels its own orders within trade.stop_budget_s. What is started later is not stopped; to keep trading from
    starting again: `kalshi pause`. Ends with 7 where something may still be live.

    \b
    kalshi stop
    """
    from kalshi_cli.services.trading.halts import Halts
    from kalshi_cli.services.trading.status import status_of
    from kalshi_cli.views.halts import StopView

    with opened(ctx) as desk:
        stopped = Halts(desk).stop()
        for pid in stopped:
            note(f"the loop (pid {pid}) has stopped, and nothing of it is live")
        status = status_of(desk, desk.home)
        if not stopped:
            note("no loop is running here")
            if status.rest:
                note(f"as far as the state file knows {status.rest}", "    kalshi order list", "    kalshi cancel-all")
        view = StopView.of(status, signal="SIGTERM" if stopped else None, pids=tuple(stopped))
        _shown(ctx, view, desk.clock.now(), "stop")


def _shown(ctx: typer.Context, view: Row, now: Ts, title: str) -> None:
    """The same as data, where a format was asked for: a person has read it already."""

    if flags_of(ctx).form is not None:
        show_view(ctx, view, title=title, now=now)
