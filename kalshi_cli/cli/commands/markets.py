"""`kalshi markets`, `orderbook`: markets and their prices."""

from __future__ import annotations

from itertools import chain, islice
from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.commands.pickers import pick_market
from kalshi_cli.cli.commands.watch import PriceSide, watch_book
from kalshi_cli.cli.options import flags_of, form_of, open_services, show_list
from kalshi_cli.cli.parameters import (
    LIMIT_OR_ALL,
    All,
    CommandGroup,
    Limit,
    choice_option,
    count_option,
    duration_option,
    flag,
    option,
    ticker,
)
from kalshi_cli.cli.screen.output import Format

app = CommandGroup("List markets and order books.")

STATUSES = ("unopened", "open", "paused", "closed", "settled", "all")
SORTS = ("volume", "spread", "close", "ticker")


@app.command("markets")
def markets(
    ctx: typer.Context,
    status: Annotated[str, choice_option("--status", STATUSES, "Filter by status")] = "open",
    series: Annotated[str, option("--series", "SERIES", "Only this series, such as KXBTCD")] = "",
    event: Annotated[str, option("--event", "EVENT", "Only this event")] = "",
    search: Annotated[str, option("--search", "TEXT", "Words to search for, best match first")] = "",
    min_volume: Annotated[
        Any, count_option("--min-volume", "Only markets with at least this total volume, in contracts")
    ] = None,
    closing_within: Annotated[
        Any, duration_option("--closing-within", "Only markets that close within this time")
    ] = None,
    sort: Annotated[str, choice_option("--sort", SORTS, "Sort order; without it, the exchange's order")] = "",
    limit: Limit = 50,
    everything: All = False,
    combos: Annotated[bool, flag("--combos", "Include combos (multivariate markets, KXMVE)")] = False,
    offline: Annotated[
        bool, flag("--offline", "Search the local catalog only; prices are as of the last refresh")
    ] = False,
) -> None:
    """List and search markets.

    List markets, with current prices. With a local catalog (`kalshi catalog refresh`), `--search` finds
    beginnings of words in tickers and in the titles of the market, event and series, and after them the same text
    inside of words: `nba` finds KXNBAGAME. Without a catalog, `--search` matches the exact text in the ticker or title.

    \b
    kalshi markets --status open
    kalshi markets --series KXBTCD --sort volume --limit 10
    kalshi markets --search "high temp" --closing-within 24h --json
    kalshi markets --all --format ndjson > markets.ndjson
    """
    from kalshi_cli.cli.commands.market_list import none_found, print_catalog_age, shown_while_read
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
        empty = none_found(kalshi, search, found.as_of)
        rows = iter(found.items)
        first = list(islice(rows, 1))  # an unknown series or event is an error before anything is written
        show_list(ctx, kind, chain(first, rows), limit=most, more=LIMIT_OR_ALL, is_live=True, empty=empty, now=now)


@app.command("orderbook")
def orderbook(
    ctx: typer.Context,
    names: Annotated[list[str] | None, ticker()] = None,
    depth: Annotated[int, option("--depth", "N", "Price levels per side", min=1, max=100)] = 10,
    size: Annotated[
        Any, count_option("--size", "Add the cost and slippage of filling this many contracts, each way")
    ] = None,
    side: PriceSide = "yes",
    watch: Annotated[bool, flag("--watch", "Stream one order book until Ctrl-C; NDJSON when piped")] = False,
    duration: Annotated[Any, duration_option("--duration", "With --watch: stop after this time")] = None,
) -> None:
    """Show the order book of one or more markets.

    Show the order book on the YES scale: bids for YES, and the asks implied by bids for NO. With `--side no`, show the
    same order book at the prices of NO: bids for NO, and the asks implied by bids for YES. Several markets are read in
    one request. Of one market, a terminal also shows your own quantity at each level. Without a ticker, it offers a
    choice.

    \b
    kalshi orderbook KXBTCD-26NOV2114-T86249.99
    kalshi orderbook KXBTCD-26NOV2114-T86249.99 --size 500 --json
    kalshi orderbook KXBTCD-26NOV2114-T86249.99 KXETHD-26NOV2114-T2799.99 --depth 3
    kalshi orderbook KXBTCD-26NOV2114-T86249.99 --side no --watch
    """
    from kalshi_cli.cli.screen.render import render_books
    from kalshi_cli.services.markets.own_levels import own_levels
    from kalshi_cli.views.order_book import NO_LEVELS

    names = names or [pick_market(ctx)]
    if duration is not None and not watch:
        raise UsageError("--duration is the time of --watch", hint="add --watch")
    if watch:
        watch_book(ctx, names, depth, size, duration, side)
        return
    with open_services(ctx) as kalshi:
        read = kalshi.markets.order_books if side == "yes" else kalshi.markets.no_order_books
        tickers, form, own = [name.upper() for name in names], form_of(ctx), NO_LEVELS
        views = read(tickers, depth, size)
        if len(tickers) == 1 and form is Format.TABLE:
            own = own_levels(kalshi.resources, tickers[0], side)
        render_books(views, form, own)
