"""`kalshi lock` and `unlock`: block new positions in a market for a time."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import flags_of, open_services, show_done, show_list
from kalshi_cli.cli.parameters import CommandGroup, argument, duration_option, option
from kalshi_cli.cli.screen.output import info

app = CommandGroup("Block new positions in a market.")


@app.command("lock")
def lock(
    ctx: typer.Context,
    ticker: Annotated[str, argument("[TICKER]", "Market ticker; without it, list the locked markets.")] = "",
    lasts: Annotated[Any, duration_option("--for", "How long, at most 366d.")] = None,
    reason: Annotated[str, option("--reason", "TEXT", "Reason, shown in the list.")] = "",
) -> None:
    """Block new positions in a market.

    Block them for a time, for every program. Orders that reduce a position are still accepted, and resting orders stay:
    cancel them with `kalshi cancel-all --ticker TICKER --no-halt`. Without a market, list the locked markets. A running
    loop applies the lock within one cycle; no order starts after that. Locking a market again sets a new end.

    \b
    kalshi lock KXHIGHNY-26JUL04-B85 --for 3h --reason "the forecast is being revised"
    kalshi lock
    """
    from kalshi_cli.views.formats import format_time
    from kalshi_cli.views.locks import LockRow

    if ticker and lasts is None:
        raise UsageError("--for is required, at most 366d", hint=f"kalshi lock {ticker} --for 3h")
    if not ticker and (lasts is not None or reason):
        raise UsageError("Name a market", hint="kalshi lock TICKER --for 3h")
    with open_services(ctx) as kalshi:
        if ticker:
            locked = kalshi.trading.execute(kalshi.trading.plan_lock(ticker, lasts, reason))
            until, way_out = format_time(locked.until, None), f"kalshi unlock {locked.ticker}"
            info(f"No new positions in {locked.ticker} until {until}. To end the lock: {way_out}")
            if not flags_of(ctx).wants_data:
                return
        held = [row for row in kalshi.trading.locks() if not ticker or row.ticker == ticker.upper()]
        show_list(ctx, LockRow, held, empty="No locked markets", now=kalshi.now)


@app.command("unlock")
def unlock(ctx: typer.Context, ticker: Annotated[str, argument("TICKER", "Market ticker.")]) -> None:
    """Allow new positions in a locked market.

    End the lock before its time. A market that is not locked stays so, with exit code 0.

    \b
    kalshi unlock KXHIGHNY-26JUL04-B85
    """
    with open_services(ctx) as kalshi:
        done = kalshi.trading.execute(kalshi.trading.plan_unlock(ticker)).done
        info(f"{ticker.upper()} is unlocked" if done == "unlocked" else f"{ticker.upper()} was not locked")
        show_done(ctx, done, ticker.upper())
