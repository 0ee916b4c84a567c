"""`kalshi subaccounts`: pockets of one account, each with cash and positions of its own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import CommandGroup, money_option, note_unsent, open_services, show_list, show_view
from kalshi_cli.cli.order_options import DryRun, Yes, consented

app = CommandGroup(
    "Pockets of the account, 0 (the primary one) to 63, with cash and positions of their own.", default="list"
)

SHARD = typer.Option("--exchange-index", min=0, max=100, metavar="SHARD", help="On this shard.")


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """Every subaccount with its cash on every shard.

    \b
    kalshi subaccounts
    """
    from kalshi_cli.views.cash import SubaccountRow

    with open_services(ctx) as kalshi:
        show_list(ctx, SubaccountRow, kalshi.account.subaccounts(), empty="no subaccounts", now=kalshi.now)


@app.command("create")
def create(ctx: typer.Context, exchange_index: Annotated[int, SHARD] = 0, yes: Yes = False) -> None:
    """Open the next subaccount; it cannot be closed again. Needs the Advanced API tier.

    \b
    kalshi subaccounts create
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.account.plan_subaccount(exchange_index)
        made = kalshi.account.execute(consented(kalshi.resources, kalshi.account, plan, "open it?", yes=yes))
        show_view(ctx, made, title="new subaccount")


@app.command("netting")
def netting(
    ctx: typer.Context,
    change: Annotated[
        tuple[int, str] | None, typer.Option("--set", metavar="N on|off", help="Switch it for one subaccount.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Whether YES and NO of one market cancel out in a subaccount; --set switches it.

    \b
    kalshi subaccounts netting
    kalshi subaccounts netting --set 1 off
    """
    from kalshi_cli.views.cash import NettingRow

    if change is not None and change[1] not in ("on", "off"):
        raise typer.BadParameter(f"{change[1]!r} is neither on nor off", param_hint="--set")
    with open_services(ctx) as kalshi:
        if change is None:
            found = kalshi.account.netting()
        else:
            plan = kalshi.account.plan_netting(change[0], enabled=change[1] == "on")
            found = kalshi.account.execute(consented(kalshi.resources, kalshi.account, plan, "switch it?", yes=yes))
        show_list(ctx, NettingRow, found)


@app.command("transfer")
def transfer(
    ctx: typer.Context,
    start: Annotated[int, typer.Option("--from", min=0, max=63, metavar="N", help="From this subaccount.")],
    end: Annotated[int, typer.Option("--to", min=0, max=63, metavar="N", help="To this subaccount.")],
    amount: Annotated[Any, money_option("--amount", text="Dollars, like 5.00; whole cents.")],
    exchange_index: Annotated[int, SHARD] = 0,
    client_transfer_id: Annotated[
        str, typer.Option(metavar="UUID", help="Of a transfer in doubt: sent again, it is applied at most once.")
    ] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Move cash to another subaccount, on one shard. `kalshi transfer` moves it between shards.

    \b
    kalshi subaccounts transfer --from 0 --to 1 --amount 5.00
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.account.plan_subaccount_transfer(
            amount,
            from_subaccount=start,
            to_subaccount=end,
            shard=exchange_index,
            client_transfer_id=client_transfer_id,
        )
        if dry_run:
            note_unsent(*plan.facts)
            show_view(ctx, plan.terms, title="not sent")
            return
        plan = consented(kalshi.resources, kalshi.account, plan, "move this money?", yes=yes)
        show_view(ctx, kalshi.account.execute(plan), title="transfer")


@app.command("transfers")
def transfers(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")] = 50,
) -> None:
    """Transfers between subaccounts.

    \b
    kalshi subaccounts transfers
    """
    from kalshi_cli.views.cash import SubaccountTransferRow

    with open_services(ctx) as kalshi:
        found = kalshi.account.subaccount_transfers()
        show_list(ctx, SubaccountTransferRow, found, limit=limit, empty="no transfers", now=kalshi.now)
