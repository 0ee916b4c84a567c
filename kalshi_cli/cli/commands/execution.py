"""`kalshi execution`: how soon orders are placed, whether they trade, and what of their edge is kept."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import (
    CommandGroup,
    Paper,
    ago,
    choice_option,
    duration_option,
    home_of,
    open_services,
    show_view,
)

app = CommandGroup("How well orders are carried out.")

KEYS = ("strategy", "market", "day")
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
    from kalshi_cli.cli.screen.output import info

    with open_services(ctx) as kalshi:
        home = home_of(kalshi.resources, paper=paper)
        found = kalshi.monitoring.execution(by, ago(kalshi, since), within or WITHIN_S, home)
        show_view(ctx, found, title=f"execution by {by}", now=kalshi.now)
        if not found.orders:
            info("no order was sent since then")
