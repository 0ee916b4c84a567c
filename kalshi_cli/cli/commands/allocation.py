"""`kalshi allocation`: the share of free cash that the exchange keeps on each shard."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import executed, note_unsent, open_services, show_view
from kalshi_cli.cli.parameters import CommandGroup, DryRun, Yes, argument, choice_option, flag

app = CommandGroup(
    "Show or set automatic cash allocation across shards.\n\n"
    "Show or set the target allocation, by which the exchange keeps free cash spread across shards.",
    default="show",
)


@app.command("show")
def show(ctx: typer.Context) -> None:
    """Show the current cash allocation.

    Show the current percentage of each shard.

    \b
    kalshi allocation show
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.account.allocation(), title="allocation")


@app.command("set")
def set_(
    ctx: typer.Context,
    shares: Annotated[
        list[str] | None, argument("SHARD=PERCENT...", "Percentage per shard; they add up to 100")
    ] = None,
    off: Annotated[bool, flag("--off", "Turn off automatic allocation")] = False,
    reserve: Annotated[
        str, choice_option("--reserve", ("max", "sum", "none"), "Cash kept on a shard for its resting orders")
    ] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Set the cash allocation across shards.

    Replace the target allocation. From then on, the exchange moves free cash between shards every ten seconds.

    \b
    kalshi allocation set 0=60 2=40
    kalshi allocation set --off
    """
    from kalshi_cli.services.account.cash import wanted_allocation

    wanted = wanted_allocation(shares or [], reserve, off=off)
    with open_services(ctx) as kalshi:
        plan = kalshi.account.plan_allocation(wanted.shares, reserve)
        if dry_run:
            note_unsent()
            show_view(ctx, plan.terms, title="not sent")
            return
        made = executed(kalshi.resources, kalshi.account, plan, "Set this allocation?", yes=yes)
        show_view(ctx, made, title="allocation")
