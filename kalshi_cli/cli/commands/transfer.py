"""`kalshi transfer`: cash between shards of the exchange."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import executed, note_unsent, open_services, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, DryRun, Limit, TransferId, Yes, argument, money_option, option

app = CommandGroup(
    "Move cash between shards.\n\n"
    "An order is paid from the shard of its market. `kalshi transfer --from ...` is short for `kalshi transfer send`.",
    default="send",
)


@app.command("send")
def send(
    ctx: typer.Context,
    start: Annotated[int, option("--from", "SHARD", "Source shard", min=0)],
    end: Annotated[int, option("--to", "SHARD", "Destination shard", min=0)],
    amount: Annotated[Any, money_option("--amount", "Amount, such as 25.00, in steps of $0.0001")],
    from_subaccount: Annotated[int, option("--from-subaccount", "N", "Source subaccount", min=0, max=63)] = 0,
    to_subaccount: Annotated[int, option("--to-subaccount", "N", "Destination subaccount", min=0, max=63)] = 0,
    client_transfer_id: TransferId = "",
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Move cash to another shard.

    Move cash to another shard, exactly once; the exchange accepts the transfer first and completes it a moment later.
    If no answer arrives, the transfer is looked up in the list of transfers. Exit code 7 if it is not found there.

    \b
    kalshi transfer --from 0 --to 2 --amount 25.00
    kalshi transfer send --from 2 --to 0 --amount 10 --dry-run
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.account.plan_transfer(
            amount,
            from_shard=start,
            to_shard=end,
            from_subaccount=from_subaccount,
            to_subaccount=to_subaccount,
            client_transfer_id=client_transfer_id,
        )
        if dry_run:
            note_unsent(*plan.facts)
            show_view(ctx, plan.terms, title="not sent")
            return
        made = executed(kalshi.resources, kalshi.account, plan, "Move this cash?", yes=yes)
        show_view(ctx, made, title="transfer", now=kalshi.now)


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50) -> None:
    """List transfers between shards.

    \b
    kalshi transfer list
    """
    from kalshi_cli.views.cash import TransferRow

    with open_services(ctx) as kalshi:
        found = kalshi.account.transfers(limit + 1)
        show_list(ctx, TransferRow, found, limit=limit, empty="No transfers", now=kalshi.now)


@app.command("show")
def show(
    ctx: typer.Context,
    transfer_id: Annotated[str, argument("TRANSFER_ID", "Transfer id, as printed by `kalshi transfer`")],
) -> None:
    """Show the status of one transfer.

    Show one transfer, and whether it is complete.

    \b
    kalshi transfer show 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.account.transfer(transfer_id), title="transfer", now=kalshi.now)
