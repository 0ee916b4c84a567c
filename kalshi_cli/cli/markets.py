"""`kalshi markets`, `market`, `orderbook`, `exchange`: what can be traded, and at what prices."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import Commands, choice_option, count_option, duration_option, flags_of, opened, ticker
from kalshi_cli.cli.output import note
from kalshi_cli.units import Qty

app = Commands("Markets, order books, and the exchange itself.")

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
    from itertools import islice

    from kalshi_cli.cli.market_list import CachedMarketRow, shown_while_read, tell_age
    from kalshi_cli.cli.render import render_rows
    from kalshi_cli.cli.rows import MarketRow, market_row
    from kalshi_cli.desk.listing import MarketQuery
    from kalshi_cli.desk.market_search import choose

    form = flags_of(ctx).form
    with opened(ctx) as desk:
        query = MarketQuery(
            status="" if status == "all" else status,
            series=series.upper(),
            event=event.upper(),
            search=search,
            min_volume=min_volume or Qty(0),
            closing_within_s=closing_within,
            sort=sort or None,  # type: ignore[arg-type]
            limit=None if everything else limit,
            combos=combos,
        )
        now, show = desk.clock.now(), shown_while_read(form, is_long=everything, is_held=bool(sort))
        choice = choose(query, now, desk.catalogue if search or offline else None, lambda: desk.client, is_offline=offline, show=show)
        tell_age(choice, search, now)
        some = islice(choice.markets, query.limit)
        if offline:
            render_rows(
                CachedMarketRow,
                (CachedMarketRow.of(market_row(each), as_of=choice.as_of) for each in some),
                form,
                empty="no market fits",
                now=now,
            )
        else:
            render_rows(MarketRow, map(market_row, some), form, empty="no market fits", now=now)
        if next(choice.markets, None) is not None:
            note(f"the list was cut at {limit}; see more with --limit N or --all")


@app.command("market")
def market(ctx: typer.Context, name: Annotated[str, ticker()]) -> None:
    """One market on one screen: rules, settlement source, fees, price grid, quotes, times.

    \b
    kalshi market KXHIGHNY-26NOV21-B53.5
    """
    from kalshi_cli.cli.render import render_one
    from kalshi_cli.cli.rows import market_view

    with opened(ctx) as desk:
        found = desk.client.market(name.upper())
        fees, event = desk.families.fees(found), desk.families.event(found.event_ticker)
        sources = [f"{name} {url}".strip() for name, url in event.settlement_sources]
        view = market_view(found, fee_type=fees.type.value, fee_multiplier=fees.multiplier, settlement_sources=sources)
        render_one(view, flags_of(ctx).form, title=found.ticker, now=desk.clock.now())


@app.command("orderbook")
def orderbook(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    depth: Annotated[int, typer.Option(min=1, max=100, help="Levels a side.")] = 10,
    size: Annotated[Any, count_option("--size", text="Add what filling so many would cost, each way.")] = None,
) -> None:
    """The book of a market on the YES scale: bids, and the asks that bids for NO imply.

    \b
    kalshi orderbook KXBTCD-26NOV2114-T86249.99
    kalshi orderbook KXBTCD-26NOV2114-T86249.99 --size 500 --json
    """
    from kalshi_cli.cli.render import render_book
    from kalshi_cli.cli.rows import orderbook_view

    with opened(ctx) as desk:
        snapshot = desk.client.orderbook(name.upper())
        render_book(orderbook_view(snapshot, depth, size), flags_of(ctx).form)


@app.command("exchange")
def exchange(ctx: typer.Context) -> None:
    """Whether the exchange and trading are up, opening hours, and announced maintenance.

    \b
    kalshi exchange --env prod
    """
    from kalshi_cli.cli.render import render_one
    from kalshi_cli.cli.rows import exchange_view

    with opened(ctx) as desk:
        now = desk.clock.now()
        view = exchange_view(desk.client.exchange_status(), desk.client.schedule(), now)
        render_one(view, flags_of(ctx).form, title="exchange", now=now)
