"""`kalshi subaccounts`: pockets of one account, each with cash and positions of its own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import CommandGroup, agreed, money_option, note_unsent, open_app, show_list, show_view
from kalshi_cli.cli.order_options import DryRun, Yes

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

    with open_app(ctx) as resources:
        found = sorted(resources.client.subaccount_balances(), key=lambda one: (one.subaccount, one.exchange_index))
        show_list(ctx, SubaccountRow, found, empty="no subaccounts", now=resources.clock.now())


@app.command("create")
def create(ctx: typer.Context, exchange_index: Annotated[int, SHARD] = 0, yes: Yes = False) -> None:
    """Open the next subaccount; it cannot be closed again. Needs the Advanced API tier.

    \b
    kalshi subaccounts create
    """
    from kalshi_cli.views.cash import NewSubaccountView

    with open_app(ctx) as resources:
        agreed(
            resources, "open it?", f"{resources.config.env}: a new subaccount, which cannot be closed again", yes=yes
        )
        made = NewSubaccountView(subaccount=resources.client.create_subaccount(exchange_index))
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
    with open_app(ctx) as resources:
        if change is not None:
            number, word = change
            agreed(resources, "switch it?", f"{resources.config.env}: netting of subaccount {number} {word}", yes=yes)
            resources.client.set_netting(number, enabled=word == "on")
        found = sorted(resources.client.netting(), key=lambda one: (one.subaccount, one.exchange_index))
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
    from kalshi_cli.base.units import show_money
    from kalshi_cli.views.cash import SubaccountMoveView

    with open_app(ctx) as resources:
        what = f"move {show_money(amount)} from subaccount {start} to subaccount {end} on shard {exchange_index}"
        fact = f"{resources.config.env}: {what}"
        status, transfer_id = "dry_run", client_transfer_id or resources.new_id()
        if dry_run:
            note_unsent(fact)
        else:
            agreed(resources, "move this money?", fact, yes=yes)
            is_new = resources.client.transfer_to_subaccount(
                amount,
                client_transfer_id=transfer_id,
                from_subaccount=start,
                to_subaccount=end,
                exchange_index=exchange_index,
            )
            # A 409 to an id that we made says that an attempt of ours, which got no answer, was applied.
            status = "applied" if is_new or not client_transfer_id else "applied_before"
        view = SubaccountMoveView(
            client_transfer_id=transfer_id,
            from_subaccount=start,
            to_subaccount=end,
            exchange_index=exchange_index,
            amount=amount,
            status=status,
        )
        show_view(ctx, view, title="not sent" if dry_run else "transfer")


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

    with open_app(ctx) as resources:
        found = resources.client.subaccount_transfers()
        show_list(ctx, SubaccountTransferRow, found, limit=limit, empty="no transfers", now=resources.clock.now())
