"""`kalshi order group ...`: orders that share a fill limit and are canceled together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.cli.options import executed, open_services, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, Yes, argument, count_option, option, subaccount_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from kalshi_cli.services.orders.group_service import GroupPlan, OrderGroupService

app = CommandGroup(
    "Manage order groups.\n\nWhen more than the group's limit of contracts matches within 15 seconds, the exchange "
    "cancels all orders of the group and accepts no new ones until it is reset."
)

Group = Annotated[str, argument("GROUP_ID", "Order group id; its first 6 characters are enough.")]
Whose = Annotated[int | None, subaccount_option("Subaccount of the order group.")]
Limit = Annotated[Any, count_option("--limit", "Contracts that may match within 15 seconds, 1 to 1,000,000.")]


@app.command("list")
def list_(
    ctx: typer.Context, subaccount: Annotated[int | None, subaccount_option("Only this subaccount.")] = None
) -> None:
    """List order groups.

    A triggered group has no orders, and rejects new ones until `kalshi order group reset`. Whether a group is triggered
    is from the state file, for the groups of the loop; the exchange does not list it.

    \b
    kalshi order group list
    """
    from kalshi_cli.views.orders import GroupRow

    with open_services(ctx) as kalshi:
        show_list(ctx, GroupRow, kalshi.order_groups.list(subaccount), empty="No order groups")


@app.command("show")
def show(ctx: typer.Context, group_id: Group, subaccount: Whose = None) -> None:
    """Show an order group and its orders.

    \b
    kalshi order group show 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.order_groups.get(group_id, subaccount), title=group_id)


@app.command("create")
def create(
    ctx: typer.Context,
    limit: Limit,
    subaccount: Whose = None,
    shard: Annotated[int, option("--shard", "N", "Shard of the markets that the group is for.", min=0)] = 0,
    yes: Yes = False,
) -> None:
    """Create an order group.

    It is for the markets of one shard. `kalshi market TICKER --json` shows the shard of a market as `exchange_index`.

    \b
    kalshi order group create --limit 100
    """
    with open_services(ctx) as kalshi:
        groups = kalshi.order_groups
        plan = groups.plan_create(limit, subaccount=subaccount, shard=shard)
        made = executed(kalshi.resources, groups, plan, "Create this order group?", yes=yes)
        show_view(ctx, made, title="New order group")


@app.command("limit")
def limit_(ctx: typer.Context, group_id: Group, limit: Limit, subaccount: Whose = None, yes: Yes = False) -> None:
    """Change the limit of an order group.

    If that many contracts matched within the last 15 seconds, the group is triggered at once. While trading is halted,
    a limit can only be lowered.

    \b
    kalshi order group limit 2597b999-f887-4195-8bac-c3f97a1f2021 --limit 50
    """
    _change(
        ctx, lambda groups: groups.plan_limit(group_id, limit, subaccount=subaccount), "Change the limit of", yes=yes
    )


@app.command("trigger")
def trigger(ctx: typer.Context, group_id: Group, subaccount: Whose = None, yes: Yes = False) -> None:
    """Cancel all orders in a group and block new ones.

    The group blocks new orders until it is reset.

    \b
    kalshi order group trigger 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    _change(ctx, lambda groups: groups.plan_trigger(group_id, subaccount=subaccount), "Trigger", yes=yes)


@app.command("reset")
def reset(ctx: typer.Context, group_id: Group, subaccount: Whose = None, yes: Yes = False) -> None:
    """Accept orders again in a triggered group.

    This is refused while trading is halted.

    \b
    kalshi order group reset 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    _change(ctx, lambda groups: groups.plan_reset(group_id, subaccount=subaccount), "Reset", yes=yes)


@app.command("delete")
def delete(ctx: typer.Context, group_id: Group, subaccount: Whose = None, yes: Yes = False) -> None:
    """Cancel all orders in a group and delete it.

    \b
    kalshi order group delete 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    _change(ctx, lambda groups: groups.plan_delete(group_id, subaccount=subaccount), "Delete", yes=yes)


def _change(ctx: typer.Context, plan: Callable[[OrderGroupService], GroupPlan], verb: str, *, yes: bool) -> None:
    with open_services(ctx) as kalshi:
        groups = kalshi.order_groups
        show_view(ctx, executed(kalshi.resources, groups, plan(groups), f"{verb} this order group?", yes=yes))
