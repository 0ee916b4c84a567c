"""`kalshi limits`: how fast the account may ask, and how to be allowed more."""

from __future__ import annotations

import typer

from kalshi_cli.cli.options import CommandGroup, open_services, show_view
from kalshi_cli.cli.order_options import Yes, consented

app = CommandGroup("Rate limits of the account.", default="show")


@app.command("show")
def show(ctx: typer.Context) -> None:
    """Tier, token buckets, grants, what requests cost, and the volume that other tiers ask for.

    \b
    kalshi limits
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.account.limits(), title="limits", now=kalshi.now)


@app.command("upgrade")
def upgrade(ctx: typer.Context, yes: Yes = False) -> None:
    """Ask for the Advanced tier: for who placed one of the last 100 orders by API. It costs nothing.

    \b
    kalshi limits upgrade
    """
    with open_services(ctx) as kalshi:
        plan = consented(kalshi.resources, kalshi.account, kalshi.account.plan_upgrade(), "ask for it?", yes=yes)
        show_view(ctx, kalshi.account.execute(plan), title="limits", now=kalshi.now)
