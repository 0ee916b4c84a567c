"""`kalshi watchlist`: named lists of markets."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import flags_of, open_services, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, argument
from kalshi_cli.cli.screen.output import info

app = CommandGroup(
    "Show and change watchlists.\n\n"
    "Show and change named lists of markets, for `kalshi watch --list LIST` and `kalshi top --list LIST`.\n\n"
    "\b\nkalshi watchlist\nkalshi watchlist nfl\nkalshi watchlist add nfl KXNFLGAME-26NOV22KCDEN-KC",
    default="list",
    takes_words=True,
)

Name = Annotated[str, argument("LIST", "Name of the watchlist, such as nfl")]


@app.command("list")
def list_(
    ctx: typer.Context,
    name: Annotated[str, argument("[LIST]", "Only this watchlist")] = "",
) -> None:
    """List the watchlists and their markets.

    This reads no prices: `kalshi watch --list LIST` and `kalshi top --list LIST` show those.

    \b
    kalshi watchlist
    kalshi watchlist nfl --json
    """
    from kalshi_cli.views.watchlists import WatchlistRow

    with open_services(ctx) as kalshi:
        if name:
            kalshi.markets.watchlist(name)  # an unknown name is an error
        rows = [row for row in kalshi.markets.watchlists() if name.lower() in ("", row.name)]
        show_list(ctx, WatchlistRow, rows, empty="No watchlists; add one with `kalshi watchlist add NAME TICKER`")
        if name and not flags_of(ctx).wants_data:
            info(f"Prices: `kalshi watch --list {name.lower()}` or `kalshi top --list {name.lower()}`")


@app.command("add")
def add(
    ctx: typer.Context,
    name: Name,
    tickers: Annotated[list[str], argument("TICKER...", "Markets to add")],
) -> None:
    """Add markets to a watchlist.

    The first market of a new name creates the watchlist.

    \b
    kalshi watchlist add nfl KXNFLGAME-26NOV22KCDEN-KC KXNFLGAME-26NOV22BUFMIA-BUF
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.markets.add_to_watchlist(name, tickers), title="watchlist")


@app.command("remove")
def remove(
    ctx: typer.Context,
    name: Name,
    tickers: Annotated[
        list[str] | None, argument("[TICKER]...", "Markets to remove; without any, the whole list")
    ] = None,
) -> None:
    """Remove markets, or a whole watchlist.

    Without a market, the whole watchlist is removed; so is one without a market left.

    \b
    kalshi watchlist remove nfl KXNFLGAME-26NOV22KCDEN-KC
    kalshi watchlist remove nfl
    """
    with open_services(ctx) as kalshi:
        left = kalshi.markets.remove_from_watchlist(name, tickers or [])
        if left is None:
            info(f"Watchlist {name.lower()} was removed")
        if left is not None or flags_of(ctx).wants_data:
            from kalshi_cli.views.watchlists import WatchlistRow

            show_list(ctx, WatchlistRow, [left] if left is not None else [])
