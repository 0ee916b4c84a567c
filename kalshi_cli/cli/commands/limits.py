"""`kalshi limits`: how fast the account may ask, and how to be allowed more."""

from __future__ import annotations

import typer

from kalshi_cli.cli.options import CommandGroup, agreed, open_app, show_view
from kalshi_cli.cli.order_options import Yes

app = CommandGroup("Rate limits of the account.", default="show")


@app.command("show")
def show(ctx: typer.Context) -> None:
    """Tier, token buckets, grants, what requests cost, and the volume that other tiers ask for.

    \b
    kalshi limits
    """
    from kalshi_cli.services.account.cash import limits

    with open_app(ctx) as desk:
        show_view(ctx, limits(desk.client), title="limits", now=desk.clock.now())


@app.command("upgrade")
def upgrade(ctx: typer.Context, yes: Yes = False) -> None:
    """Ask for the Advanced tier: for who placed one of the last 100 orders by API. It costs nothing.

    \b
    kalshi limits upgrade
    """
    from kalshi_cli.services.account.cash import limits

    with open_app(ctx) as desk:
        agreed(desk, "ask for it?", f"{desk.config.env}: the Advanced API tier, for good", yes=yes)
        desk.client.upgrade_tier()
        show_view(ctx, limits(desk.client), title="limits", now=desk.clock.now())
