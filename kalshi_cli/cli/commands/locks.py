"""`kalshi lock` and `unlock`: block new positions in a market for a time."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import RefusedError, UsageError
from kalshi_cli.cli.options import CommandGroup, duration_option, flags_of, open_app, show_list
from kalshi_cli.cli.screen.output import info

app = CommandGroup("Block new positions in a market.")

MAX_LOCK_S = 366 * 86_400


@app.command("lock")
def lock(
    ctx: typer.Context,
    ticker: Annotated[
        str, typer.Argument(metavar="[TICKER]", help="Market ticker; without it, list the locked markets.")
    ] = "",
    lasts: Annotated[Any, duration_option("--for", text="How long, at most 366d.")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Reason, shown in the list.")] = "",
) -> None:
    """Block new positions in a market.

    Block them for a time, for every program. Orders that reduce a position are still accepted, and resting orders stay:
    cancel them with `kalshi cancel-all --ticker TICKER --no-halt`. Without a market, list the locked markets. A running
    loop applies the lock within one cycle; no order starts after that. Locking a market again sets a new end.

    \b
    kalshi lock KXHIGHNY-26JUL04-B85 --for 3h --reason "the forecast is being revised"
    kalshi lock
    """
    from kalshi_cli.base.units import format_ts
    from kalshi_cli.services.trading.market_locks import MarketLockService
    from kalshi_cli.views.locks import LockRow

    if ticker and (lasts is None or lasts > MAX_LOCK_S):
        raise UsageError("--for is required, at most 366d", hint=f"kalshi lock {ticker} --for 3h")
    if not ticker and (lasts is not None or reason):
        raise UsageError("Name a market", hint="kalshi lock TICKER --for 3h")
    with open_app(ctx) as resources:
        if ticker:
            locked = MarketLockService(resources).lock(ticker.upper(), lasts, reason.strip())
            until, way_out = format_ts(locked.until), f"kalshi unlock {locked.ticker}"
            info(f"No new positions in {locked.ticker} until {until}. To end the lock: {way_out}")
            if flags_of(ctx).form is None:
                return
        held = [each for each in MarketLockService(resources).now() if not ticker or each.ticker == ticker.upper()]
        show_list(ctx, LockRow, held, empty="No locked markets", now=resources.clock.now())


@app.command("unlock")
def unlock(
    ctx: typer.Context,
    ticker: Annotated[str, typer.Argument(metavar="TICKER", help="Market ticker.", show_default=False)],
) -> None:
    """Allow new positions in a locked market.

    End the lock before its time.

    \b
    kalshi unlock KXHIGHNY-26JUL04-B85
    """
    from kalshi_cli.services.trading.market_locks import MarketLockService

    with open_app(ctx) as resources:
        if not MarketLockService(resources).unlock(ticker.upper()):
            raise RefusedError(f"{ticker.upper()} is not locked", hint="kalshi lock", code="NOT_LOCKED")
        info(f"{ticker.upper()} is unlocked")
