"""`kalshi why`: the funnel from what strategies wanted to what was traded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.units import Ts
from kalshi_cli.cli.options import CommandGroup, Paper, duration_option, home_of, open_app, show_view
from kalshi_cli.cli.screen.output import info

app = CommandGroup("Why nothing was traded.")

HOUR_S = 3_600


@app.command("why")
def why(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[TICKER]", help="Only this market.")] = "",
    since: Annotated[Any, duration_option("--since", text="Look so far back (1h).")] = None,
    paper: Paper = False,
) -> None:
    """Why nothing was traded: how many orders strategies wanted, together and each, which control refused how many and
    what decides about it, what the exchange refused, and what became of the rest. From the state file; nothing is
    asked of the exchange.

    Of the account or of paper as `kalshi status` chooses it.

    \b
    kalshi why
    kalshi why KXHIGHNY-26NOV21-T50 --since 1d --json
    """
    from kalshi_cli.services.trading.order_funnel import funnel
    from kalshi_cli.services.trading.status import shown_account

    with open_app(ctx) as resources:
        start = Ts(resources.clock.now() - int((since or HOUR_S) * 1000))
        status, store = shown_account(resources, home_of(resources, paper=paper))
        if status.preface:
            info(status.preface)
        found = funnel(store, status, start, name.upper())
        show_view(ctx, found, title="why", now=resources.clock.now())
        for remark in found.remarks:
            info(remark)
