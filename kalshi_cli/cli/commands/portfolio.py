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
    open_app,
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
    from kalshi_cli.services.account.cash import balance as read_balance

    with open_app(ctx) as desk:
        show_view(ctx, read_balance(desk.client, subaccount), title="balance", now=desk.clock.now())


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
    from kalshi_cli.services.account.portfolio import account_portfolio
    from kalshi_cli.views.positions import PositionRow, SubaccountPositionRow, position_row

    with open_app(ctx) as desk:
        found = account_portfolio(desk)
        marks = found.marks
        held = [position for position in found.open_positions if subaccount in (None, position.subaccount)]
        rows = [position_row(position, marks[position.ticker]) for position in held]
        kind = SubaccountPositionRow if any(row.subaccount for row in rows) else PositionRow
        show_list(ctx, kind, rows, empty="no open position")


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

    with open_app(ctx) as desk:
        found = desk.client.all_fills(name.upper() or None, ago(desk, since), limit + 1)
        show_list(ctx, FillRow, found, limit=limit, empty="no fills", now=desk.clock.now())


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

    from kalshi_cli.services.account.cash import settlement_row
    from kalshi_cli.views.cash import SettlementRow

    if upcoming:
        _calendar(ctx, name, event, limit)
        return
    with open_app(ctx) as desk:
        start = ago(desk, since)
        found = desk.client.payouts(ticker=name.upper() or None, event=event.upper() or None, min_ts=start)
        rows = map(settlement_row, found)
        show_list(ctx, SettlementRow, rows, limit=limit, empty="nothing was settled", now=desk.clock.now())


def _calendar(ctx: typer.Context, name: str, event: str, limit: int) -> None:
    """What is held, by the time at which it is decided."""
    from kalshi_cli.services.account.portfolio import account_portfolio
    from kalshi_cli.views.cash import UpcomingRow, upcoming_row

    with open_app(ctx) as desk:
        found = account_portfolio(desk)
        held = [(position, found.markets.get(position.ticker)) for position in found.open_positions]
        rows = [
            upcoming_row(position, market)
            for position, market in held
            if name.upper() in ("", position.ticker) and event.upper() in ("", market.event_ticker if market else "")
        ]
        rows.sort(key=lambda row: (row.close_time is None, row.close_time, row.ticker))
        show_list(ctx, UpcomingRow, rows[:limit], empty="no open position", now=desk.clock.now())


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
    from kalshi_cli.services.account.portfolio import account_pnl
    from kalshi_cli.views.positions import pnl_view

    if picture is not None and not plot:
        raise UsageError(f"unexpected: {picture}", hint=f"kalshi pnl --plot {picture}")
    if plot:
        _plot(ctx, since, picture)
        return
    with open_app(ctx) as desk:
        whole, parts = account_pnl(desk, by, ago(desk, since))
        show_view(ctx, pnl_view(whole, parts), title=f"profit and loss by {by}")


def _plot(ctx: typer.Context, since: float | None, picture: Path | None) -> None:
    """The curve of the account, on the screen or in a file of ours."""
    from kalshi_cli.cli.screen.curve import require_curve, show_curve
    from kalshi_cli.services.account.portfolio import equity_curve

    require_curve(flags_of(ctx).form, picture, "kalshi pnl --plot curve.svg")
    with open_app(ctx) as desk:
        points = equity_curve(desk, ago(desk, since))
    show_curve(points, picture)
