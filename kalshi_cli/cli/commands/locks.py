"""`kalshi lock` and `unlock`: one market in which nothing is opened for a while."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import RefusedError, UsageError
from kalshi_cli.cli.options import CommandGroup, duration_option, flags_of, open_app, show_list
from kalshi_cli.cli.screen.output import info

app = CommandGroup("Lock markets against new positions, for a while.")

MAX_LOCK_S = 366 * 86_400


@app.command("lock")
def lock(
    ctx: typer.Context,
    ticker: Annotated[str, typer.Argument(metavar="[TICKER]", help="The market.", show_default=False)] = "",
    lasts: Annotated[Any, duration_option("--for", text="How long (at most 366d).")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown by the list.")] = "",
) -> None:
    """Open nothing in a market for a while: no loop, no command. Without a market, list what is locked.

    What makes a position smaller is still taken, and what rests stays: `kalshi cancel-all --ticker TICKER --no-halt`.
    A running loop hears of it within a cycle, and no order begins after it. Locking again sets a new end.

    \b
    kalshi lock KXHIGHNY-26JUL04-B85 --for 3h --reason "the forecast is being revised"
    kalshi lock
    """
    from kalshi_cli.base.units import format_ts
    from kalshi_cli.services.trading.halts import MarketLockService
    from kalshi_cli.views.locks import LockRow

    if ticker and (lasts is None or lasts > MAX_LOCK_S):
        raise UsageError("a lock lasts for a time, up to 366d", hint=f"kalshi lock {ticker} --for 3h")
    if not ticker and (lasts is not None or reason):
        raise UsageError("which market?", hint="kalshi lock TICKER --for 3h")
    with open_app(ctx) as resources:
        if ticker:
            locked = MarketLockService(resources).lock(ticker.upper(), lasts, reason.strip())
            until, way_out = format_ts(locked.until), f"kalshi unlock {locked.ticker}"
            info(f"nothing is opened in {locked.ticker} until {until}, or: {way_out}")
            if flags_of(ctx).form is None:
                return
        held = [each for each in MarketLockService(resources).now() if not ticker or each.ticker == ticker.upper()]
        show_list(ctx, LockRow, held, empty="no market is locked", now=resources.clock.now())


@app.command("unlock")
def unlock(
    ctx: typer.Context,
    ticker: Annotated[str, typer.Argument(metavar="TICKER", help="The market.", show_default=False)],
) -> None:
    """End a lock before its time.

    \b
    kalshi unlock KXHIGHNY-26JUL04-B85
    """
    from kalshi_cli.services.trading.halts import MarketLockService

    with open_app(ctx) as resources:
        if not MarketLockService(resources).unlock(ticker.upper()):
            raise RefusedError(f"{ticker.upper()} is not locked", hint="kalshi lock", code="NOT_LOCKED")
        info(f"{ticker.upper()} is open to new orders again")
