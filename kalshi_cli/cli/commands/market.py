"""`kalshi market`, `exchange`: the details of one market, and the state of the exchange."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.commands.pickers import pick_market
from kalshi_cli.cli.options import is_terse, open_services, show_view
from kalshi_cli.cli.parameters import CommandGroup, ticker
from kalshi_cli.cli.screen.output import info

app = CommandGroup("Show one market, or the exchange.")


@app.command("market")
def market(ctx: typer.Context, name: Annotated[str, ticker()] = "") -> None:
    """Show the details of one market.

    Show one market: rules, settlement source, strike, price grid, quotes, times, shard and fee schedule. It includes
    the fees for 100 contracts at the best price, and any scheduled fee change. A terminal shows prices, times and rules
    on one screen, and how many of the best quotes are yours; `-v` shows the rest, `--json` every field. Without a
    ticker, a terminal offers a choice.

    \b
    kalshi market KXHIGHNY-26NOV21-B53.5
    kalshi market KXHIGHNY-26NOV21-B53.5 -v
    kalshi market KXHIGHNY-26NOV21-B53.5 --json
    """
    name = name or pick_market(ctx)
    with open_services(ctx) as kalshi:
        view = kalshi.markets.get(name.upper())
        if is_terse(ctx):
            from kalshi_cli.cli.screen.brief import market_brief
            from kalshi_cli.services.markets.own_levels import own_levels
            from kalshi_cli.views.order_book import NO_LEVELS

            own = NO_LEVELS if view.has_ended else own_levels(kalshi.resources, view.ticker, "yes")
            show_view(ctx, market_brief(view, own), title=view.ticker, now=kalshi.now)
            info(f"All fields: kalshi market {view.ticker} -v")
        else:
            show_view(ctx, view, title=view.ticker, now=kalshi.now)


@app.command("exchange")
def exchange(ctx: typer.Context) -> None:
    """Show exchange status, hours and maintenance.

    Show whether the exchange and trading are open, in total and by shard. It also shows the trading hours and the next
    maintenance window, announced or weekly.

    \b
    kalshi exchange --env prod
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.markets.exchange(), title="exchange", now=kalshi.now)
