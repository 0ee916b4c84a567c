"""`kalshi order amend|decrease|queue|batch`: change resting orders, show their queue, place many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import KalshiError, RefusedError, UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, qty_from_user, show_price
from kalshi_cli.cli.commands.pickers import pick_order, require_terminal
from kalshi_cli.cli.options import (
    asks,
    consented,
    executed,
    is_terse,
    note_unsent,
    open_orders,
    show_change,
    show_list,
    show_view,
    unsent,
)
from kalshi_cli.cli.parameters import (
    CommandGroup,
    DryRun,
    ExpiresIn,
    TickerGlob,
    Yes,
    argument,
    choice_option,
    count_option,
    flag,
    option,
    order_argument,
    price_option,
    subaccount_option,
    typed_by,
)
from kalshi_cli.cli.screen.output import info

if TYPE_CHECKING:
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.views.orders import BatchRow
    from kalshi_cli.views.row import Outcome, OutputRow

app = CommandGroup()


@app.command("amend")
def amend(
    ctx: typer.Context,
    order_id: Annotated[str, order_argument()] = "",
    price: Annotated[Any, price_option("--price", "New limit price, of the outcome given by --side.")] = None,
    count: Annotated[Any, count_option("--count", "Contracts left to trade.")] = None,
    side: Annotated[str | None, choice_option("--side", ("yes", "no"), "Outcome that --price refers to.")] = None,
    expires_in: ExpiresIn = None,
    no_expiry: Annotated[bool, flag("--no-expiry", "Remove the expiration.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Change price, size or expiration of an order.

    What you do not give stays the same. `--count` is the quantity left to trade from now on, regardless of what has
    already filled. A new price or a larger size moves the order to the back of the queue; a smaller size or a new
    expiration does not. An amend that raises the price or size must pass every risk limit, like a new order.
    Without `--side`, a price is that of the outcome that you typed with the order, YES or NO. An order that was placed
    elsewhere needs `--side`, unless it buys YES. Without an id, a terminal offers a choice. An order that already has
    these terms stays as it is: nothing is sent, and the exit code is 0.

    \b
    kalshi order amend 2597b999-f887-4195-8bac-c3f97a1f2021 --price 0.25
    kalshi order amend 2597b999-f887-4195-8bac-c3f97a1f2021 --side no --price 70c --count 5 --dry-run
    kalshi order amend 2597b999-f887-4195-8bac-c3f97a1f2021 --expires-in 10m
    """
    from kalshi_cli.services.orders.amend import AmendRequest

    if not order_id:
        require_terminal(ctx)
    if no_expiry and expires_in is not None:
        raise UsageError("--expires-in and --no-expiry cannot be combined", hint="use one of them")
    if expires_in is not None and expires_in < 1:
        raise UsageError("The expiration must be at least one second from now", hint="--expires-in 10m")
    life = 0.0 if no_expiry else expires_in
    if price is None and count is None and life is None:
        raise UsageError("Nothing to change", hint="give --price, --count, --expires-in or --no-expiry")
    order_id = order_id or pick_order(ctx)
    named: Any = None if price is None else side
    with open_orders(ctx, is_rehearsal=dry_run) as (resources, orders), _repeatable(ctx, resources, order_id, named):
        with unsent("Your order was not changed"):
            outcome = side or _outcome_without_side(orders, order_id, price, in_words=is_terse(ctx))
            change = AmendRequest(outcome=outcome, price=price, qty=count, expires_in_s=life)  # type: ignore[arg-type]
            plan = orders.plan_amend(order_id, change)
        if dry_run:
            note_unsent(*plan.facts, *plan.warnings)
            if not is_terse(ctx):
                show_view(ctx, plan.order, title="Not sent", now=resources.clock.now())
            return
        if not asks(resources):
            info(*plan.warnings)
        with unsent("Your order was not changed"):
            plan = consented(resources, orders, plan, "Amend this order with real money?", yes=yes)
            after = orders.execute(plan)
        show_change(ctx, orders, after, resources.clock.now(), plan)


@contextmanager
def _repeatable(ctx: typer.Context, resources: Resources, order_id: str, side: Outcome | None = None) -> Iterator[None]:
    """Show an order that already has the terms asked for, in the words of `side`, instead of an error."""
    from kalshi_cli.services.orders.cancel import find_order
    from kalshi_cli.views.orders import change_view

    try:
        yield
    except UsageError as error:
        if error.code != "same_terms":
            raise
        info(f"{error.message}; nothing was sent")
        if not is_terse(ctx):
            order = find_order(resources, order_id)
            show_view(ctx, change_view(order, order, side), title=order.ticker, now=resources.clock.now())


def _outcome_without_side(orders: OrderService, order_id: str, price: Price | None, *, in_words: bool) -> str:
    """Return the outcome of an amend without `--side`: the typed one, or without a price that of the words shown.

    UsageError for a new price of an order that was not typed here and trades NO, which a terminal shows at the price of
    NO, or sells YES, which may have been meant as a purchase of NO. A script is refused too: the same command must not
    send another price there. Raises what reading positions raises.
    """
    from kalshi_cli.views.own_terms import in_own_terms

    if price is None and not in_words:
        return "yes"
    order = orders.get(order_id)
    if price is None:
        return orders.in_own_terms([order])[0].side
    if order.typed_side is not None:
        return order.typed_side
    order = in_own_terms(order, orders.held([order]))
    if (order.side, order.action) == ("yes", "buy"):
        return "yes"
    other = f" (= buy NO at {show_price(Price(ONE_DOLLAR - order.price))})" if order.side == "yes" else ""
    raise UsageError(
        f"This order is to {order.action} {order.side.upper()} at {show_price(order.price)}{other}: say whether "
        f"{show_price(price)} is the new price of NO or of YES",
        hint="add --side no, or --side yes",
    )


def _qty_or_zero(text: str) -> Qty:
    return Qty(0) if "0" in text and not text.strip(" 0.") else qty_from_user(text)


@app.command("decrease")
def decrease(
    ctx: typer.Context,
    order_id: Annotated[str, order_argument()] = "",
    by: Annotated[Any, count_option("--by", "Contracts to remove.")] = None,
    to: Annotated[Any, option("--to", "COUNT", "Contracts to leave.", parser=typed_by(_qty_or_zero))] = None,
    yes: Yes = False,
) -> None:
    """Reduce the size of a resting order.

    It keeps its place in the queue. This also works while trading is halted. Without an id, a terminal offers a choice.
    `--to` the count that is left changes nothing: nothing is sent, and the exit code is 0.

    \b
    kalshi order decrease 2597b999-f887-4195-8bac-c3f97a1f2021 --to 5
    kalshi order decrease 2597b999-f887-4195-8bac-c3f97a1f2021 --by 2.5
    """
    if not order_id:
        require_terminal(ctx)
    if (by is None) == (to is None):
        raise UsageError("Give either --by or --to", hint="--to 5")
    if to == 0:
        raise UsageError(
            "A decrease must leave contracts, not 0", hint=f"to cancel the order: `kalshi cancel {order_id or 'ID'}`"
        )
    order_id = order_id or pick_order(ctx)
    with open_orders(ctx) as (resources, orders), _repeatable(ctx, resources, order_id):
        plan = orders.plan_decrease(order_id, by=by, to=to)
        after = executed(resources, orders, plan, "Decrease this order?", yes=yes)
        show_change(ctx, orders, after, resources.clock.now())


@app.command("queue")
def queue(
    ctx: typer.Context,
    ids: Annotated[list[str] | None, argument("[ID]...", "Order ids; without them, all resting orders.")] = None,
    pattern: TickerGlob = "",
    subaccount: Annotated[int | None, subaccount_option("Only this subaccount.")] = None,
) -> None:
    """Show the queue position of resting orders.

    Show how many contracts are ahead of each resting order in the queue.

    \b
    kalshi order queue
    kalshi order queue --ticker 'KXBTC*'
    """
    from kalshi_cli.views.orders import QueueRow

    with open_orders(ctx) as (_, orders):
        rows = orders.queue(ids or (), ticker=pattern, subaccount=subaccount)
        of: type[OutputRow] = QueueRow
        if rows and is_terse(ctx):
            from kalshi_cli.cli.screen.brief import QueueLine, queue_lines

            with suppress(KalshiError):  # the list of the exchange, on the YES book
                of, rows = QueueLine, queue_lines(rows, orders.held(rows))  # type: ignore[assignment]
        show_list(ctx, of, rows, empty="No resting orders")


@app.command("batch")
def batch(
    ctx: typer.Context,
    source: Annotated[str, argument("FILE | -", "File with one order per line; - reads standard input.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Place many orders from a file.

    One JSON object per line, with the same keys as the options of `kalshi order place`. Every risk limit applies to
    every order, and counts the orders before it in the batch. If any line is not a valid order, or names no market,
    nothing is sent. A valid order that is refused or rejected does not stop the others: each output line reports its
    own result. Exit code 0 if all orders were placed; otherwise the most severe code. After an interrupt, too, every
    line is printed: `unknown` may be live, `not_sent` is not. A dry run ends with 3 if a line would be refused: its
    `status` is `denied`.

    A line whose `client_order_id` was used before is refused alone (`DUPLICATE_ID`). So a file with an id on every line
    can be sent again: no order is placed twice.

    \b
    {"ticker": "T", "side": "yes", "action": "buy", "count": 10, "price": "0.24"}

    \b
    kalshi order batch o.ndjson --dry-run
    kalshi order batch - --yes < o.ndjson
    """
    from kalshi_cli.cli.commands.batch_lines import read_lines
    from kalshi_cli.services.trading.stop_signals import in_flight

    lines = read_lines(source)
    with open_orders(ctx, is_rehearsal=dry_run) as (resources, orders):
        plan = orders.plan_batch(lines)
        if dry_run:
            note_unsent(*plan.facts)
            _show_batch(ctx, plan.orders)
            denied = [row for row in plan.orders if row.status == "denied"]
            if denied:
                raise RefusedError(
                    f"{len(denied)} of {len(plan.orders)} orders would be refused",
                    hint="`code` and `detail` of each line say why",
                    code=next((row.code for row in denied if row.code != "DUPLICATE_ID"), denied[0].code) or "",
                )
            return
        with unsent("No order was sent"):
            plan = consented(resources, orders, plan, "Place these orders with real money?", yes=yes)
        with in_flight(plan.subject):
            outcome = orders.execute(plan)
            _show_batch(ctx, outcome.rows)
    if outcome.error is not None:
        placed = sum(1 for row in outcome.rows if row.order_id)
        if placed:
            again = "do not send the whole file again"
            if all(line.ticket.client_order_id for line in lines):
                again = "the file can be sent again, because every line has a client order id"
            info(f"{placed} of {len(outcome.rows)} orders were placed: {again}")
        raise outcome.error


def _show_batch(ctx: typer.Context, rows: Sequence[BatchRow]) -> None:
    """Print the lines of a batch, on a terminal in lines that fit it."""
    from kalshi_cli.cli.screen.brief import BatchListing, batch_listings
    from kalshi_cli.views.orders import BatchRow

    is_brief = is_terse(ctx)
    show_list(ctx, BatchListing if is_brief else BatchRow, batch_listings(rows) if is_brief else rows)
