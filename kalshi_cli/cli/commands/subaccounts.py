"""`kalshi subaccounts`: the subaccounts of one account."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import executed, note_unsent, open_services, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, DryRun, Limit, TransferId, Yes, money_option, option

app = CommandGroup(
    "Manage subaccounts.\n\nManage subaccounts, 0 (primary) to 63, each with its own cash and positions.",
    default="list",
)

SHARD = typer.Option("--shard", "--exchange-index", min=0, max=100, metavar="SHARD", help="Shard of the cash")


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List subaccounts and their cash.

    List every subaccount with its cash on every shard.

    \b
    kalshi subaccounts
    """
    from kalshi_cli.views.cash import SubaccountRow

    with open_services(ctx) as kalshi:
        show_list(ctx, SubaccountRow, kalshi.account.subaccounts(), empty="No subaccounts", now=kalshi.now)


@app.command("create")
def create(ctx: typer.Context, shard: Annotated[int, SHARD] = 0, yes: Yes = False) -> None:
    """Open a new subaccount.

    Open the next subaccount. It cannot be closed again, and requires the Advanced API tier.

    \b
    kalshi subaccounts create
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.account.plan_subaccount(shard)
        made = executed(kalshi.resources, kalshi.account, plan, "Open a new subaccount?", yes=yes)
        show_view(ctx, made, title="new subaccount")


@app.command("netting")
def netting(
    ctx: typer.Context,
    change: Annotated[
        tuple[int, str] | None, option("--set", "N on|off", "Turn netting on or off for one subaccount")
    ] = None,
    yes: Yes = False,
) -> None:
    """Show or set YES/NO netting.

    Show whether YES and NO positions in the same market offset each other in a subaccount. `--set` turns this on or
    off.

    \b
    kalshi subaccounts netting
    kalshi subaccounts netting --set 1 off
    """
    from kalshi_cli.views.cash import NettingRow

    if change is not None and change[1] not in ("on", "off"):
        raise typer.BadParameter(f"{change[1]!r} is invalid; use on or off", param_hint="--set")
    with open_services(ctx) as kalshi:
        if change is None:
            found = kalshi.account.netting()
        else:
            plan = kalshi.account.plan_netting(change[0], enabled=change[1] == "on")
            found = executed(kalshi.resources, kalshi.account, plan, "Change this setting?", yes=yes)
        show_list(ctx, NettingRow, found)


@app.command("transfer")
def transfer(
    ctx: typer.Context,
    start: Annotated[int, option("--from", "N", "Source subaccount", min=0, max=63)],
    end: Annotated[int, option("--to", "N", "Destination subaccount", min=0, max=63)],
    amount: Annotated[Any, money_option("--amount", "Amount, such as 5.00, in whole cents")],
    shard: Annotated[int, SHARD] = 0,
    client_transfer_id: TransferId = "",
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Move cash between subaccounts.

    Move cash to another subaccount on the same shard. `kalshi transfer` moves cash between shards.

    \b
    kalshi subaccounts transfer --from 0 --to 1 --amount 5.00
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.account.plan_subaccount_transfer(
            amount,
            from_subaccount=start,
            to_subaccount=end,
            shard=shard,
            client_transfer_id=client_transfer_id,
        )
        if dry_run:
            note_unsent(*plan.facts)
            show_view(ctx, plan.terms, title="not sent")
            return
        made = executed(kalshi.resources, kalshi.account, plan, "move this money?", yes=yes)
        show_view(ctx, made, title="transfer")


@app.command("transfers")
def transfers(ctx: typer.Context, limit: Limit = 50) -> None:
    """List transfers between subaccounts.

    \b
    kalshi subaccounts transfers
    """
    from kalshi_cli.views.cash import SubaccountTransferRow

    with open_services(ctx) as kalshi:
        found = kalshi.account.subaccount_transfers()
        show_list(ctx, SubaccountTransferRow, found, limit=limit, empty="No transfers", now=kalshi.now)
