"""`kalshi execution`: fill rate, latency and slippage of the orders."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import home_of, open_services, show_view
from kalshi_cli.cli.parameters import CommandGroup, Paper, choice_option, duration_option
from kalshi_cli.cli.screen.output import info
from kalshi_cli.cli.time_options import when, when_option

app = CommandGroup("Show execution quality: fill rate, latency, slippage.")

KEYS = ("strategy", "market", "day")
WITHIN_S = 30.0


@app.command("execution")
def execution(
    ctx: typer.Context,
    by: Annotated[str, choice_option("--by", KEYS, "Group by.")] = "strategy",
    since: Annotated[Any, when_option("--since", "How far back to look: 24h, 30d or a date (7d).")] = None,
    within: Annotated[
        Any, duration_option("--within", "An order counts as filled if it trades within this time (30s).")
    ] = None,
    paper: Paper = False,
) -> None:
    """Show execution quality: fill rate, latency, slippage.

    Show the share of orders that fill in time, the latency from the decision to the exchange's answer, and the edge
    that is kept. Edge at the order is the difference between the strategy's fair value and the order price, before
    fees; edge kept uses the fill price after fees. Slippage is edge kept with the opposite sign: the cost beyond the
    fair value, negative for a gain. Slippage to best is how much worse the fills were than the best price that the
    order could take when it was decided on: entries and exits, before fees, negative where an order waited for a better
    price. On paper the latency includes the wait for the next message or tick. The last lines compare the latest 50
    orders and fills with the 500 before. Reads the state file only; no request is sent to the exchange. Shows the
    account or paper trading, as `kalshi status` does.

    \b
    kalshi execution
    kalshi execution --by market --since 1d --json
    kalshi execution --paper
    """
    with open_services(ctx) as kalshi:
        home = home_of(kalshi.resources, paper=paper)
        found = kalshi.monitoring.execution(by, when(kalshi, since), within or WITHIN_S, home)
        show_view(ctx, found, title=f"Execution by {by}", now=kalshi.now)
        if found.orders:
            done = round((found.fill_rate or 0) * found.judged)
            info(
                f"fill rate: {done} of {found.judged} orders traded within {found.within_s:g} s of their decision "
                "(--within); orders that are newer do not count yet, nor in the trend"
            )
        else:
            info("No orders in this period")
