"""`kalshi transfer`: cash between shards of the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.cli.options import (
    CommandGroup,
    Limit,
    agreed,
    money_option,
    note_unsent,
    open_app,
    show_list,
    show_view,
)
from kalshi_cli.cli.order_options import DryRun, Yes

if TYPE_CHECKING:
    from kalshi_cli.services.account.cash import ShardMove
    from kalshi_cli.services.resources import Resources

app = CommandGroup(
    "Move cash between shards.\n\n"
    "An order is paid from the shard of its market. `kalshi transfer --from ...` is short for `kalshi transfer send`.",
    default="send",
)


@app.command("send")
def send(
    ctx: typer.Context,
    start: Annotated[int, typer.Option("--from", min=0, metavar="SHARD", help="Source shard")],
    end: Annotated[int, typer.Option("--to", min=0, metavar="SHARD", help="Destination shard")],
    amount: Annotated[Any, money_option("--amount", text="Amount, such as 25.00, in steps of $0.0001")],
    from_subaccount: Annotated[int, typer.Option(min=0, max=63, metavar="N", help="Source subaccount")] = 0,
    to_subaccount: Annotated[int, typer.Option(min=0, max=63, metavar="N", help="Destination subaccount")] = 0,
    client_transfer_id: Annotated[
        str,
        typer.Option(metavar="UUID", help="Id of an unconfirmed transfer; sending it again applies it at most once"),
    ] = "",
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
    from kalshi_cli.services.account import cash
    from kalshi_cli.views.cash import TransferRow

    with open_app(ctx) as resources:
        move = cash.ShardMove(
            amount=amount,
            from_shard=start,
            to_shard=end,
            from_subaccount=from_subaccount,
            to_subaccount=to_subaccount,
            client_transfer_id=client_transfer_id or resources.new_id(),
        )
        if dry_run:
            note_unsent(*_facts(resources, move))
            show_view(ctx, cash.unsent(move), title="not sent")
            return
        if resources.needs_confirmation:
            agreed(resources, "Move this cash?", *_facts(resources, move), yes=yes)
        done = cash.transfer(resources.client, resources.clock, move)
        show_view(ctx, TransferRow.of(done), title="transfer", now=resources.clock.now())


def _facts(resources: Resources, move: ShardMove) -> list[str]:
    from kalshi_cli.services.account.cash import describe_transfer

    return [f"{resources.config.env}: {fact}" for fact in describe_transfer(resources.client, move)]


@app.command("list")
def list_(
    ctx: typer.Context,
    limit: Limit = 50,
) -> None:
    """List transfers between shards.

    \b
    kalshi transfer list
    """
    from kalshi_cli.views.cash import TransferRow

    with open_app(ctx) as resources:
        found = resources.client.shard_transfers(limit + 1)
        show_list(ctx, TransferRow, found, limit=limit, empty="No transfers", now=resources.clock.now())


@app.command("show")
def show(
    ctx: typer.Context,
    transfer_id: Annotated[
        str, typer.Argument(metavar="TRANSFER_ID", help="Transfer id, as printed by `kalshi transfer`")
    ],
) -> None:
    """Show the status of one transfer.

    Show one transfer, and whether it is complete.

    \b
    kalshi transfer show 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    from kalshi_cli.views.cash import TransferRow

    with open_app(ctx) as resources:
        found = resources.client.shard_transfer(transfer_id)
        show_view(ctx, TransferRow.of(found), title="transfer", now=resources.clock.now())
