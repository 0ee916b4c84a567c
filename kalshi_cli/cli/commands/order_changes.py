"""`kalshi order amend|decrease|queue|batch`: what changes many orders, or one that rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import (
    CommandGroup,
    agreed,
    choice_option,
    count_option,
    duration_option,
    note_unsent,
    open_app,
    price_option,
    show_list,
    show_view,
)
from kalshi_cli.cli.order_options import DryRun, Yes, order_argument, subaccount_option

if TYPE_CHECKING:
    from kalshi_cli.services.orders.amend import AmendProposal
    from kalshi_cli.services.orders.batch import ReviewedLine

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
    from kalshi_cli.services.orders.amend import AmendRequest, propose, send
    from kalshi_cli.services.orders.cancel import find_order
    from kalshi_cli.services.orders.place import order_desk
    from kalshi_cli.services.trading.stop_signals import in_flight
    from kalshi_cli.views.orders import change_view

    if no_expiry and expires_in is not None:
        raise UsageError("--expires-in and --no-expiry exclude each other", hint="give one of them")
    if expires_in is not None and expires_in < 1:
        raise UsageError("an expiry is at least one second ahead", hint="like --expires-in 10m")
    life = 0.0 if no_expiry else expires_in
    if price is None and count is None and life is None:
        raise UsageError("nothing to change", hint="give --price, --count, --expires-in or --no-expiry")
    change = AmendRequest(outcome=side, price=price, qty=count, expires_in_s=life)  # type: ignore[arg-type]
    with open_app(ctx) as desk:
        orders = order_desk(desk, is_rehearsal=dry_run)
        engine, proposal = propose(orders, find_order(desk, order_id), change)
        before = proposal.amend.before
        if dry_run:
            note_unsent(*_facts(proposal, desk.config.env))
            view = change_view(before, proposal.amend.wanted, change.outcome, "dry_run")
            show_view(ctx, view, title="not sent", now=desk.clock.now())
            return
        if agreed(desk, "amend this order?", *_facts(proposal, desk.config.env), yes=yes):
            # The question may have stood for minutes: look again before sending.
            engine, proposal = propose(orders, find_order(desk, before.order_id), change)
        with in_flight(f"the amend of order {before.order_id}"):
            after = send(orders, engine, proposal)
        view = change_view(proposal.amend.before, after, change.outcome)
        show_view(ctx, view, title=after.ticker, now=desk.clock.now())


def _facts(proposal: AmendProposal, env: str) -> list[str]:
    """What a person must know before saying yes."""
    from kalshi_cli.base.units import show_money, show_price, show_qty

    before, wanted = proposal.amend.before, proposal.amend.wanted
    was = f"{show_qty(before.remaining)} at {show_price(before.price)}"
    will = f"{show_qty(wanted.remaining)} at {show_price(wanted.price)}"
    return [
        f"{env}: {before.side.value} of {before.ticker} on the YES book, left {was}; from now on {will}",
        f"cost {show_money(proposal.cost)}, fee up to {show_money(proposal.fee)}",
    ]


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
    from kalshi_cli.base.units import show_qty
    from kalshi_cli.services.orders.amend import decrease as decrease_order
    from kalshi_cli.services.orders.cancel import find_order
    from kalshi_cli.views.orders import change_view

    if (by is None) == (to is None):
        raise UsageError("give one of --by and --to", hint="like --to 5")
    with open_app(ctx) as desk:
        before = find_order(desk, order_id)
        how = f"by {show_qty(by)}" if by is not None else f"to {show_qty(to)}"
        fact = f"{desk.config.env}: {show_qty(before.remaining)} are left on {before.ticker}; decrease {how}"
        agreed(desk, "decrease this order?", fact, yes=yes)
        after = decrease_order(desk.client, desk.clock, before, by=by, to=to)
        show_view(ctx, change_view(before, after), title=after.ticker, now=desk.clock.now())


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
    from kalshi_cli.services.orders.cancel import CancelScope, find_order
    from kalshi_cli.services.orders.queue_positions import queue_positions
    from kalshi_cli.views.orders import QueueRow

    with open_app(ctx) as desk:
        wanted = [find_order(desk, each) for each in ids or ()]
        found = queue_positions(desk.client, CancelScope(ticker=pattern.upper()), wanted, subaccount)
        rows = (QueueRow.of(order, ahead=ahead) for order, ahead in found)
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
    from kalshi_cli.services.orders.batch import batch_row, propose, send
    from kalshi_cli.services.orders.place import order_desk
    from kalshi_cli.services.trading.stop_signals import in_flight
    from kalshi_cli.views.orders import BatchRow

    lines = read_lines(source)
    with open_app(ctx) as desk:
        orders = order_desk(desk, is_rehearsal=dry_run)
        engine, judged = propose(orders, lines)
        facts = _batch_facts(judged, desk.config.env)
        if dry_run:
            note_unsent(*facts)
            show_list(ctx, BatchRow, map(batch_row, judged))
            return
        if agreed(desk, "place these orders?", *facts, yes=yes):
            engine, judged = propose(orders, lines)
        with in_flight("the batch"):
            outcome = send(orders, engine, judged)
            show_list(ctx, BatchRow, map(batch_row, outcome.results))
    if outcome.worst is not None:
        raise outcome.worst


def _batch_facts(judged: list[ReviewedLine], env: str) -> list[str]:
    from kalshi_cli.base.units import Money, show_money

    passed = [each for each in judged if each.denied is None]
    cost, fee = Money(sum(each.cost for each in passed)), Money(sum(each.fee for each in passed))
    return [
        f"{env}: {len(passed)} of {len(judged)} orders pass the limits",
        f"cost {show_money(cost)}, fee up to {show_money(fee)}, worst loss {show_money(Money(cost + fee))}",
    ]
