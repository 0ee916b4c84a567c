"""`kalshi combos`: multivariate markets, made of several legs."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import executed, flags_of, note_unsent, open_services, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, DryRun, Limit, Yes, argument, choice_option, option
from kalshi_cli.cli.screen.output import info

app = CommandGroup(
    "Find and create combos (multivariate markets).\n\n"
    "List the collections that combos are made from, and create the market for a set of legs. `kalshi combos` alone is "
    "`kalshi combos list`.",
    default="list",
)

STATUSES = ("unopened", "open", "closed", "all")
CollectionName = Annotated[str, argument("COLLECTION", "Ticker of the collection")]


@app.command("list")
def list_(
    ctx: typer.Context,
    event: Annotated[str, option("--event", "EVENT", "Only collections that include this event")] = "",
    status: Annotated[str, choice_option("--status", STATUSES, "Filter by status")] = "open",
    limit: Limit = 50,
) -> None:
    """List combo collections.

    List the collections, which define the events that combos can be made from. `kalshi markets --combos` lists the
    combos themselves.

    \b
    kalshi combos
    kalshi combos list --event KXHIGHNY-26NOV21
    """
    from kalshi_cli.views.combos import CollectionRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.collections(event=event.upper(), status=status, limit=limit)
        show_list(ctx, CollectionRow, found, empty="No matching collections", now=kalshi.now)


@app.command("show")
def show(ctx: typer.Context, collection: CollectionName) -> None:
    """Show a collection and its eligible events.

    Show one collection, with the events whose markets can be legs.

    \b
    kalshi combos show KXMVECROSSCATEGORY-R
    """
    with open_services(ctx) as kalshi:
        view = kalshi.markets.collection(collection.upper())
        show_view(ctx, view, title=view.collection, now=kalshi.now)


@app.command("create")
def create(
    ctx: typer.Context,
    collection: CollectionName,
    leg: Annotated[list[str], option("--leg", "MARKET:yes|no", "A leg; repeat the option for each leg")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Create the market for a set of legs.

    Return the market for these legs; it is created if it does not exist yet. Nothing is bought: request quotes with
    `kalshi rfq create`.

    \b
    kalshi combos create KXMVECROSSCATEGORY-R --leg KXHIGHNY-26NOV21-B53.5:yes --leg KXINX-26NOV21H1600-B6812:no
    """
    from kalshi_cli.cli.screen.render import render_rows
    from kalshi_cli.views.combos import ComboLeg

    with open_services(ctx) as kalshi:
        chosen = kalshi.markets.combo_legs(leg)
        if dry_run:
            note_unsent()
            render_rows(ComboLeg, chosen, flags_of(ctx).form, title="not sent")
            return
        plan = kalshi.markets.plan_combo(collection.upper(), chosen)
        made = executed(kalshi.resources, kalshi.markets, plan, "Create this market?", yes=yes)
        info(f"To get quotes: kalshi rfq create {made.ticker} --cost 10.00")
        show_view(ctx, made, title=made.ticker, now=kalshi.now)
