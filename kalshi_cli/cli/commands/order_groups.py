"""`kalshi order group ...`: orders that share a fill limit and are canceled together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import pluralize
from kalshi_cli.cli.options import CommandGroup, agreed, count_option, open_app, show_list, show_view
from kalshi_cli.cli.order_options import Yes, subaccount_option

if TYPE_CHECKING:
    from kalshi_cli.exchange.wire.groups import OrderGroup
    from kalshi_cli.services.resources import Resources

app = CommandGroup(
    "Manage order groups. When more than the group's limit of contracts matches within 15 seconds, the exchange "
    "cancels all orders of the group and accepts no new ones until it is reset."
)

Group = Annotated[str, typer.Argument(metavar="GROUP_ID", help="Order group id.", show_default=False)]
Whose = Annotated[int | None, subaccount_option("Subaccount of the order group.")]
Limit = Annotated[Any, count_option("--limit", text="Contracts that may match within 15 seconds, 1 to 1,000,000.")]


@app.command("list")
def list_(
    ctx: typer.Context, subaccount: Annotated[int | None, subaccount_option("Only this subaccount.")] = None
) -> None:
    """List order groups.

    The exchange does not report here whether a group was triggered. A triggered group has no orders, and rejects new
    ones until `kalshi order group reset`.

    \b
    kalshi order group list
    """
    from kalshi_cli.views.orders import GroupRow

    with open_app(ctx) as resources:
        show_list(ctx, GroupRow, resources.client.order_groups(subaccount), empty="No order groups")


@app.command("show")
def show(ctx: typer.Context, group_id: Group, subaccount: Whose = None) -> None:
    """Show an order group and its orders.

    \b
    kalshi order group show 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    from kalshi_cli.views.orders import GroupView

    with open_app(ctx) as resources:
        show_view(ctx, GroupView.of(resources.client.order_group(group_id, subaccount)), title=group_id)


@app.command("create")
def create(
    ctx: typer.Context,
    limit: Limit,
    subaccount: Whose = None,
    shard: Annotated[
        int, typer.Option("--shard", min=0, metavar="N", help="Shard of the markets that the group is for.")
    ] = 0,
    yes: Yes = False,
) -> None:
    """Create an order group.

    It is for the markets of one shard. `kalshi market TICKER --json` shows the shard of a market as `exchange_index`.

    \b
    kalshi order group create --limit 100
    """
    from kalshi_cli.base.units import show_qty
    from kalshi_cli.views.orders import GroupView

    with open_app(ctx) as resources:
        fact = f"{resources.config.env}: order group with a limit of {show_qty(limit)} contracts in 15 seconds"
        agreed(resources, "Create this order group?", fact, yes=yes)
        group = resources.client.create_order_group(limit, subaccount=subaccount, exchange_index=shard)
        show_view(ctx, GroupView.of(group), title="New order group")


@app.command("limit")
def limit_(ctx: typer.Context, group_id: Group, limit: Limit, subaccount: Whose = None, yes: Yes = False) -> None:
    """Change the limit of an order group.

    If that many contracts matched within the last 15 seconds, the group is triggered at once. While trading is halted,
    a limit can only be lowered.

    \b
    kalshi order group limit 2597b999-f887-4195-8bac-c3f97a1f2021 --limit 50
    """
    from kalshi_cli.services.trading.refusals import translate_halt

    with open_app(ctx) as resources:
        group = _asked(resources, group_id, subaccount, "Change the limit of", yes=yes)
        translate_halt(resources.store, lambda: resources.client.limit_order_group(group, limit))
        _done(ctx, group, "limit changed")


@app.command("trigger")
def trigger(ctx: typer.Context, group_id: Group, subaccount: Whose = None, yes: Yes = False) -> None:
    """Cancel all orders in a group and block new ones.

    The group blocks new orders until it is reset.

    \b
    kalshi order group trigger 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    from kalshi_cli.services.trading.run_order_groups import note_group

    with open_app(ctx) as resources:
        group = _asked(resources, group_id, subaccount, "Trigger", yes=yes)
        resources.client.trigger_order_group(group)
        note_group(resources, group_id, is_triggered=True)
        _done(ctx, group, "triggered")


@app.command("reset")
def reset(ctx: typer.Context, group_id: Group, subaccount: Whose = None, yes: Yes = False) -> None:
    """Accept orders again in a triggered group.

    This is refused while trading is halted.

    \b
    kalshi order group reset 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    from kalshi_cli.services.trading.run_order_groups import reset_group

    with open_app(ctx) as resources:
        group = _asked(resources, group_id, subaccount, "Reset", yes=yes)
        reset_group(resources, group)
        _done(ctx, group, "reset")


@app.command("delete")
def delete(ctx: typer.Context, group_id: Group, subaccount: Whose = None, yes: Yes = False) -> None:
    """Cancel all orders in a group and delete it.

    \b
    kalshi order group delete 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    with open_app(ctx) as resources:
        group = _asked(resources, group_id, subaccount, "Delete", yes=yes)
        resources.client.delete_order_group(group)
        _done(ctx, group, "deleted")


def _asked(resources: Resources, group_id: str, subaccount: int | None, verb: str, *, yes: bool) -> OrderGroup:
    """Return the group, with the shard that every write must name, after the confirmation on prod."""
    if resources.config.read_only:
        raise RefusedError("KALSHI_READ_ONLY blocks all writes", hint="unset KALSHI_READ_ONLY", code="READ_ONLY")
    group = resources.client.order_group(group_id, subaccount)
    fact = f"{resources.config.env}: order group {group_id}, {pluralize(len(group.orders or ()), 'order')}"
    agreed(resources, f"{verb} this order group?", fact, yes=yes)
    return group


def _done(ctx: typer.Context, group: OrderGroup, what: str) -> None:
    from kalshi_cli.views.orders import GroupActionResult

    show_view(ctx, GroupActionResult(order_group_id=group.group_id, done=what))
