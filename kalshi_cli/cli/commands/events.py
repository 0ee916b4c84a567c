"""`kalshi events`, `event`, `series`, `series-info`: groups of markets."""

from __future__ import annotations

from itertools import chain, islice
from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import flags_of, open_services, show_list, show_view
from kalshi_cli.cli.parameters import (
    LIMIT_OR_ALL,
    All,
    CommandGroup,
    Limit,
    argument,
    choice_option,
    duration_option,
    flag,
    option,
)
from kalshi_cli.cli.screen.output import Format

app = CommandGroup("List events and series.")

STATUSES = ("unopened", "open", "closed", "settled", "all")


@app.command("events")
def events(
    ctx: typer.Context,
    status: Annotated[
        str, choice_option("--status", STATUSES, "Filter by the status of any of the event's markets")
    ] = "open",
    series: Annotated[str, option("--series", "SERIES", "Only this series, such as KXBTCD")] = "",
    search: Annotated[str, option("--search", "TEXT", "Words to search for in the ticker and titles")] = "",
    closing_within: Annotated[
        Any, duration_option("--closing-within", "Only events with a market that closes within this time")
    ] = None,
    limit: Limit = 50,
    everything: All = False,
) -> None:
    """List events.

    List events, which are groups of markets. Combos are not listed here; see `kalshi combos`.

    \b
    kalshi events --series KXHIGHNY
    kalshi events --search fed --status all --json
    """
    from kalshi_cli.cli.commands.market_list import none_found, print_catalog_age
    from kalshi_cli.views.events import EventRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.events(
            status=status, series=series.upper(), search=search, closing_within_s=closing_within
        )
        now = kalshi.now
        print_catalog_age(found, search, now)
        most = None if everything else limit
        empty = none_found(kalshi, search, found.as_of, what="events")
        if series and status != "all":
            empty += f" ({status}); see all with `kalshi events --series {series.upper()} --status all`"
        rows = iter(found)
        first = list(islice(rows, 1))  # an unknown series is an error before anything is written
        show_list(ctx, EventRow, chain(first, rows), limit=most, more=LIMIT_OR_ALL, is_live=True, empty=empty, now=now)


@app.command("event")
def event(
    ctx: typer.Context,
    name: Annotated[str, argument("EVENT", "Event ticker, such as KXHIGHNY-26NOV21")],
) -> None:
    """Show an event and its markets.

    Show an event with its markets, settlement sources and fees, and whether its markets are mutually exclusive.
    `--json` returns every field.

    \b
    kalshi event KXHIGHNY-26NOV21
    """
    with open_services(ctx) as kalshi:
        view = kalshi.markets.event(name.upper(), is_whole=flags_of(ctx).form in (Format.JSON, Format.NDJSON))
        show_view(ctx, view, title=name.upper(), now=kalshi.now)


@app.command("series")
def series(
    ctx: typer.Context,
    category: Annotated[str, option("--category", "NAME", "Filter by category, such as Crypto (case-sensitive)")] = "",
    tag: Annotated[str, option("--tag", "TAG", "Filter by tag (case-sensitive)")] = "",
    search: Annotated[str, option("--search", "TEXT", "Words to search for in the ticker and title")] = "",
    volume: Annotated[bool, flag("--volume", "Include the total volume of each series")] = False,
) -> None:
    """List series and their fees.

    List series, which are recurring families of events, with the fees that each one charges.

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
        show_list(ctx, SeriesRow, found, is_live=True, empty="No matching series", now=now)


@app.command("series-info")
def series_info(
    ctx: typer.Context, name: Annotated[str, argument("SERIES", "Series ticker, such as KXHIGHNY")]
) -> None:
    """Show the details of one series.

    Show one series: current, past and scheduled fees, contract terms, settlement sources and volume.

    \b
    kalshi series-info KXHIGHNY
    """
    with open_services(ctx) as kalshi:
        view = kalshi.markets.series_details(name.upper())
        show_view(ctx, view, title=view.ticker, now=kalshi.now)
