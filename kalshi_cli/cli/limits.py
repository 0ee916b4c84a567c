"""`kalshi limits`: how fast the account may ask, and how to be allowed more."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import Commands, flags_of, opened

app = Commands("Rate limits of the account.", default="show")


@app.command("show")
def show(ctx: typer.Context) -> None:
    """Tier, token buckets, grants, what requests cost, and the volume that other tiers ask for.

    \b
    kalshi limits
    """
    from kalshi_cli.cli.screen.render import render_one
    from kalshi_cli.desk.funds import allowances
    from kalshi_cli.views.cash import limits_view

    with opened(ctx) as desk:
        view = limits_view(allowances(desk.client))
        render_one(view, flags_of(ctx).form, title="limits", now=desk.clock.now())


@app.command("upgrade")
def upgrade(
    ctx: typer.Context, yes: Annotated[bool, typer.Option("--yes", help="Do not ask (prod asks).")] = False
) -> None:
    """Ask for the Advanced tier: for who placed one of the last 100 orders by API. It costs nothing.

    \b
    kalshi limits upgrade
    """
    from kalshi_cli.cli.screen.prompts import confirm
    from kalshi_cli.cli.screen.render import render_one
    from kalshi_cli.desk.funds import allowances
    from kalshi_cli.views.cash import limits_view

    with opened(ctx) as desk:
        if desk.needs_confirmation:
            confirm(
                "ask for it?", [f"{desk.config.env}: the Advanced API tier, for good"], hosts=desk.other_hosts, yes=yes
            )
        desk.client.upgrade_tier()
        render_one(limits_view(allowances(desk.client)), flags_of(ctx).form, title="limits", now=desk.clock.now())
