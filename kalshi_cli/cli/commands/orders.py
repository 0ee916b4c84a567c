"""`kalshi order ...`: place, list, show, cancel and reconcile orders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.text import safe_text
from kalshi_cli.cli.commands import cancel_all, order_changes, order_groups
from kalshi_cli.cli.commands.pickers import pick_order
from kalshi_cli.cli.options import (
    asks,
    consented,
    executed,
    is_for_people,
    is_terse,
    note_halt,
    note_unsent,
    open_orders,
    open_services,
    show_list,
    show_order,
    show_view,
    shows_side_in_words,
    unsent,
)
from kalshi_cli.cli.parameters import (
    CommandGroup,
    HelpCommand,
    Paper,
    TickerGlob,
    Yes,
    argument,
    choice_option,
    count_option,
    duration_option,
    limit_option,
    option,
    order_argument,
    price_option,
    subaccount_option,
    takes_order_terms,
    ticker,
)
from kalshi_cli.cli.screen.output import info, write_sentence
from kalshi_cli.cli.time_options import when, when_option

if TYPE_CHECKING:
    from kalshi_cli.services.orders.place import OrderTicket
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.views.orders import ListedOrderRow
    from kalshi_cli.views.row import OutputRow

app = CommandGroup(
    "Place, change, list and cancel orders.\n\nEvery order is checked against your risk limits before it is sent."
)

STATUSES = ("resting", "canceled", "filled", "executed", "all")
MAX_IDS = 10_000


@app.command("place")
@takes_order_terms
def place(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    side: Annotated[str, choice_option("--side", ("yes", "no"), "Outcome to trade.")],
    action: Annotated[str, choice_option("--action", ("buy", "sell"), "Buy or sell that outcome.")],
    count: Annotated[Any, count_option("--count", "Number of contracts.")],
    price: Annotated[Any, price_option("--price", "Limit price of that outcome: 0.47 or 47c.")],
    **terms: Any,
) -> None:
    """Place one order.

    Every configured risk limit applies, and `--yes` does not override any of them. On prod, the order, its cost, its
    fee and its maximum loss are shown for confirmation.

    \b
    kalshi order place KXHIGHNY-26NOV21-B53.5 --side yes --action buy --count 10 --price 0.24
    kalshi order place KXHIGHNY-26NOV21-B53.5 --side no --action buy --count 5 --price 70c --post-only --dry-run
    """
    place_order(ctx, name, side, action, count, price, **terms)


def place_order(
    ctx: typer.Context,
    name: str,
    side: str,
    action: str,
    count: Any,
    price: Any,
    *,
    yes: bool,
    dry_run: bool,
    **terms: Any,
) -> None:
    """Plan one order, ask on prod, place it and show it."""
    import msgspec

    from kalshi_cli.services.trading.stop_signals import in_flight
    from kalshi_cli.views.plans import new_order_view

    ticket = _ticket(name, side, action, count, price, **terms)
    with unsent("Your order was not sent"), open_orders(ctx, is_rehearsal=dry_run) as (resources, orders):
        plan = orders.plan_ticket(ticket)
        if plan.unknown_orders:
            info(f"Other unconfirmed orders, counted as live: {plan.unknown_orders}. Run `kalshi order reconcile`")
        if dry_run:
            note_unsent(*plan.facts, *plan.warnings)
            if is_terse(ctx):
                return
            row = msgspec.structs.replace(plan.order, client_order_id=None, status="dry_run")
            view = new_order_view(row, plan, is_reduce_only=ticket.reduce_only)
            show_view(ctx, view, title="Not sent", now=resources.clock.now())
            return
        if not asks(resources):
            info(*plan.warnings)
        plan = consented(resources, orders, plan, "Place this order with real money?", yes=yes)
        with in_flight(plan.subject):
            order = orders.execute(plan)
            view = new_order_view(order, plan, is_reduce_only=ticket.reduce_only)
            show_order(ctx, view, resources.clock.now())


def _ticket(
    ticker: str, side: str, action: str, count: Any, price: Any, *,
    tif: str, stp: str, expires_in: Any, client_order_id: str, group: str, **same: Any,
) -> OrderTicket:  # fmt: skip
    """Return the order that was typed."""
    from kalshi_cli.services.orders.place import SELF_TRADE_PREVENTIONS, TIMES_IN_FORCE, OrderTicket

    return OrderTicket(
        ticker=ticker.upper(),
        outcome=side,  # type: ignore[arg-type]
        action=action,  # type: ignore[arg-type]
        qty=count,
        price=price,
        tif=TIMES_IN_FORCE[tif],
        self_trade_prevention=SELF_TRADE_PREVENTIONS[stp],
        expires_in_s=expires_in,
        client_order_id=client_order_id or None,
        order_group_id=group,
        **same,
    )


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[str, choice_option("--status", STATUSES, "Filter by status.")] = "resting",
    pattern: TickerGlob = "",
    event: Annotated[str | None, option("--event", "EVENT", "Only this event.")] = None,
    subaccount: Annotated[int | None, subaccount_option("Only this subaccount; 0 is the primary one.")] = None,
    since: Annotated[Any, when_option("--since", "Only orders placed since this time.")] = None,
    until: Annotated[Any, when_option("--until", "Only orders placed before this time.")] = None,
    limit: Annotated[int | None, limit_option("Maximum number of orders, newest first.")] = None,
    paper: Paper = False,
) -> None:
    """List your orders.

    The exchange reports them. Only resting orders are listed unless `--status` says otherwise. A table shows an
    order as you typed it, and with `--fields` a terminal has `sell YES` as its `side`, unless `action` is chosen
    too. The exchange does not store that: of an order that was placed elsewhere, the table says that it sells what
    you hold if it reduces your position, and else that it buys, YES or NO. For such an order that ended, the
    position when it was placed counts. The exchange keeps one book, and lists an order to buy NO as one to sell
    YES: so do JSON, NDJSON and CSV, which have the side that you typed as `typed_side`. `--status filled` is the
    same as `executed`, the word of the exchange.

    \b
    kalshi order list
    kalshi order list --status all --ticker 'KXBTC*' --json
    kalshi order list --status filled --limit 10
    kalshi order list --status all --since 24h --json
    kalshi order list --paper --status all
    """
    from kalshi_cli.services.account.paper_reads import paper_notice
    from kalshi_cli.services.markets.known_names import note_unknown
    from kalshi_cli.views.orders import ListedOrderRow

    none, more = "No orders" if status == "all" else f"No {status} orders", "a larger --limit"
    one_more = None if limit is None else limit + 1
    if paper and (event is not None or subaccount is not None):
        raise UsageError("--paper cannot be combined with --event or --subaccount", hint="use --ticker")
    with open_services(ctx) as kalshi:
        resources, orders, now = kalshi.resources, kalshi.orders, kalshi.now
        period = {"since": when(kalshi, since), "until": when(kalshi, until)}
        if paper:
            found = kalshi.paper.orders(status, pattern.upper(), **period)[:one_more]
            show_list(ctx, ListedOrderRow, found, limit=limit, more=more, empty=none, now=now)
            return
        if notice := paper_notice(resources):
            info(notice)
        rows = orders.list(status, ticker=pattern, event=event or "", subaccount=subaccount, **period)[:one_more]  # type: ignore[arg-type]
        of: type[OutputRow] = ListedOrderRow
        lines: Sequence[OutputRow] = rows
        if not rows:
            note_unknown(resources, info, event=(event or "").upper(), ticker=pattern.upper())
        if rows and is_for_people(ctx):
            of, lines = _lines(ctx, orders, rows, status)
        show_list(ctx, of, lines, limit=limit, more=more, empty=none, now=now)
        note_halt(ctx, resources)


def _lines(
    ctx: typer.Context, orders: OrderService, rows: Sequence[ListedOrderRow], status: str
) -> tuple[type[OutputRow], Sequence[OutputRow]]:
    """Return orders for a table; as the exchange lists them, with a notice, where the positions cannot be read."""
    from kalshi_cli.cli.screen.brief import (
        FilledOrderLine,
        ListedOrderScreen,
        OrderLine,
        OrderStatusLine,
        listed_order_screen,
        order_lines,
    )
    from kalshi_cli.views.orders import ListedOrderRow

    try:
        meant = orders.as_meant(rows)
    except KalshiError as error:
        info(f"An order to buy NO is listed as one to sell YES: positions or fills cannot be read: {error.message}")
        return ListedOrderRow, rows
    if shows_side_in_words(ctx):
        return ListedOrderScreen, [listed_order_screen(each) for each in meant]
    if not is_terse(ctx):
        return ListedOrderRow, meant
    kinds: dict[str, type[OrderLine]] = {"resting": OrderLine, "filled": FilledOrderLine, "executed": FilledOrderLine}
    kind = kinds.get(status, OrderStatusLine)
    return kind, order_lines(meant, kind)


@app.command("show")
def show(ctx: typer.Context, order_id: Annotated[str, order_argument()]) -> None:
    """Show one order.

    Of an order that the exchange ended, a terminal shows the reason where it is known: it expired, or its market
    closed. Name it by its order id, by the first 6 or more characters of that, or by your client order id.

    \b
    kalshi order show 2597b999
    """
    from kalshi_cli.cli.screen.brief import order_screen
    from kalshi_cli.services.orders.cancel import end_reason

    with open_orders(ctx) as (resources, orders):
        order = orders.get(order_id)
        if is_for_people(ctx):
            with suppress(KalshiError):  # the order as the exchange lists it is true as well
                (order,) = orders.as_meant([order])
            order = order_screen(order, end_reason(resources, order))
        show_view(ctx, order, title=order_id, now=resources.clock.now())


def _typed_ids() -> list[str]:
    """Return the ids of standard input, one a line. UsageError for JSON or quoted CSV: nothing was sent."""
    wanted = [line.strip() for line in sys.stdin if line.strip()][:MAX_IDS]
    if wrong := next((each for each in wanted if set(each) & set('"{[')), ""):
        raise UsageError(
            f"{safe_text(wrong, 60)} is not an order id; no order was canceled",
            hint="give ids alone, one a line: jq -r '.[].order_id' takes them from JSON, jq -r .order_id from NDJSON",
        )
    return wanted


class CancelCommand(HelpCommand):
    """The command with a hint for `--all`, which users of other programs type. Nothing is canceled by a guess."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words. UsageError for `--all`."""
        if "--all" in args:
            raise UsageError(
                f"No such option: --all. `{ctx.command_path}` cancels the orders whose ids you give",
                hint="`kalshi order list` shows them. `cancel-all` is the command that cancels every order: it also "
                "halts trading, unless --no-halt is given",
            )
        return super().parse_args(ctx, args)


@app.command("cancel", cls=CancelCommand)
def cancel(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None, argument("ID... | -", "Order ids or client order ids; - reads standard input.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Cancel orders by id.

    Give order ids, the first 6 or more characters of them, or client order ids. With `-`, ids are read from standard
    input, one a line. Without an id, a terminal offers a choice. `kalshi cancel` is the short form. The exit code is 0
    also for an order that was canceled before. For one that was filled it is 4.

    \b
    kalshi cancel 2597b999
    kalshi order list --format ndjson --fields order_id | jq -r .order_id | kalshi order cancel -
    """
    from kalshi_cli.views import order_text
    from kalshi_cli.views.orders import CancelRow

    ids = ids or [pick_order(ctx)]
    wanted = _typed_ids() if ids == ["-"] else ids
    if not wanted:  # a list without orders, read from standard input
        show_list(ctx, CancelRow, [], empty="No order ids given")
        return
    with open_orders(ctx) as (resources, orders):
        plan = orders.plan_cancel(*wanted, is_described=asks(resources) and not yes)
        outcome = executed(resources, orders, plan, "Cancel these orders?", yes=yes or plan.nothing_rests)
        if is_terse(ctx) and outcome.error is None and len(outcome.orders) == len(outcome.rows):
            for order in orders.in_own_terms(outcome.orders):
                write_sentence(order_text.cancel_sentence(order))
        elif not (is_terse(ctx) and outcome.error is not None and len(outcome.rows) == 1):  # the error says it all
            show_list(ctx, CancelRow, outcome.rows)
    error = outcome.error
    if error is not None and error.code != "already_canceled":
        raise error
    if error is not None:
        over, many = sum(not row.canceled for row in outcome.rows), len(outcome.rows)
        info("The order was already canceled" if many == 1 else f"{over} of {many} orders were already canceled")


@app.command("reconcile")
def reconcile(
    ctx: typer.Context,
    wait: Annotated[
        Any, duration_option("--wait", "Wait up to this time for a proof that becomes possible (60s).")
    ] = None,
) -> None:
    """Find out what happened to unconfirmed orders.

    Determine the outcome of every unconfirmed order by reading the exchange; nothing is sent. An order that the
    exchange lists is recorded. An order that a complete, fresh list does not contain is proven never to have arrived:
    that proof is possible 45 seconds after the order was created, or at its own expiration. An order in the state file
    that the exchange contradicts, because a reply was false, is repaired after the same time. Exit code 7 while any
    order remains unconfirmed, also if the exchange cannot be read; 6 says that no order is.

    \b
    kalshi order reconcile
    kalshi order reconcile --wait 1s --json
    """
    from kalshi_cli.services.account.recovery import reconcile_outcome
    from kalshi_cli.views.orders import ReconciledRow

    with open_orders(ctx) as (resources, orders):
        outcome = reconcile_outcome(orders.reconcile(60.0 if wait is None else wait))
        show_list(ctx, ReconciledRow, outcome.rows, empty="No unconfirmed orders", now=resources.clock.now())
        if outcome.error is not None:
            raise outcome.error


app.add_typer(cancel_all.app)
app.add_typer(order_changes.app)
app.add_typer(order_groups.app, name="group")
