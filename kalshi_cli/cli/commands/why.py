"""`kalshi why`: the funnel from order requests to trades."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from kalshi_cli.cli.options import home_of, is_terse, open_app, show_view, shows_every_field
from kalshi_cli.cli.parameters import CommandGroup, Paper, argument
from kalshi_cli.cli.screen.output import info
from kalshi_cli.cli.time_options import moment_of, when_option

app = CommandGroup("Explain why nothing was traded.")

HOUR_S = 3_600.0


@app.command("why")
def why(
    ctx: typer.Context,
    name: Annotated[str, argument("[TICKER]", "Only this market.")] = "",
    since: Annotated[Any, when_option("--since", "How far back to look: 1h, 7d or a date (1h).")] = None,
    paper: Paper = False,
) -> None:
    """Explain why nothing was traded.

    Show how many orders the strategies requested, in total and per strategy, and which risk control or setting refused
    how many. It also shows what the exchange refused and what happened to the orders that were sent. Of manual orders
    it has only those that a risk control refused. Reads the state file only; no request is sent to the exchange. Shows
    the account or paper trading, as `kalshi status` does.

    \b
    kalshi why
    kalshi why KXHIGHNY-26NOV21-T50 --since 1d --json
    """
    from kalshi_cli.cli.screen.brief import why_screen
    from kalshi_cli.services.trading.reports.order_funnel import funnel
    from kalshi_cli.services.trading.reports.status import shown_account

    with open_app(ctx) as resources:
        now, zone = resources.clock.now(), ZoneInfo(resources.config.day_zone)
        start = moment_of(HOUR_S if since is None else since, now, zone)
        status, store = shown_account(resources, home_of(resources, paper=paper))
        if status.preface:
            info(status.preface)
        found = funnel(store, status, start, name.upper())
        show_view(ctx, why_screen(found) if is_terse(ctx) else found, title="Orders of strategies", now=now)
        if not shows_every_field(ctx):
            info(*found.remarks)
