"""`kalshi execution`: how soon orders are placed, whether they trade, and what of their edge is kept."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.units import Ts
from kalshi_cli.cli.options import CommandGroup, Paper, choice_option, duration_option, home_of, open_app, show_view

app = CommandGroup("How well orders are carried out.")

KEYS = ("strategy", "market", "day")
WEEK_S = 7 * 86_400.0
WITHIN_S = 30.0


@app.command("execution")
def execution(
    ctx: typer.Context,
    by: Annotated[str, choice_option("--by", choices=KEYS, text="The parts.")] = "strategy",
    since: Annotated[Any, duration_option("--since", text="Look so far back (7d).")] = None,
    within: Annotated[Any, duration_option("--within", text="The fill rate: traded so soon (30s).")] = None,
    paper: Paper = False,
) -> None:
    """How well orders are carried out: how many trade in time, how long they take from the decision to the answer of
    the exchange, and what of their edge is kept.

    Edge is what a contract was better than the fair value that the strategy named: at the order's price before fees,
    and kept, at the price of the fill after fees; slippage is that, negated. At the end the last 50 orders and fills
    against the 500 before. From the state file; nothing is asked of the exchange. Of the account or of paper as `kalshi
    status` chooses it.

    \b
    kalshi execution
    kalshi execution --by market --since 1d --json
    kalshi execution --paper
    """
    from zoneinfo import ZoneInfo

    from kalshi_cli.cli.screen.output import info
    from kalshi_cli.services.account.execution import executed
    from kalshi_cli.services.trading.status import shown_account

    with open_app(ctx) as desk:
        now, within_ms = desk.clock.now(), int((within or WITHIN_S) * 1000)
        start, zone = Ts(now - int((since or WEEK_S) * 1000)), ZoneInfo(desk.config.day_zone)
        status, store = shown_account(desk, home_of(desk, paper=paper))
        if status.preface:
            info(status.preface)
        found = executed(store, by, since=start, within_ms=within_ms, now=now, zone=zone)
        show_view(ctx, found, title=f"execution by {by}", now=now)
        if not found.orders:
            info("no order was sent since then")
