"""`kalshi deposits`, `withdrawals`, `keys`: what came in, what went out, who may touch it. All of it read only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from kalshi_cli.cli.options import Commands, flags_of, opened
from kalshi_cli.cli.screen.output import note

if TYPE_CHECKING:
    from kalshi_cli.base.units import Ts
    from kalshi_cli.exchange.wire.funds import CashMovement

app = Commands("Deposits, withdrawals and API keys.")

LIMIT = typer.Option(min=1, max=1_000_000, help="At most so many.")


@app.command("deposits")
def deposits(ctx: typer.Context, limit: Annotated[int, LIMIT] = 50) -> None:
    """Money that came in. `kalshi` never moves money into or out of the account.

    \b
    kalshi deposits
    """
    with opened(ctx) as desk:
        _show(ctx, desk.client.deposits(limit + 1), limit, "no deposits", desk.clock.now())


@app.command("withdrawals")
def withdrawals(ctx: typer.Context, limit: Annotated[int, LIMIT] = 50) -> None:
    """Money that went out.

    \b
    kalshi withdrawals --json
    """
    with opened(ctx) as desk:
        _show(ctx, desk.client.withdrawals(limit + 1), limit, "no withdrawals", desk.clock.now())


def _show(ctx: typer.Context, found: Iterator[CashMovement], limit: int, empty: str, now: Ts) -> None:
    from itertools import islice

    from kalshi_cli.cli.screen.render import render_rows
    from kalshi_cli.views.cash import MovementRow, movement_row

    rows = [movement_row(movement) for movement in islice(found, limit)]
    render_rows(MovementRow, rows, flags_of(ctx).form, empty=empty, now=now)
    if next(found, None) is not None:
        note(f"the list was cut at {limit}; see more with --limit N")


@app.command("keys")
def keys(ctx: typer.Context) -> None:
    """API keys of the account: what each may do, and until when the account may trade some categories by API.

    \b
    kalshi keys
    """
    from kalshi_cli.cli.screen.render import render_one
    from kalshi_cli.views.cash import keys_view

    with opened(ctx) as desk:
        view = keys_view(desk.client.api_keys())
        render_one(view, flags_of(ctx).form, title="API keys", now=desk.clock.now())
