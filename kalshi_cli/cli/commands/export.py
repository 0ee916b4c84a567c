"""`kalshi export`: the whole history, for a spreadsheet or a tax adviser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.cli.options import CommandGroup, ago, choice_option, duration_option, flags_of, open_app, show_list
from kalshi_cli.cli.screen.output import Format

if TYPE_CHECKING:
    from kalshi_cli.core.model.orders import Order
    from kalshi_cli.services.resources import Resources

app = CommandGroup("The whole history, as CSV unless --format says otherwise.")

KEYS = ("day", "market", "event", "series", "strategy")


@app.command("fills")
def fills(
    ctx: typer.Context, since: Annotated[Any, duration_option("--since", text="Only the last 24h, 7d...")] = None
) -> None:
    """Every trade of the account, oldest first, with the strategy and the fair value of its order where that is known.

    \b
    kalshi export fills --since 30d > fills.csv
    """
    from kalshi_cli.views.exports import FillExport, fill_export

    with open_app(ctx) as desk:
        start = ago(desk, since)
        orders = _orders(desk)
        found = list(desk.client.all_fills(None, start))[::-1]
        rows = [fill_export(fill, orders.get(fill.order_id)) for fill in found]
        show_list(ctx, FillExport, rows, form=_form(ctx), empty="no fills", now=desk.clock.now())


@app.command("pnl")
def pnl(
    ctx: typer.Context,
    by: Annotated[str, choice_option("--by", choices=KEYS, text="The parts (day).")] = "day",
    since: Annotated[Any, duration_option("--since", text="Only the last 24h, 7d...")] = None,
) -> None:
    """Profit and loss in parts that add up to the change of the account.

    \b
    kalshi export pnl --by day > daily.csv
    """
    from kalshi_cli.services.account.portfolio import account_pnl
    from kalshi_cli.views.positions import PnlRow

    with open_app(ctx) as desk:
        _, parts = account_pnl(desk, by, ago(desk, since))
        rows = [PnlRow.of(part, key=key) for key, part in sorted(parts.items())]
        show_list(ctx, PnlRow, rows, form=_form(ctx), empty="nothing was traded")


@app.command("tax-lots")
def lots(
    ctx: typer.Context,
    since: Annotated[Any, duration_option("--since", text="Only lots closed in the last 365d...")] = None,
    is_open_left_out: Annotated[bool, typer.Option("--closed", help="Without what is still held.")] = False,
) -> None:
    """What was bought when and sold or paid out when, first in, first out, with its share of the fees.

    This is no tax advice: which method applies to event contracts is for you to find out.

    \b
    kalshi export tax-lots --closed > lots.csv
    """
    from kalshi_cli.core.account.tax_lots import tax_lots
    from kalshi_cli.services.account.portfolio import account_portfolio
    from kalshi_cli.views.exports import LotExport

    with open_app(ctx) as desk:
        start = ago(desk, since)
        found = tax_lots(account_portfolio(desk).entries)
        wanted = [lot for lot in found if (lot.closed >= (start or 0) if lot.closed else not is_open_left_out)]
        show_list(ctx, LotExport, wanted, form=_form(ctx), empty="no lots", now=desk.clock.now())


def _form(ctx: typer.Context) -> Format:
    return flags_of(ctx).form or Format.CSV


def _orders(desk: Resources) -> dict[str, Order]:
    """Orders of the state file by the exchange's id."""
    store = desk.remembered()
    return {order.order_id: order for order in store.orders()} if store is not None else {}
