"""`kalshi state rebuild`: a new state file, read from the exchange."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import open_services, show_view
from kalshi_cli.cli.parameters import CommandGroup, flag
from kalshi_cli.cli.screen.output import info

app = CommandGroup("Rebuild the local state file.\n\nRepair the state file, which is the local record of an account.")


@app.command("rebuild")
def rebuild(
    ctx: typer.Context,
    yes: Annotated[bool, flag("--yes", "Accepted without effect: a rebuild does not ask.")] = False,
) -> None:
    """Rebuild a damaged or lost state file.

    Rebuild an unusable state file: keep the old one as a copy, read the account from the exchange, and stay halted.
    Use it for a file that is damaged, lost or written by a newer version; a usable file is refused, and so is a
    rebuild while a loop runs. Resting orders count toward every limit as external orders and are not canceled.

    An existing halt and locked markets are kept, as far as the old file can be read.

    \b
    kalshi state rebuild
    """
    from kalshi_cli.views.rebuild import RebuiltView

    del yes  # Scripts add it to every command that repairs something.
    with open_services(ctx) as kalshi:
        rebuilt = kalshi.account.rebuild()
        show_view(ctx, RebuiltView.of(rebuilt), title="state file", now=kalshi.now)
        if rebuilt.are_notices_lost:
            info("Undelivered alerts in the old file could not be read and are lost")
        if rebuilt.are_locks_lost:
            info(
                "Market locks in the old file could not be read and are lost; "
                "set them again with `kalshi lock TICKER --for DURATION`"
            )
        info("Trading is halted until `kalshi resume --reason TEXT`")
