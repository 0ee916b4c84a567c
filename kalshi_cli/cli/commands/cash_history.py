"""`kalshi deposits`, `withdrawals`, `keys`: what came in, what went out, who may touch it. All of it read only."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import CommandGroup, open_services, show_list, show_view

app = CommandGroup("Deposits, withdrawals and API keys.")

LIMIT = typer.Option(min=1, max=1_000_000, help="At most so many.")


@app.command("deposits")
def deposits(ctx: typer.Context, limit: Annotated[int, LIMIT] = 50) -> None:
    """Money that came in. `kalshi` never moves money into or out of the account.

    \b
    kalshi deposits
    """
    from kalshi_cli.views.cash import CashMovementRow

    with open_services(ctx) as kalshi:
        found = kalshi.account.deposits(limit + 1)
        show_list(ctx, CashMovementRow, found, limit=limit, empty="no deposits", now=kalshi.now)


@app.command("withdrawals")
def withdrawals(ctx: typer.Context, limit: Annotated[int, LIMIT] = 50) -> None:
    """Money that went out.

    \b
    kalshi withdrawals --json
    """
    from kalshi_cli.views.cash import CashMovementRow

    with open_services(ctx) as kalshi:
        found = kalshi.account.withdrawals(limit + 1)
        show_list(ctx, CashMovementRow, found, limit=limit, empty="no withdrawals", now=kalshi.now)


@app.command("keys")
def keys(ctx: typer.Context) -> None:
    """API keys of the account: what each may do, and until when the account may trade some categories by API.

    \b
    kalshi keys
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.account.api_keys(), title="API keys", now=kalshi.now)
