"""`kalshi portfolio`, `balance`, `positions`, `fills`, `settlements`, `pnl`: the account and its profit and loss."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import (
    account_of,
    flags_of,
    form_of,
    is_for_people,
    is_terse,
    note_halt,
    note_pause,
    open_services,
    show_list,
    show_view,
    shows_side_in_words,
)
from kalshi_cli.cli.parameters import (
    LIMIT_OR_ALL,
    All,
    CommandGroup,
    Paper,
    argument,
    choice_option,
    flag,
    limit_option,
    option,
    subaccount_option,
)
from kalshi_cli.cli.screen.output import ROUNDED, Format, chosen_fields, info
from kalshi_cli.cli.time_options import Since, Until, note_realized_only, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kalshi_cli.app.kalshi import Kalshi
    from kalshi_cli.views.row import OutputRow

_OWN_LEDGERS = (
    "Each strategy, and manual trading, has its own ledger. {same} add up to those of the account; realized and "
    "unrealized P&L{other} and closes won can differ: a position that one opened and another closed is still "
    "open for both"
)

app = CommandGroup("Balance, positions, fills, profit and loss.")

KEYS = ("market", "event", "series", "strategy", "day", "month")


def _one_ticker(name: str) -> str:
    """Return the ticker in upper case; UsageError for a pattern, which would match nothing."""
    if set(name) & set("*?["):
        raise UsageError(
            f"--ticker takes one market here, not a pattern: {name}",
            hint="of several markets: `kalshi order list --status filled --ticker GLOB`, or `kalshi pnl --by market`",
        )
    return name.upper()


OneTicker = Annotated[str, option("--ticker", "TICKER", "Only this market.", callback=_one_ticker)]


@app.command("portfolio")
def portfolio(ctx: typer.Context, paper: Paper = False) -> None:
    """Show cash, positions, risk and today's P&L.

    One screen: cash and totals, P&L today, each open position with its title, its cost, its value at the closing price
    and its maximum payout, the resting orders with what each would close or open, and the risk limits that are used
    most; orders and limits as far as there is room. P&L today is the change of the account's value since
    midnight of `day_zone` (New York by default), without deposits and transfers. Exposure is the maximum loss of all
    positions and resting orders together. `-v` lists every limit.

    \b
    kalshi portfolio
    kalshi portfolio --json
    """
    from kalshi_cli.views.own_terms import with_orders_as_meant

    with open_services(ctx) as kalshi:
        view, title = account_of(kalshi, paper=paper).portfolio(), f"Portfolio ({_name(kalshi, paper=paper)})"
        if flags_of(ctx).verbose or form_of(ctx) is not Format.TABLE:
            if is_for_people(ctx):
                view = with_orders_as_meant(view)
            show_view(ctx, view, title=title, now=kalshi.now)
        else:
            from kalshi_cli.cli.screen.portfolio import draw_portfolio

            draw_portfolio(view, title, kalshi.now, f"kalshi positions{' --paper' if paper else ''}")
        note_halt(ctx, kalshi.resources)
        note_pause(ctx, kalshi.resources)


@app.command("balance")
def balance(
    ctx: typer.Context, subaccount: Annotated[int | None, subaccount_option("Show this subaccount.")] = None
) -> None:
    """Show cash, available cash and portfolio value.

    The cash of the primary account, in total and by shard, and the value of its positions at closing prices, as
    `kalshi portfolio` shows it. The exchange's web site values positions at last prices instead. `reserved` is the cash
    that resting orders need to open positions, before fees; orders that close a position need none. `available` is the
    rest of the cash. An order is paid from the shard of its market; `kalshi transfer` moves cash between shards.

    \b
    kalshi balance --json
    kalshi balance --subaccount 1
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.account.balance(subaccount), title="Balance", now=kalshi.now)
        if is_terse(ctx):
            info("as of: the exchange's last change of the cash; positions are valued at the prices of now")


@app.command("positions")
def positions(
    ctx: typer.Context,
    subaccount: Annotated[int | None, subaccount_option("Only this subaccount.")] = None,
    paper: Paper = False,
) -> None:
    """List open positions, marked to the closing price.

    The positions of all subaccounts, computed from fills and settlements. The closing price is the best bid for the
    outcome that you hold, without your own orders; without a bid, an estimate: the lower of the last price and the
    best ask. Once the result is known, it is the payout.

    \b
    kalshi positions
    kalshi positions --subaccount 1
    kalshi positions --paper
    """
    from kalshi_cli.cli.screen.brief import position_lines
    from kalshi_cli.views.positions import PositionRow, mark_note

    with open_services(ctx) as kalshi:
        rows = account_of(kalshi, paper=paper).positions(subaccount)
        lines = position_lines(rows) if is_terse(ctx) else rows
        show_list(ctx, type(lines[0]) if lines else PositionRow, lines, empty="No open positions")
        if is_terse(ctx):
            info(*(f"{row.ticker}: {note}" for row in rows if (note := mark_note(row))))


@app.command("fills")
def fills(
    ctx: typer.Context,
    name: OneTicker = "",
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, limit_option("Maximum number of fills, newest first.")] = 50,
    everything: All = False,
    paper: Paper = False,
) -> None:
    """List your trades.

    Newest first, from the full history. A table shows a trade as you typed its order; `buy NO (closes)` reduced a
    position in YES, and `sell YES (opens)` bought NO. Where the order was placed elsewhere, a trade that reduced a
    position is a sale of the outcome that was held, and any other a purchase. A trade that closed a position and opened
    the opposite one has two rows. With `--fields`, a terminal shows these words as `side`, in one row, unless
    `action` is chosen too. A table has `price` on the scale of the side beside it, and without a side that of the side
    that you typed. JSON, NDJSON and CSV have one row for it: `action` and `side` say what it
    did to the position, `closed` how many contracts it closed, `value` the cash that changed hands, and `typed_side`
    what you typed.

    \b
    kalshi fills --since 24h --all --format csv
    kalshi fills --since 2026-11-01 --until 2026-11-02
    kalshi fills --paper --json
    """
    from kalshi_cli.cli.screen.brief import FillLine, FillScreen, fill_lines, fill_screen
    from kalshi_cli.services.markets.known_names import note_unknown
    from kalshi_cli.views.positions import AccountFillRow, fill_in_table

    with open_services(ctx) as kalshi:
        most = None if everything else limit
        account = account_of(kalshi, paper=paper)
        one_more = None if most is None else most + 1
        found = account.fills(name, when(kalshi, since), one_more, until=when(kalshi, until))
        of: type[OutputRow] = AccountFillRow
        lines: Sequence[OutputRow] = found
        if not (found or paper):
            note_unknown(kalshi.resources, info, ticker=name)
        if is_terse(ctx) or (flags_of(ctx).form is Format.TABLE and not chosen_fields()):
            of, lines = FillLine, fill_lines(found)
        elif shows_side_in_words(ctx):
            of, lines = FillScreen, [fill_screen(row) for row in found]
        elif (names := chosen_fields()) and is_for_people(ctx):
            lines = [fill_in_table(row, names) for row in found]
        show_list(ctx, of, lines, limit=most, more=LIMIT_OR_ALL, empty="No fills", now=kalshi.now)


@app.command("settlements")
def settlements(
    ctx: typer.Context,
    name: OneTicker = "",
    event: Annotated[str, option("--event", "EVENT", "Only this event.")] = "",
    since: Since = None,
    limit: Annotated[int, limit_option("Maximum number of settlements, newest first.")] = 50,
    everything: All = False,
    upcoming: Annotated[bool, flag("--upcoming", "List open positions by closing time.")] = False,
) -> None:
    """List settled markets and payouts.

    Newest first: what you held, what it cost and what it paid. `net` is the result of the whole market after fees, as
    in `kalshi pnl`, with contracts that you sold before it settled. With `--upcoming`, list open positions by their
    closing time, with the time when the result is expected; `max payout` (`pays` in JSON) is what a position pays if it
    wins. Once the market is determined, it is the payout, which comes after a short wait, and no time is shown.

    \b
    kalshi settlements --since 7d --all
    kalshi settlements --upcoming
    kalshi settlements --event KXHIGHNY-26NOV21 --format csv
    """
    from kalshi_cli.cli.screen.brief import SettlementLine, UpcomingLine, settlement_lines, upcoming_lines
    from kalshi_cli.services.markets.known_names import note_unknown
    from kalshi_cli.views.cash import SettlementRow, UpcomingRow

    if upcoming and since is not None:
        raise UsageError(
            "--since is for past settlements, --upcoming for coming ones", hint="kalshi settlements --upcoming"
        )
    most = None if everything else limit
    with open_services(ctx) as kalshi:
        if upcoming:
            held = kalshi.account.upcoming_settlements(name, event.upper())
            kind, coming = (UpcomingLine, upcoming_lines(held)) if is_terse(ctx) else (UpcomingRow, held)
            show_list(ctx, kind, coming, limit=most, more=LIMIT_OR_ALL, empty="No open positions", now=kalshi.now)
            return
        one_more = None if most is None else most + 1
        found = list(islice(kalshi.account.settlements(name, event.upper(), when(kalshi, since)), one_more))
        if not found:
            note_unknown(kalshi.resources, info, event=event.upper(), ticker=name)
        of, lines = (SettlementLine, settlement_lines(found)) if is_terse(ctx) else (SettlementRow, found)
        show_list(ctx, of, lines, limit=most, more=LIMIT_OR_ALL, empty="No settlements", now=kalshi.now)


@app.command("pnl")
def pnl(
    ctx: typer.Context,
    picture: Annotated[Path | None, argument("[FILE.svg]", "With --plot: write the chart to this file.")] = None,
    by: Annotated[str, choice_option("--by", KEYS, "Group by.")] = "market",
    since: Since = None,
    until: Until = None,
    plot: Annotated[bool, flag("--plot", "Draw the chart, on the terminal or into FILE.svg.")] = False,
    paper: Paper = False,
) -> None:
    """Show profit and loss by market, event, strategy or day.

    Also by series or month. The rows add up to the change of the account. By day, open positions count with their
    change from midnight to midnight, as far as the prices then are known. `--until` leaves unrealized P&L out, because
    the prices then are unknown, unless it is in the future. The chart shows realized profit after fees;
    open positions count at its last point. A sale is counted against the average cost of the position, as in `kalshi
    positions`; `kalshi export tax-lots` counts first in, first out.

    \b
    kalshi pnl
    kalshi pnl --by day --since 7d --json
    kalshi pnl --by month --since 2026-01-01
    kalshi pnl --since 2026-10-01 --until 2026-11-01
    kalshi pnl --since 30d --plot
    kalshi pnl --plot curve.svg
    kalshi pnl --paper --by strategy
    """
    if picture is not None and not plot:
        raise UsageError(f"Unexpected argument: {picture}", hint=f"kalshi pnl --plot {picture}")
    if plot:
        _plot(ctx, since, until, picture, paper=paper)
        if not flags_of(ctx).wants_data:
            return
    with open_services(ctx) as kalshi:
        start, end = when(kalshi, since), when(kalshi, until)
        view = account_of(kalshi, paper=paper).pnl(by, start, until=end)  # type: ignore[arg-type]
        show_view(ctx, view, title=f"Profit and loss by {by}")
        is_past = note_realized_only(kalshi, end)
        if by == "strategy" and len(view.rows) > 1 and is_for_people(ctx) and not chosen_fields():
            info(_OWN_LEDGERS.format(same="Fees" if is_past else "Net and fees", other=", net" if is_past else ""))
        if not view.adds_up and is_for_people(ctx) and not chosen_fields():
            info(ROUNDED)


def _name(kalshi: Kalshi, *, paper: bool) -> str:
    return f"{kalshi.env}, paper" if paper else kalshi.env


def _plot(ctx: typer.Context, since: Any, until: Any, picture: Path | None, *, paper: bool) -> None:
    """Draw the equity curve of the account, on the terminal or into a file."""
    from kalshi_cli.cli.screen.curve import require_curve, show_curve

    require_curve(flags_of(ctx).form, picture, "kalshi pnl --plot curve.svg")
    if chosen_fields():
        raise UsageError("--plot and --fields cannot be combined", hint="use one of them")
    with open_services(ctx) as kalshi:
        start, end = when(kalshi, since), when(kalshi, until)
        points = account_of(kalshi, paper=paper).equity_curve(start, until=end)
        note_realized_only(kalshi, end)
    show_curve(points, picture)
