"""`kalshi markets`, `orderbook`: what can be traded, and at what prices."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import (
    CommandGroup,
    choice_option,
    count_option,
    duration_option,
    flags_of,
    open_services,
    show_list,
    ticker,
)

ALL = "--limit N or --all"

app = CommandGroup("Markets, order books, and the exchange itself.")

STATUSES = ("unopened", "open", "paused", "closed", "settled", "all")
SORTS = ("volume", "spread", "close", "ticker")


@app.command("markets")
def markets(
    ctx: typer.Context,
    status: Annotated[str, choice_option("--status", choices=STATUSES, text="Which markets.")] = "open",
    series: Annotated[str, typer.Option(metavar="SERIES", help="Only this series, like KXBTCD.")] = "",
    event: Annotated[str, typer.Option(metavar="EVENT", help="Only this event.")] = "",
    search: Annotated[str, typer.Option(metavar="TEXT", help="Only those with these words, best first.")] = "",
    min_volume: Annotated[Any, count_option("--min-volume", text="Only those that traded at least this.")] = None,
    closing_within: Annotated[Any, duration_option("--closing-within", text="Only those that close so soon.")] = None,
    sort: Annotated[str, choice_option("--sort", choices=SORTS, text="Order; without it, the exchange's own.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="No limit.")] = False,
    combos: Annotated[bool, typer.Option("--combos", help="Multivariate markets (KXMVE) too.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="As the catalogue has them, with old prices.")] = False,
) -> None:
    """List markets.

    With a catalogue (`kalshi catalogue refresh`) a search finds the beginnings of words in tickers and in the titles of
    market, event and series; prices are read live. Without one, it wants these very letters in ticker or title.

    \b
    kalshi markets --status open
    kalshi markets --series KXBTCD --sort volume --limit 10
    kalshi markets --search "high temp" --closing-within 24h --json
    kalshi markets --all --format ndjson > markets.ndjson
    """
    from kalshi_cli.cli.commands.market_list import print_catalog_age, shown_while_read
    from kalshi_cli.views.markets import CachedMarketRow, MarketRow

    most = None if everything else limit
    with open_services(ctx) as kalshi:
        found = kalshi.markets.list(
            status=status, series=series.upper(), event=event.upper(), search=search, min_volume=min_volume,
            closing_within_s=closing_within, sort=sort or None,  # type: ignore[arg-type]
            limit=most, combos=combos, is_offline=offline,
            progress=shown_while_read(flags_of(ctx).form, is_long=everything, is_held=bool(sort)),
        )  # fmt: skip
        now = kalshi.now
        print_catalog_age(found, search, now)
        kind = CachedMarketRow if offline else MarketRow
        show_list(ctx, kind, found, limit=most, more=ALL, is_live=True, empty="no market fits", now=now)


@app.command("orderbook")
def orderbook(
    ctx: typer.Context,
    names: Annotated[list[str], ticker()],
    depth: Annotated[int, typer.Option(min=1, max=100, help="Levels a side.")] = 10,
    size: Annotated[Any, count_option("--size", text="Add what filling so many would cost, each way.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="One book as it moves, until Ctrl-C; NDJSON in a pipe.")
    ] = False,
) -> None:
    """The book of a market on the YES scale: bids, and the asks that bids for NO imply. Several markets in one request.

    \b
    kalshi orderbook KXBTCD-26NOV2114-T86249.99
    kalshi orderbook KXBTCD-26NOV2114-T86249.99 --size 500 --json
    kalshi orderbook KXBTCD-26NOV2114-T86249.99 KXETHD-26NOV2114-T2799.99 --depth 3
    kalshi orderbook KXBTCD-26NOV2114-T86249.99 --watch
    """
    from kalshi_cli.cli.commands.watch import watch_book
    from kalshi_cli.cli.screen.render import render_books

    if watch:
        watch_book(ctx, names, depth, size)
        return
    with open_services(ctx) as kalshi:
        render_books(kalshi.markets.order_books([name.upper() for name in names], depth, size), flags_of(ctx).form)
