"""`kalshi pause`, `resume`, `stop`: what a person says to whatever trades on this account."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kalshi_cli.cli.options import Commands, opened
from kalshi_cli.cli.screen.output import ask, note
from kalshi_cli.errors import UsageError

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
    from kalshi_cli.app.halts import Halts

    with opened(ctx) as desk:
        halt = Halts(desk).pause(reason.strip())
        if halt.is_final:
            note(f"trading is halted already, and stays so: {halt.code} {halt.reason}".rstrip())
        note("paused: no new orders until `kalshi resume --reason TEXT`")


@app.command("resume")
def resume(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is safe again; kept.")] = "",
) -> None:
    """Leave a halt or a pause. The only way out of a halt, and it wants a reason; on a terminal it asks for one.

    \b
    kalshi resume --reason "checked positions with the web site"
    """
    from kalshi_cli.app.account import status_of
    from kalshi_cli.app.halts import Halts

    with opened(ctx) as desk:
        reason = reason.strip()
        if not reason and sys.stdin.isatty():
            halt = status_of(desk).halt
            reason = ask(f"trading is {halt.state.value}: {halt.code} {halt.reason}\nwhy is it safe to trade?").strip()
        if not reason:
            raise UsageError("a halt is left with a reason", hint='kalshi resume --reason "..."', code="no_reason")
        before = Halts(desk).resume(reason)
        note(f"trading is active (it was {before.state.value}: {before.code} {before.reason})".replace(": )", ")"))
        for remark in Halts(desk).leftovers():
            note(remark)


@app.command("stop")
def stop(ctx: typer.Context) -> None:
    """Stop the running loop in good order, as Ctrl-C does where it runs, and wait until it did.

    It cancels its own orders within trade.stop_budget_s. What is started later is not stopped; to keep trading from
    starting again: `kalshi pause`. Ends with 7 where something may still be live.

    \b
    kalshi stop
    """
    from kalshi_cli.app.account import status_of
    from kalshi_cli.app.halts import Halts

    with opened(ctx) as desk:
        stopped = Halts(desk).stop()
        note("\n".join(f"the loop (pid {pid}) has stopped, and nothing of it is live" for pid in stopped))
        if not stopped:
            note("no loop is running here")
            if left := status_of(desk).rest:
                note(f"as far as the state file knows {left}. Look: kalshi order list; end it: kalshi cancel-all")
