"""`kalshi events`, `event`, `series`, `series-info`: what markets belong together."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import (
    CommandGroup,
    choice_option,
    duration_option,
    flags_of,
    open_services,
    show_list,
    show_view,
)
from kalshi_cli.cli.screen.output import Format

ALL = "--limit N or --all"

app = CommandGroup("Events and series.")

STATUSES = ("unopened", "open", "closed", "settled", "all")


@app.command("events")
def events(
    ctx: typer.Context,
    status: Annotated[str, choice_option("--status", choices=STATUSES, text="Of any of its markets.")] = "open",
    series: Annotated[str, typer.Option(metavar="SERIES", help="Only this series, like KXBTCD.")] = "",
    search: Annotated[str, typer.Option(metavar="TEXT", help="Only those with these words in ticker or titles.")] = "",
    closing_within: Annotated[
        Any, duration_option("--closing-within", text="Only those of which a market closes so soon.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="No limit.")] = False,
) -> None:
    """List events, which are groups of markets. Combos have none of these.

    \b
    kalshi events --series KXHIGHNY
    kalshi events --search fed --status all --json
    """
    from kalshi_cli.cli.commands.market_list import print_catalog_age
    from kalshi_cli.views.events import EventRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.events(
            status=status, series=series.upper(), search=search, closing_within_s=closing_within
        )
        now = kalshi.now
        print_catalog_age(found, search, now)
        most = None if everything else limit
        show_list(ctx, EventRow, found, limit=most, more=ALL, is_live=True, empty="no event fits", now=now)


@app.command("event")
def event(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="EVENT", help="Event ticker, like KXHIGHNY-26NOV21.", show_default=False)
    ],
) -> None:
    """An event with its markets: whether they exclude each other, settlement sources, fees. JSON has all of it whole.

    \b
    kalshi event KXHIGHNY-26NOV21
    """
    with open_services(ctx) as kalshi:
        view = kalshi.markets.event(name.upper(), is_whole=flags_of(ctx).form in (Format.JSON, Format.NDJSON))
        show_view(ctx, view, title=name.upper(), now=kalshi.now)


@app.command("series")
def series(
    ctx: typer.Context,
    category: Annotated[str, typer.Option(metavar="NAME", help="Only this category, like Crypto, capitals too.")] = "",
    tag: Annotated[str, typer.Option(metavar="TAG", help="Only those with this tag, capitals too.")] = "",
    search: Annotated[str, typer.Option(metavar="TEXT", help="Only those with these words in ticker or title.")] = "",
    volume: Annotated[bool, typer.Option("--volume", help="Read the contracts traded so far, too.")] = False,
) -> None:
    """List series, which are families of events, and how they charge.

    \b
    kalshi series --category Crypto
    kalshi series --search temperature --volume --json
    """
    from kalshi_cli.cli.commands.market_list import print_catalog_age
    from kalshi_cli.views.events import SeriesRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.series(category=category, tag=tag, search=search, with_volume=volume)
        now = kalshi.now
        print_catalog_age(found, search, now)
        show_list(ctx, SeriesRow, found, is_live=True, empty="no series fits", now=now)


@app.command("series-info")
def series_info(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SERIES", help="Series ticker, like KXHIGHNY.", show_default=False)],
) -> None:
    """A series with everything it has: fees now, before and later, contract terms, settlement sources, volume.

    \b
    kalshi series-info KXHIGHNY
    """
    with open_services(ctx) as kalshi:
        view = kalshi.markets.series_details(name.upper())
        show_view(ctx, view, title=view.ticker, now=kalshi.now)
