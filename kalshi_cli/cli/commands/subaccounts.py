"""`kalshi subaccounts`: the subaccounts of one account."""

from __future__ import annotations

from typing import Annotated, Any

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

    with open_app(ctx) as resources:
        found = sorted(resources.client.subaccount_balances(), key=lambda one: (one.subaccount, one.exchange_index))
        show_list(ctx, SubaccountRow, found, empty="No subaccounts", now=resources.clock.now())


@app.command("create")
def create(ctx: typer.Context, shard: Annotated[int, SHARD] = 0, yes: Yes = False) -> None:
    """Open a new subaccount.

    Open the next subaccount. It cannot be closed again, and requires the Advanced API tier.

    \b
    kalshi subaccounts create
    """
    from kalshi_cli.views.cash import NewSubaccountView

    with open_app(ctx) as resources:
        fact = f"{resources.config.env}: new subaccount; it cannot be closed again"
        agreed(resources, "Open a new subaccount?", fact, yes=yes)
        made = NewSubaccountView(subaccount=resources.client.create_subaccount(shard))
        show_view(ctx, made, title="new subaccount")


@app.command("netting")
def netting(
    ctx: typer.Context,
    change: Annotated[
        tuple[int, str] | None,
        typer.Option("--set", metavar="N on|off", help="Turn netting on or off for one subaccount"),
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
    with open_app(ctx) as resources:
        if change is not None:
            number, word = change
            fact = f"{resources.config.env}: netting of subaccount {number}: {word}"
            agreed(resources, "Change this setting?", fact, yes=yes)
            resources.client.set_netting(number, enabled=word == "on")
        found = sorted(resources.client.netting(), key=lambda one: (one.subaccount, one.exchange_index))
        show_list(ctx, NettingRow, found)


@app.command("transfer")
def transfer(
    ctx: typer.Context,
    start: Annotated[int, typer.Option("--from", min=0, max=63, metavar="N", help="Source subaccount")],
    end: Annotated[int, typer.Option("--to", min=0, max=63, metavar="N", help="Destination subaccount")],
    amount: Annotated[Any, money_option("--amount", text="Amount, such as 5.00, in whole cents")],
    shard: Annotated[int, SHARD] = 0,
    client_transfer_id: Annotated[
        str,
        typer.Option(metavar="UUID", help="Id of an unconfirmed transfer; sending it again applies it at most once"),
    ] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Move cash between subaccounts.

    Move cash to another subaccount on the same shard. `kalshi transfer` moves cash between shards.

    \b
    kalshi subaccounts transfer --from 0 --to 1 --amount 5.00
    """
    from kalshi_cli.base.units import show_money
    from kalshi_cli.views.cash import SubaccountMoveView

    with open_app(ctx) as resources:
        what = f"move {show_money(amount)} from subaccount {start} to subaccount {end} on shard {shard}"
        fact = f"{resources.config.env}: {what}"
        status, transfer_id = "dry_run", client_transfer_id or resources.new_id()
        if dry_run:
            note_unsent(fact)
        else:
            agreed(resources, "Move this cash?", fact, yes=yes)
            is_new = resources.client.transfer_to_subaccount(
                amount,
                client_transfer_id=transfer_id,
                from_subaccount=start,
                to_subaccount=end,
                exchange_index=shard,
            )
            # A 409 for a new id means that an earlier attempt without a response was applied.
            status = "applied" if is_new or not client_transfer_id else "applied_before"
        view = SubaccountMoveView(
            client_transfer_id=transfer_id,
            from_subaccount=start,
            to_subaccount=end,
            exchange_index=shard,
            amount=amount,
            status=status,
        )
        show_view(ctx, view, title="not sent" if dry_run else "transfer")


@app.command("transfers")
def transfers(
    ctx: typer.Context,
    limit: Limit = 50,
) -> None:
    """List transfers between subaccounts.

    \b
    kalshi subaccounts transfers
    """
    from kalshi_cli.views.cash import SubaccountTransferRow

    with open_app(ctx) as resources:
        found = resources.client.subaccount_transfers()
        show_list(ctx, SubaccountTransferRow, found, limit=limit, empty="No transfers", now=resources.clock.now())
