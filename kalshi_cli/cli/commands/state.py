"""`kalshi state rebuild`: a state file anew, from the exchange."""

from __future__ import annotations

import typer

from kalshi_cli.cli.options import CommandGroup, open_services, show_view
from kalshi_cli.cli.screen.output import info

app = CommandGroup("The state file: what this program remembers of an account.")


@app.command("rebuild")
def rebuild(ctx: typer.Context) -> None:
    """Make an unusable state file anew: keep the old one, read the account from the exchange, and stay halted.

    For a file that is damaged, lost or of a newer version; one that can be used is refused, and so is this while a loop
    runs. Orders that rest count in every limit as foreign ones, and are not canceled. A halt stays the halt it was, and
    a market that was locked stays locked, as far as the old file can be read.

    \b
    kalshi state rebuild
    """
    from kalshi_cli.views.rebuild import RebuiltView

    with open_services(ctx) as kalshi:
        rebuilt = kalshi.account.rebuild()
        show_view(ctx, RebuiltView.of(rebuilt), title="state file", now=kalshi.now)
        if rebuilt.are_notices_lost:
            info("alerts that nobody had been told of could not be read, and are lost with the old file")
        if rebuilt.are_locks_lost:
            info(
                "locks of markets could not be read, and are lost with the old file: kalshi lock TICKER --for DURATION"
            )
        info("trading is halted until: kalshi resume --reason TEXT")
