"""`kalshi order amend|decrease|queue|batch`: what changes many orders, or one that rests."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
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
)
from kalshi_cli.cli.order_options import DryRun, Yes, consented, order_argument, subaccount_option

app = CommandGroup()


@app.command("amend")
def amend(
    ctx: typer.Context,
    order_id: Annotated[str, order_argument()],
    price: Annotated[Any, price_option("--price", text="The new price, of the outcome of --side.")] = None,
    count: Annotated[Any, count_option("--count", text="Contracts that shall be left to trade.")] = None,
    side: Annotated[str, choice_option("--side", choices=("yes", "no"), text="Whose price --price is.")] = "yes",
    expires_in: Annotated[Any, duration_option("--expires-in", text="Cancelled by the exchange after this.")] = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="Let it rest until canceled.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Change price, size or expiry of an order that rests. What is not given stays as it is.

    --count is what shall be left to trade from now on, whatever has filled already. Another price, or more contracts,
    send the order to the back of the queue; fewer, or another expiry, do not. An amend that raises price or size must
    pass every limit, as a new order would.

    \b
    kalshi order amend 2597b999-f887-4195-8bac-c3f97a1f2021 --price 0.25
    kalshi order amend 2597b999-f887-4195-8bac-c3f97a1f2021 --side no --price 70c --count 5 --dry-run
    kalshi order amend 2597b999-f887-4195-8bac-c3f97a1f2021 --expires-in 10m
    """
    from kalshi_cli.services.orders.amend import AmendRequest
    from kalshi_cli.services.orders.service import OrderService

    if no_expiry and expires_in is not None:
        raise UsageError("--expires-in and --no-expiry exclude each other", hint="give one of them")
    if expires_in is not None and expires_in < 1:
        raise UsageError("an expiry is at least one second ahead", hint="like --expires-in 10m")
    life = 0.0 if no_expiry else expires_in
    if price is None and count is None and life is None:
        raise UsageError("nothing to change", hint="give --price, --count, --expires-in or --no-expiry")
    change = AmendRequest(outcome=side, price=price, qty=count, expires_in_s=life)  # type: ignore[arg-type]
    with open_app(ctx) as resources:
        orders = OrderService(resources, is_rehearsal=dry_run)
        plan = orders.plan_amend(order_id, change)
        if dry_run:
            note_unsent(*plan.facts)
            show_view(ctx, plan.order, title="not sent", now=resources.clock.now())
            return
        after = orders.execute(consented(resources, orders, plan, "amend this order?", yes=yes))
        show_view(ctx, after, title=after.ticker, now=resources.clock.now())


@app.command("decrease")
def decrease(
    ctx: typer.Context,
    order_id: Annotated[str, order_argument()],
    by: Annotated[Any, count_option("--by", text="Contracts to take off.")] = None,
    to: Annotated[Any, count_option("--to", text="Contracts that shall be left.")] = None,
    yes: Yes = False,
) -> None:
    """Take contracts off an order that rests; it keeps its place in the queue. Works while trading is halted.

    \b
    kalshi order decrease 2597b999-f887-4195-8bac-c3f97a1f2021 --to 5
    kalshi order decrease 2597b999-f887-4195-8bac-c3f97a1f2021 --by 2.5
    """
    from kalshi_cli.services.orders.service import OrderService

    if (by is None) == (to is None):
        raise UsageError("give one of --by and --to", hint="like --to 5")
    with open_app(ctx) as resources:
        orders = OrderService(resources)
        plan = orders.plan_decrease(order_id, by=by, to=to)
        after = orders.execute(consented(resources, orders, plan, "decrease this order?", yes=yes))
        show_view(ctx, after, title=after.ticker, now=resources.clock.now())


@app.command("queue")
def queue(
    ctx: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Orders; all that rest if none.")] = None,
    pattern: Annotated[str, typer.Option("--ticker", metavar="GLOB", help="Only tickers like this: 'KXBTC*'.")] = "",
    subaccount: Annotated[int | None, subaccount_option("Only this subaccount.")] = None,
) -> None:
    """How many contracts must trade before each resting order does.

    \b
    kalshi order queue
    kalshi order queue --ticker 'KXBTC*'
    """
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.views.orders import QueueRow

    with open_app(ctx) as resources:
        rows = OrderService(resources).queue(ids or (), ticker=pattern, subaccount=subaccount)
        show_list(ctx, QueueRow, rows, empty="no order rests")


@app.command("batch")
def batch(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE | -", help="Orders, one a line; - reads stdin.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Place many orders: one JSON object a line, its keys named like the flags of `kalshi order place`.

    Every limit applies to every order, and those before it count. If a line cannot be an order, nothing is sent. Exit 0
    if all were placed; else the gravest reason why one was not, and each line of output says its own.

    \b
    {"ticker": "T", "side": "yes", "action": "buy", "count": 10, "price": "0.24"}

    \b
    kalshi order batch o.ndjson --dry-run
    kalshi order batch - --yes < o.ndjson
    """
    from kalshi_cli.cli.commands.batch_lines import read_lines
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.trading.stop_signals import in_flight
    from kalshi_cli.views.orders import BatchRow

    lines = read_lines(source)
    with open_app(ctx) as resources:
        orders = OrderService(resources, is_rehearsal=dry_run)
        plan = orders.plan_batch(lines)
        if dry_run:
            note_unsent(*plan.facts)
            show_list(ctx, BatchRow, plan.orders)
            return
        plan = consented(resources, orders, plan, "place these orders?", yes=yes)
        with in_flight(plan.subject):
            outcome = orders.execute(plan)
            show_list(ctx, BatchRow, outcome.rows)
    if outcome.error is not None:
        raise outcome.error
