"""`kalshi trades`, `candles`: the history of a market, from the live and the historical tier of the exchange."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import flags_of, open_services, show_list
from kalshi_cli.cli.parameters import (
    LIMIT_OR_ALL,
    CommandGroup,
    argument,
    choice_option,
    flag,
    limit_option,
    option,
    ticker,
)
from kalshi_cli.cli.screen.output import chosen_fields
from kalshi_cli.cli.time_options import Since, Until, when, when_option

app = CommandGroup("Trades and candles.")

INTERVALS = ("1m", "1h", "1d")
CANDLES_SINCE = "How far back: 3h, 7d or a date; by default 3h, 7d or 90d, by the interval."


@app.command("trades")
def trades(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, limit_option("Maximum number of trades, newest first")] = 50,
    everything: Annotated[bool, flag("--all", "No limit.")] = False,
) -> None:
    """List public trades in a market.

    Newest first, from the full history.

    \b
    kalshi trades KXHIGHNY-26NOV21-B53.5
    kalshi trades KXHIGHNY-26NOV21-B53.5 --since 24h --all --format csv
    """
    from kalshi_cli.views.market_history import PublicTradeRow

    with open_services(ctx) as kalshi:
        most = None if everything else limit
        low, high = when(kalshi, since), when(kalshi, until)
        found = kalshi.markets.trades(name.upper(), low, high, None if most is None else most + 1)
        show_list(ctx, PublicTradeRow, found, limit=most, more=LIMIT_OR_ALL, empty="No trades", now=kalshi.now)


@app.command("candles")
def candles(
    ctx: typer.Context,
    names: Annotated[list[str] | None, argument("TICKER...", "One market or several.")] = None,
    event: Annotated[str, option("--event", "EVENT", "All markets of this event instead.")] = "",
    interval: Annotated[str, choice_option("--interval", INTERVALS, "Length of a candle.")] = "1h",
    since: Annotated[Any, when_option("--since", CANDLES_SINCE)] = None,
    until: Until = None,
    plot: Annotated[bool, flag("--plot", "Draw a chart; not with --json.")] = False,
) -> None:
    """Show price history as candles, with a chart.

    By minute, hour or day, from the full history. Each candle is labeled with the end of its period; the last one may
    still be in progress.

    \b
    kalshi candles KXHIGHNY-26NOV21-B53.5 --interval 1m --since 2h
    kalshi candles KXHIGHNY-26NOV21-B53.5 --interval 1h --plot
    kalshi candles --event KXHIGHNY-26NOV21 --interval 1d --format csv
    """
    from kalshi_cli.cli.screen.chart import render_chart
    from kalshi_cli.cli.screen.curve import require_curve
    from kalshi_cli.views.market_history import CandleRow, MarketCandleRow

    tickers = [name.upper() for name in names or ()]
    if bool(tickers) == bool(event):
        raise UsageError("Give one or more markets, or --event EVENT", hint="kalshi candles TICKER --interval 1h")
    if plot:
        require_curve(flags_of(ctx).form, None, "kalshi candles TICKER --plot")
    if plot and chosen_fields():
        raise UsageError("--plot and --fields cannot be combined", hint="use one of them")
    if plot and len(tickers) != 1:
        raise UsageError("--plot shows one market at a time", hint="kalshi candles TICKER --plot")
    with open_services(ctx) as kalshi:
        span = interval, when(kalshi, since), when(kalshi, until)
        if len(tickers) == 1:
            found = kalshi.markets.candles(tickers[0], *span)
            if not (plot and render_chart(found, f"{tickers[0]}  {interval}")):
                show_list(ctx, CandleRow, found, empty="No candles", now=kalshi.now)
            return
        if event:
            rows = kalshi.markets.candles_of_event(event.upper(), *span)
        else:
            rows = kalshi.markets.candles_of_markets(tickers, *span)
        show_list(ctx, MarketCandleRow, rows, empty="No candles", now=kalshi.now)
