"""`kalshi limits`: the API rate limits of the account."""

from __future__ import annotations

import typer

from kalshi_cli.cli.options import executed, open_services, show_view
from kalshi_cli.cli.parameters import CommandGroup, Yes

app = CommandGroup(
    "Show API rate limits, or request a higher tier.\n\n"
    "Show the API rate limits of the account, or request a higher tier. `kalshi limits` alone is `kalshi limits show`.",
    default="show",
)


@app.command("show")
def show(ctx: typer.Context) -> None:
    """Show API tier, rate limits and request costs.

    Show the API tier, token buckets, grants, the cost of each request, and the trading volume that higher tiers
    require.

    \b
    kalshi limits
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.account.limits(), title="limits", now=kalshi.now)


@app.command("upgrade")
def upgrade(ctx: typer.Context, yes: Yes = False) -> None:
    """Request the Advanced API tier.

    Request the Advanced API tier, which is free. At least one of the account's last 100 orders must have been placed
    through the API.

    \b
    kalshi limits upgrade
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.account.plan_upgrade()
        view = executed(kalshi.resources, kalshi.account, plan, "Request the upgrade?", yes=yes)
        show_view(ctx, view, title="limits", now=kalshi.now)
