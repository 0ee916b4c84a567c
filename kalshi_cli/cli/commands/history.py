"""`kalshi trades`, `candles`: what happened in a market, from both tiers of the exchange's data."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import (
    CommandGroup,
    ago,
    choice_option,
    duration_option,
    flags_of,
    open_services,
    show_list,
    ticker,
)

ALL = "--limit N or --all"

app = CommandGroup("Trades and candles.")

INTERVALS = ("1m", "1h", "1d")


@app.command("trades")
def trades(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    since: Annotated[Any, duration_option("--since", text="Only the last 24h, 7d...")] = None,
    until: Annotated[Any, duration_option("--until", text="Only what is older than that.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many, newest first.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="No limit.")] = False,
) -> None:
    """Public trades of a market, newest first, however old.

    \b
    kalshi trades KXHIGHNY-26NOV21-B53.5
    kalshi trades KXHIGHNY-26NOV21-B53.5 --since 24h --all --format csv
    """
    from kalshi_cli.views.market_history import PublicTradeRow

    with open_services(ctx) as kalshi:
        most = None if everything else limit
        low, high = ago(kalshi, since), ago(kalshi, until)
        found = kalshi.markets.trades(name.upper(), low, high, None if most is None else most + 1)
        show_list(ctx, PublicTradeRow, found, limit=most, more=ALL, empty="no trades", now=kalshi.now)


@app.command("candles")
def candles(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="TICKER...", help="One market or several.", show_default=False)
    ] = None,
    event: Annotated[str, typer.Option(metavar="EVENT", help="All markets of this event instead.")] = "",
    interval: Annotated[str, choice_option("--interval", choices=INTERVALS, text="Length of a candle.")] = "1h",
    since: Annotated[Any, duration_option("--since", text="How far back; 3h, 7d or 90d where nothing is said.")] = None,
    until: Annotated[Any, duration_option("--until", text="Only what is older than that.")] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw a chart; for people, not with --json.")] = False,
) -> None:
    """Prices of a market by the minute, hour or day, however old. A period is named by its end; the last may still run.

    \b
    kalshi candles KXHIGHNY-26NOV21-B53.5 --interval 1m --since 2h
    kalshi candles KXHIGHNY-26NOV21-B53.5 --interval 1h --plot
    kalshi candles --event KXHIGHNY-26NOV21 --interval 1d --format csv
    """
    from kalshi_cli.cli.screen.chart import render_chart
    from kalshi_cli.views.market_history import CandleRow, MarketCandleRow

    tickers = [name.upper() for name in names or ()]
    if bool(tickers) == bool(event):
        raise UsageError("name markets, or --event EVENT", hint="kalshi candles TICKER --interval 1h")
    if plot and len(tickers) != 1:
        raise UsageError("a chart is of one market", hint="kalshi candles TICKER --plot")
    with open_services(ctx) as kalshi:
        span = interval, ago(kalshi, since), ago(kalshi, until)
        if len(tickers) == 1:
            found = kalshi.markets.candles(tickers[0], *span)
            if not (plot and render_chart(found, f"{tickers[0]}  {interval}", flags_of(ctx).form)):
                show_list(ctx, CandleRow, found, empty="no candles", now=kalshi.now)
            return
        if event:
            rows = kalshi.markets.candles_of_event(event.upper(), *span)
        else:
            rows = kalshi.markets.candles_of_markets(tickers, *span)
        show_list(ctx, MarketCandleRow, rows, empty="no candles", now=kalshi.now)
