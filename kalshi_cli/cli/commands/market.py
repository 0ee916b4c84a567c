"""`kalshi market`, `exchange`: one market on one screen, and the exchange itself."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import CommandGroup, open_services, show_view, ticker

app = CommandGroup("One market, and the exchange itself.")


@app.command("market")
def market(ctx: typer.Context, name: Annotated[str, ticker()]) -> None:
    """One market on one screen: rules, settlement source, strike, price grid, quotes, times, shard; what a hundred
    contracts at the touch cost in fees, and how the fees will change. JSON has everything the market has.

    \b
    kalshi market KXHIGHNY-26NOV21-B53.5
    kalshi market KXHIGHNY-26NOV21-B53.5 --json
    """
    with open_services(ctx) as kalshi:
        view = kalshi.markets.get(name.upper())
        show_view(ctx, view, title=view.ticker, now=kalshi.now)


@app.command("exchange")
def exchange(ctx: typer.Context) -> None:
    """Whether the exchange and trading are up, by shard too; opening hours; the next maintenance, announced or weekly.

    \b
    kalshi exchange --env prod
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.markets.exchange(), title="exchange", now=kalshi.now)
