"""`kalshi export`: the whole history, for a spreadsheet or a tax adviser."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import CommandGroup, ago, choice_option, duration_option, flags_of, open_services, show_list
from kalshi_cli.cli.screen.output import Format

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
    from kalshi_cli.views.exports import FillExport

    with open_services(ctx) as kalshi:
        found = kalshi.account.fill_export(ago(kalshi, since))
        show_list(ctx, FillExport, found, form=_form(ctx), empty="no fills", now=kalshi.now)


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
    from kalshi_cli.views.positions import PnlRow

    with open_services(ctx) as kalshi:
        rows = sorted(kalshi.account.pnl(by, ago(kalshi, since)).rows, key=lambda part: part.key)
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
    from kalshi_cli.views.exports import LotExport

    with open_services(ctx) as kalshi:
        found = kalshi.account.tax_lots(ago(kalshi, since), with_open=not is_open_left_out)
        show_list(ctx, LotExport, found, form=_form(ctx), empty="no lots", now=kalshi.now)


def _form(ctx: typer.Context) -> Format:
    return flags_of(ctx).form or Format.CSV
