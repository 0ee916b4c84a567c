"""`kalshi market`, `exchange`: one market on one screen, and the exchange itself."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import CommandGroup, open_app, show_view, ticker

app = CommandGroup("One market, and the exchange itself.")


@app.command("market")
def market(ctx: typer.Context, name: Annotated[str, ticker()]) -> None:
    """One market on one screen: rules, settlement source, strike, price grid, quotes, times, shard; what a hundred
    contracts at the touch cost in fees, and how the fees will change. JSON has everything the market has.

    \b
    kalshi market KXHIGHNY-26NOV21-B53.5
    kalshi market KXHIGHNY-26NOV21-B53.5 --json
    """
    from kalshi_cli.services.markets.market_details import read_market

    with open_app(ctx) as desk:
        now = desk.clock.now()
        view = read_market(desk.client, desk.families, name.upper(), now)
        show_view(ctx, view, title=view.ticker, now=now)


@app.command("exchange")
def exchange(ctx: typer.Context) -> None:
    """Whether the exchange and trading are up, by shard too; opening hours; the next maintenance, announced or weekly.

    \b
    kalshi exchange --env prod
    """
    from kalshi_cli.services.markets.exchange_hours import read_exchange

    with open_app(ctx) as desk:
        now = desk.clock.now()
        show_view(ctx, read_exchange(desk.client, now), title="exchange", now=now)
