"""`kalshi events`, `event`, `series`, `series-info`: what markets belong together."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import Commands, choice_option, duration_option, flags_of, opened
from kalshi_cli.cli.screen.output import Format, note

app = Commands("Events and series.")

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
    from kalshi_cli.cli.market_list import tell_age
    from kalshi_cli.cli.screen.render import render_rows
    from kalshi_cli.desk.listing import EventQuery
    from kalshi_cli.desk.market_search import choose_events
    from kalshi_cli.views.markets import EventRow, event_row

    with opened(ctx) as desk:
        query = EventQuery(
            status="" if status == "all" else status,
            series=series.upper(),
            search=search,
            closing_within_s=closing_within,
        )
        now = desk.clock.now()
        choice = choose_events(query, now, desk.catalogue if search else None, desk.client)
        tell_age(choice, search, now)
        rows = map(event_row, islice(choice.items, None if everything else limit))
        render_rows(EventRow, rows, flags_of(ctx).form, empty="no event fits", now=now)
        if next(choice.items, None) is not None:
            note(f"the list was cut at {limit}; see more with --limit N or --all")


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
    from kalshi_cli.cli.screen.render import render_one
    from kalshi_cli.desk.screens import read_event
    from kalshi_cli.views.markets import event_view, whole_event

    form = flags_of(ctx).form
    with opened(ctx) as desk:
        now = desk.clock.now()
        screen = read_event(desk.client, desk.families, name.upper(), now)
        is_whole = form in (Format.JSON, Format.NDJSON)
        render_one(whole_event(screen) if is_whole else event_view(screen), form, title=name.upper(), now=now)


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
    from kalshi_cli.cli.market_list import tell_age
    from kalshi_cli.cli.screen.render import render_rows
    from kalshi_cli.desk.market_search import choose_series
    from kalshi_cli.views.markets import SeriesRow, series_row

    with opened(ctx) as desk:
        now, catalogue = desk.clock.now(), desk.catalogue if search else None
        choice = choose_series(category, tag, search, catalogue, desk.client, with_volume=volume)
        tell_age(choice, search, now)
        render_rows(SeriesRow, map(series_row, choice.items), flags_of(ctx).form, empty="no series fits", now=now)


@app.command("series-info")
def series_info(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SERIES", help="Series ticker, like KXHIGHNY.", show_default=False)],
) -> None:
    """A series with everything it has: fees now, before and later, contract terms, settlement sources, volume.

    \b
    kalshi series-info KXHIGHNY
    """
    from kalshi_cli.cli.screen.render import render_one
    from kalshi_cli.desk.screens import read_series
    from kalshi_cli.views.markets import series_view

    with opened(ctx) as desk:
        screen = read_series(desk.client, name.upper())
        render_one(series_view(screen), flags_of(ctx).form, title=screen.series.ticker, now=desk.clock.now())
