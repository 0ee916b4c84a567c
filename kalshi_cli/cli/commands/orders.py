"""`kalshi order ...`: the commands that can cost money."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import OutcomeUnknownError
from kalshi_cli.base.units import format_ts
from kalshi_cli.cli.commands import cancel_all, order_changes, order_groups
from kalshi_cli.cli.options import (
    CommandGroup,
    choice_option,
    count_option,
    duration_option,
    note_unsent,
    open_app,
    price_option,
    show_list,
    show_view,
    ticker,
)
from kalshi_cli.cli.order_options import STPS, TIFS, DryRun, Yes, consented, subaccount_option
from kalshi_cli.cli.screen.output import info

app = CommandGroup("Place, change, list and cancel orders.")

STATUSES = ("resting", "canceled", "executed", "all")
MAX_IDS = 10_000


@app.command("place")
def place(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    side: Annotated[str, choice_option("--side", choices=("yes", "no"), text="The outcome.")],
    action: Annotated[str, choice_option("--action", choices=("buy", "sell"), text="Buy or sell it.")],
    count: Annotated[Any, count_option("--count", text="Contracts.")],
    price: Annotated[Any, price_option("--price", text="Limit price of that outcome: 0.47 or 47c.")],
    tif: Annotated[str, choice_option("--tif", choices=TIFS, text="Rest; fill now what fits; all or nothing.")] = "gtc",
    post_only: Annotated[bool, typer.Option("--post-only", help="Refused rather than take.")] = False,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Only shrink a position (with ioc).")] = False,
    expires_in: Annotated[Any, duration_option("--expires-in", text="Cancelled by the exchange after this.")] = None,
    client_order_id: Annotated[str, typer.Option(metavar="ID", help="Your own id; never used again.")] = "",
    group: Annotated[str, typer.Option("--group", metavar="ID", help="Join this order group.")] = "",
    stp: Annotated[str, choice_option("--stp", choices=STPS, text="Which of two own orders goes.")] = "taker",
    cancel_on_pause: Annotated[bool, typer.Option("--cancel-on-pause", help="Gone when trading pauses.")] = False,
    subaccount: Annotated[int | None, subaccount_option("Place it in this subaccount.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Place one order. Every limit of the configuration applies; --yes lifts none.

    \b
    kalshi order place KXHIGHNY-26NOV21-B53.5 --side yes --action buy --count 10 --price 0.24
    kalshi order place KXHIGHNY-26NOV21-B53.5 --side no --action buy --count 5 --price 70c --post-only --dry-run
    """
    import msgspec

    from kalshi_cli.services.orders.place import SELF_TRADE_PREVENTIONS, TIMES_IN_FORCE, OrderTicket
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.trading.stop_signals import in_flight

    ticket = OrderTicket(
        ticker=name.upper(),
        outcome=side,  # type: ignore[arg-type]
        action=action,  # type: ignore[arg-type]
        qty=count,
        price=price,
        tif=TIMES_IN_FORCE[tif],
        post_only=post_only,
        reduce_only=reduce_only,
        expires_in_s=expires_in,
        client_order_id=client_order_id,
        order_group_id=group,
        self_trade_prevention=SELF_TRADE_PREVENTIONS[stp],
        cancel_on_pause=cancel_on_pause,
        subaccount=subaccount,
    )
    with open_app(ctx) as resources:
        orders = OrderService(resources, is_rehearsal=dry_run)
        plan = orders.plan_ticket(ticket)
        if plan.unknown_orders:
            info(f"other orders in doubt, which count as live: {plan.unknown_orders}; kalshi order reconcile")
        if dry_run:
            note_unsent(*plan.facts, *plan.warnings)
            row = msgspec.structs.replace(plan.order, client_order_id=None, status="dry_run")
            show_view(ctx, row, title="not sent", now=resources.clock.now())
            return
        plan = consented(resources, orders, plan, "place this order?", yes=yes)
        with in_flight(plan.subject):
            order = orders.execute(plan)
            show_view(ctx, order, title=order.ticker, now=resources.clock.now())


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[str, choice_option("--status", choices=STATUSES, text="Which orders.")] = "resting",
    pattern: Annotated[str, typer.Option("--ticker", metavar="GLOB", help="Only tickers like this: 'KXBTC*'.")] = "",
    event: Annotated[str | None, typer.Option(metavar="EVENT", help="Only this event.")] = None,
    subaccount: Annotated[int | None, subaccount_option("Only this subaccount (0 is the primary one).")] = None,
) -> None:
    """Orders of the account, as the exchange has them.

    \b
    kalshi order list
    kalshi order list --status all --ticker 'KXBTC*' --json
    """
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.views.orders import OrderRow

    with open_app(ctx) as resources:
        rows = OrderService(resources).list(status, ticker=pattern, event=event or "", subaccount=subaccount)
        show_list(ctx, OrderRow, rows, empty=f"no order is {status}", now=resources.clock.now())


@app.command("show")
def show(
    ctx: typer.Context, order_id: Annotated[str, typer.Argument(metavar="ID", help="Order id, or your own.")]
) -> None:
    """One order, by the exchange's id or by your own client order id.

    \b
    kalshi order show 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    from kalshi_cli.services.orders.service import OrderService

    with open_app(ctx) as resources:
        show_view(ctx, OrderService(resources).get(order_id), title=order_id, now=resources.clock.now())


@app.command("cancel")
def cancel(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID... | -", help="Their ids or your own; - reads stdin.")],
    yes: Yes = False,
) -> None:
    """Cancel orders, by the exchange's ids or by your own client order ids.

    \b
    kalshi order cancel 2597b999-f887-4195-8bac-c3f97a1f2021
    kalshi order list --format csv | cut -d, -f1 | tr -d '"' | tail -n +2 | kalshi order cancel -
    """
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.views.orders import CancelRow

    wanted = [line.strip() for line in sys.stdin if line.strip()][:MAX_IDS] if ids == ["-"] else ids
    with open_app(ctx) as resources:
        orders = OrderService(resources)
        plan = consented(resources, orders, orders.plan_cancel(*wanted), "cancel them?", yes=yes)
        outcome = orders.execute(plan)
        show_list(ctx, CancelRow, outcome.rows, empty="no ids were given")
    if outcome.error is not None:
        raise outcome.error


@app.command("reconcile")
def reconcile(
    ctx: typer.Context,
    wait: Annotated[Any, duration_option("--wait", text="Wait for a proof that is due within this (60s).")] = None,
) -> None:
    """Find out what became of every order whose outcome is unknown; exit 7 while any stays so.

    An order is adopted where the exchange has it, and proven never to have arrived where a complete and fresh read does
    not: that takes 45 seconds after it was made, and until its own expiry. An order on file that the exchange's own
    record contradicts, because a reply was false, is repaired after as long. Nothing is sent.

    \b
    kalshi order reconcile
    kalshi order reconcile --wait 1s --json
    """
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.views.orders import ReconciledRow

    with open_app(ctx) as resources:
        rows = OrderService(resources).reconcile(60.0 if wait is None else wait)
        show_list(ctx, ReconciledRow, rows, empty="no order is unknown", now=resources.clock.now())
        open_ = [row for row in rows if row.found == "still_unknown"]
        if open_:
            last = max(row.provable_at for row in open_ if row.provable_at is not None)
            ids = ", ".join(row.client_order_id or "" for row in open_[:5])
            raise OutcomeUnknownError(
                f"still unknown, and may be live: {ids}",
                hint=f"what never arrived is proven so after {format_ts(last)}: run this again then",
            )


app.add_typer(cancel_all.app)
app.add_typer(order_changes.app)
app.add_typer(order_groups.app, name="group")
