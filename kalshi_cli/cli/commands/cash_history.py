"""`kalshi deposits`, `withdrawals`, `keys`: cash movements and API keys, read only."""

from __future__ import annotations

import typer

from kalshi_cli.cli.options import open_services, show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, Limit

app = CommandGroup("List deposits, withdrawals and API keys.")


@app.command("deposits")
def deposits(ctx: typer.Context, limit: Limit = 50) -> None:
    """List deposits.

    `kalshi` never deposits or withdraws money.

    \b
    kalshi deposits
    """
    from kalshi_cli.views.cash import CashMovementRow

    with open_services(ctx) as kalshi:
        found = kalshi.account.deposits(limit + 1)
        show_list(ctx, CashMovementRow, found, limit=limit, empty="No deposits", now=kalshi.now)


@app.command("withdrawals")
def withdrawals(ctx: typer.Context, limit: Limit = 50) -> None:
    """List withdrawals.

    `kalshi` never deposits or withdraws money.

    \b
    kalshi withdrawals --json
    """
    from kalshi_cli.views.cash import CashMovementRow

    with open_services(ctx) as kalshi:
        found = kalshi.account.withdrawals(limit + 1)
        show_list(ctx, CashMovementRow, found, limit=limit, empty="No withdrawals", now=kalshi.now)


@app.command("keys")
def keys(ctx: typer.Context) -> None:
    """List API keys and their permissions.

    List the API keys of the account with their permissions. It also shows until when API keys may trade sports,
    elections and entertainment.

    \b
    kalshi keys
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.account.api_keys(), title="API keys", now=kalshi.now)
