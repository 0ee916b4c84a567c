"""`kalshi top`: the terminal screen of an account."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import CommandGroup, account_opener, require_extra
from kalshi_cli.cli.screen.output import write_out

app = CommandGroup("Watch and steer trading on one screen.")

STATUS_EVERY_MS = 5_000


@app.command("top")
def top(
    ctx: typer.Context,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print lines instead of a screen: for a screen reader or a pipe.")
    ] = False,
) -> None:
    """Watch and steer trading on one screen.

    Show the running loop, or the account where none runs: equity, positions, live orders, fills, P&L by strategy,
    alerts and prices, and act on them with keys. `?` lists the keys. Leaving the screen does not stop a loop.

    \b
    kalshi top
    kalshi top --plain
    """
    open_account = account_opener(ctx)
    if plain:
        from kalshi_cli.tui.plain import lines

        with open_account() as kalshi:
            for text in lines(kalshi.trading.events(), STATUS_EVERY_MS):
                write_out(text + "\n", flush=True)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The screen needs a terminal", hint="add --plain for lines")
    require_extra("screens", "textual")
    from kalshi_cli.tui.app import TopApp

    TopApp(open_account, SystemClock()).run()
