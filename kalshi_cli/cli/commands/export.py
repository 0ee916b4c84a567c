"""`kalshi export`: fills, profit and loss, and tax lots, for a spreadsheet or a tax adviser."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import flags_of, open_services, show_list
from kalshi_cli.cli.parameters import CommandGroup, choice_option, flag, option
from kalshi_cli.cli.screen.output import Format, chosen_fields
from kalshi_cli.cli.time_options import Since, Until, note_realized_only, when, when_option, year_of

app = CommandGroup("Export fills, P&L and tax lots.\n\nWrites the full history, as CSV unless --format says otherwise.")

KEYS = ("day", "month", "market", "event", "series", "strategy")


@app.command("fills")
def fills(ctx: typer.Context, since: Since = None, until: Until = None) -> None:
    """Export all trades of the account.

    Oldest first, with the strategy and the fair value of its order where they are known. One row for each trade, also
    where it closed a position and opened the opposite one: `closed` contracts were sold, the others were bought on the
    other side, and `value` is what both together brought. `kalshi fills -h` explains the words.

    \b
    kalshi export fills --since 30d > fills.csv
    kalshi export fills --since 2026-11-01 --until 2026-12-01 > november.csv
    """
    from kalshi_cli.views.exports import FillExport

    with open_services(ctx) as kalshi:
        found = kalshi.account.fill_export(when(kalshi, since), when(kalshi, until))
        show_list(ctx, FillExport, found, form=_form(ctx), empty="No fills", now=kalshi.now)


@app.command("pnl")
def pnl(
    ctx: typer.Context,
    by: Annotated[str, choice_option("--by", KEYS, "Group by.")] = "day",
    since: Since = None,
    until: Until = None,
) -> None:
    """Export profit and loss.

    By day, month, market, event, series or strategy. The rows add up to the change of the account.
    `--until` leaves unrealized P&L out, because the prices then are unknown, unless it is in the future.

    \b
    kalshi export pnl --by day > daily.csv
    kalshi export pnl --by market --since 2026-10-01 --until 2026-11-01 > october.csv
    """
    from kalshi_cli.views.positions import PnlRow

    with open_services(ctx) as kalshi:
        end = when(kalshi, until)
        view = kalshi.account.pnl(by, when(kalshi, since), until=end)  # type: ignore[arg-type]
        rows = sorted(view.rows, key=lambda part: part.key)
        show_list(ctx, PnlRow, rows, form=_form(ctx), empty="No trades")
        note_realized_only(kalshi, end)


@app.command("tax-lots")
def lots(
    ctx: typer.Context,
    since: Annotated[Any, when_option("--since", "Only lots closed in this period: 365d or 2026-01-01.")] = None,
    until: Annotated[Any, when_option("--until", "Only lots closed before: 30d or 2026-02-01.")] = None,
    year: Annotated[int | None, option("--year", "YEAR", "Only lots closed in this year.", min=2000, max=9998)] = None,
    is_open_left_out: Annotated[bool, flag("--closed", "Exclude lots that are still open.")] = False,
) -> None:
    """Export tax lots, first in, first out.

    When contracts were bought and when they were sold or paid out, with their share of the fees. `--year` exports the
    lots closed in that calendar year of `day_zone`; like `--until`, it leaves open lots out. `--format table` shows the
    days and a total of the closed lots; `-v` adds times. This is not tax advice: ask a tax adviser which method applies
    to event contracts.

    \b
    kalshi export tax-lots --closed > lots.csv
    kalshi export tax-lots --year 2026 > lots-2026.csv
    """
    from kalshi_cli.views.exports import LotExport

    if year is not None and (since is not None or until is not None):
        raise UsageError("--since, --until and --year cannot be combined", hint="use --year, or the others")
    with open_services(ctx) as kalshi:
        start, end = when(kalshi, since), when(kalshi, until)
        if year is not None:
            start, end = year_of(year, ZoneInfo(kalshi.resources.config.day_zone))
        found = kalshi.account.tax_lots(start, end, with_open=not is_open_left_out and end is None)
        if _form(ctx) is Format.TABLE and not (flags_of(ctx).verbose or chosen_fields()):
            from kalshi_cli.cli.screen.brief import LotLine, lot_lines

            show_list(ctx, LotLine, lot_lines(found, kalshi.now), form=Format.TABLE, empty="No tax lots")
        else:
            show_list(ctx, LotExport, found, form=_form(ctx), empty="No tax lots", now=kalshi.now)


def _form(ctx: typer.Context) -> Format:
    return flags_of(ctx).form or Format.CSV
