"""`kalshi balance`, `positions`, `fills`, `settlements`, `pnl`: what the account has, and what it made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import (
    CommandGroup,
    ago,
    choice_option,
    duration_option,
    flags_of,
    open_services,
    show_list,
    show_view,
)

app = CommandGroup("Balance, positions, fills, profit and loss.")

KEYS = ("market", "event", "series", "strategy", "day")


@app.command("balance")
def balance(
    ctx: typer.Context,
    subaccount: Annotated[int | None, typer.Option(min=0, max=63, metavar="N", help="Of this subaccount.")] = None,
) -> None:
    """Cash in all and by shard, and what the exchange says the positions are worth; of the primary account.

    An order is paid from the shard of its market: `kalshi transfer` moves cash there.

    \b
    kalshi balance --json
    kalshi balance --subaccount 1
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.account.balance(subaccount), title="balance", now=kalshi.now)


@app.command("positions")
def positions(
    ctx: typer.Context,
    subaccount: Annotated[int | None, typer.Option(min=0, max=63, metavar="N", help="Only of this subaccount.")] = None,
) -> None:
    """What is held, folded from fills and settlements, at the price it could be closed at; in all subaccounts.

    \b
    kalshi positions
    kalshi positions --subaccount 1
    """
    from kalshi_cli.views.positions import PositionRow

    with open_services(ctx) as kalshi:
        rows = kalshi.account.positions(subaccount)
        show_list(ctx, type(rows[0]) if rows else PositionRow, rows, empty="no open position")


@app.command("fills")
def fills(
    ctx: typer.Context,
    name: Annotated[str, typer.Option("--ticker", metavar="TICKER", help="Only this market.")] = "",
    since: Annotated[Any, duration_option("--since", text="Only the last 24h, 7d...")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many, newest first.")] = 50,
) -> None:
    """Trades of the account, newest first, however old.

    \b
    kalshi fills --since 24h --format csv
    """
    from kalshi_cli.views.positions import FillRow

    with open_services(ctx) as kalshi:
        found = kalshi.account.fills(name.upper(), ago(kalshi, since), limit + 1)
        show_list(ctx, FillRow, found, limit=limit, empty="no fills", now=kalshi.now)


@app.command("settlements")
def settlements(
    ctx: typer.Context,
    name: Annotated[str, typer.Option("--ticker", metavar="TICKER", help="Only this market.")] = "",
    event: Annotated[str, typer.Option(metavar="EVENT", help="Only this event.")] = "",
    since: Annotated[Any, duration_option("--since", text="Only the last 24h, 7d...")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many, newest first.")] = 50,
    upcoming: Annotated[bool, typer.Option("--upcoming", help="The calendar of what is held now.")] = False,
) -> None:
    """Markets that paid out, newest first: what was held, what it had cost, what it brought.

    With --upcoming what is held now, by the time at which it closes and is expected to pay.

    \b
    kalshi settlements --since 7d
    kalshi settlements --upcoming
    kalshi settlements --event KXHIGHNY-26NOV21 --format csv
    """
    from kalshi_cli.views.cash import SettlementRow, UpcomingRow

    with open_services(ctx) as kalshi:
        if upcoming:
            held = kalshi.account.upcoming_settlements(name.upper(), event.upper())
            show_list(ctx, UpcomingRow, held[:limit], empty="no open position", now=kalshi.now)
            return
        found = kalshi.account.settlements(name.upper(), event.upper(), ago(kalshi, since))
        show_list(ctx, SettlementRow, found, limit=limit, empty="nothing was settled", now=kalshi.now)


@app.command("pnl")
def pnl(
    ctx: typer.Context,
    picture: Annotated[Path | None, typer.Argument(metavar="[FILE.svg]", help="With --plot: draw into it.")] = None,
    by: Annotated[str, choice_option("--by", choices=KEYS, text="The parts.")] = "market",
    since: Annotated[Any, duration_option("--since", text="Only the last 24h, 7d...")] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the curve, here or into FILE.svg.")] = False,
) -> None:
    """Profit and loss, in parts that add up to the change of the account.

    The curve is of what was realized, after fees; what is open counts at its end.

    \b
    kalshi pnl
    kalshi pnl --by day --since 7d --json
    kalshi pnl --since 30d --plot
    kalshi pnl --plot curve.svg
    """
    if picture is not None and not plot:
        raise UsageError(f"unexpected: {picture}", hint=f"kalshi pnl --plot {picture}")
    if plot:
        _plot(ctx, since, picture)
        return
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.account.pnl(by, ago(kalshi, since)), title=f"profit and loss by {by}")


def _plot(ctx: typer.Context, since: float | None, picture: Path | None) -> None:
    """The curve of the account, on the screen or in a file of ours."""
    from kalshi_cli.cli.screen.curve import require_curve, show_curve

    require_curve(flags_of(ctx).form, picture, "kalshi pnl --plot curve.svg")
    with open_services(ctx) as kalshi:
        points = kalshi.account.equity_curve(ago(kalshi, since))
    show_curve(points, picture)
