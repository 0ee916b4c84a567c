"""`kalshi order ...`: the commands that can cost money."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import ExchangeError, NotFoundError, OutcomeUnknownError, UnreachableError
from kalshi_cli.base.units import format_ts, pluralize
from kalshi_cli.cli.commands import cancel_all, order_changes, order_groups
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
    ticker,
)
from kalshi_cli.cli.order_options import STPS, TIFS, DryRun, Yes, subaccount_option
from kalshi_cli.cli.screen.output import info

if TYPE_CHECKING:
    from kalshi_cli.core.engine.engine import TradingEngine
    from kalshi_cli.core.model.orders import Order
    from kalshi_cli.services.orders.place import OrderProposal, OrderTicket

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

    from kalshi_cli.core.model.order_terms import SelfTradePrevention, TimeInForce
    from kalshi_cli.services.orders.place import OrderTicket, order_desk
    from kalshi_cli.services.trading.stop_signals import in_flight
    from kalshi_cli.views.orders import order_row

    ticket = OrderTicket(
        ticker=name.upper(),
        outcome=side,  # type: ignore[arg-type]
        action=action,  # type: ignore[arg-type]
        qty=count,
        price=price,
        tif=TimeInForce[tif.upper()],
        post_only=post_only,
        reduce_only=reduce_only,
        expires_in_s=expires_in,
        client_order_id=client_order_id,
        order_group_id=group,
        self_trade_prevention=SelfTradePrevention[stp.upper()],
        cancel_on_pause=cancel_on_pause,
        subaccount=subaccount,
    )
    with open_app(ctx) as desk:
        orders = order_desk(desk, is_rehearsal=dry_run)
        engine, proposal = orders.propose(ticket)
        typed = (ticket.outcome, ticket.action)
        _note_doubts(engine)
        if dry_run:
            note_unsent(*_facts(ticket, proposal, desk.config.env))
            row = order_row(proposal.submit.order, typed)
            row = msgspec.structs.replace(row, client_order_id=None, status="dry_run")
            show_view(ctx, row, title="not sent", now=desk.clock.now())
            return
        if agreed(desk, "place this order?", *_facts(ticket, proposal, desk.config.env), yes=yes):
            engine, proposal = orders.propose(ticket)  # the question may have stood for minutes: look again
        with in_flight(f"order {proposal.submit.order.client_order_id}"):
            order = orders.send(engine, proposal)
            show_view(ctx, order_row(order, typed), title=order.ticker, now=desk.clock.now())


def _note_doubts(engine: TradingEngine) -> None:
    """Whoever places while another order is in doubt should know: it may be the same one."""
    from kalshi_cli.core.model.orders import OrderStatus

    doubts = sum(order.status is OrderStatus.UNKNOWN for order in engine.state.orders.live())
    if doubts:
        info(f"other orders in doubt, which count as live: {doubts}; kalshi order reconcile")


def _facts(ticket: OrderTicket, proposal: OrderProposal, env: str) -> list[str]:
    """What a person must know before saying yes."""
    from kalshi_cli.base.units import show_money, show_price, show_qty

    line = f"{ticket.action} {show_qty(ticket.qty)} {ticket.outcome.upper()} at {show_price(ticket.price)}"
    facts = [
        f"{env}: {line} on {ticket.ticker}",
        f"cost {show_money(proposal.cost)}, fee up to {show_money(proposal.fee)}, "
        f"worst loss {show_money(proposal.worst_loss)}",
    ]
    market = proposal.market
    if market.yes_bid is market.yes_ask is market.last is None:
        facts.append("nobody quotes this market and nothing was traded in it yet: the price was compared with nothing")
    return facts


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
    from kalshi_cli.services.orders.cancel import CancelScope
    from kalshi_cli.views.orders import OrderRow, order_row

    scope = CancelScope(ticker=pattern.upper())
    with open_app(ctx) as desk:
        found = desk.client.all_orders(
            status=None if status == "all" else status, event=event and event.upper(), subaccount=subaccount
        )
        rows = map(order_row, filter(scope.holds, found))
        show_list(ctx, OrderRow, rows, empty=f"no order is {status}", now=desk.clock.now())


@app.command("show")
def show(
    ctx: typer.Context, order_id: Annotated[str, typer.Argument(metavar="ID", help="Order id, or your own.")]
) -> None:
    """One order, by the exchange's id or by your own client order id.

    \b
    kalshi order show 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    from kalshi_cli.services.orders.cancel import find_order
    from kalshi_cli.views.orders import order_row

    with open_app(ctx) as desk:
        show_view(ctx, order_row(find_order(desk, order_id)), title=order_id, now=desk.clock.now())


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
    from kalshi_cli.services.orders.cancel import cancel_by_any_id
    from kalshi_cli.views.orders import CancelRow

    wanted = [line.strip() for line in sys.stdin if line.strip()][:MAX_IDS] if ids == ["-"] else ids
    with open_app(ctx) as desk:
        agreed(desk, "cancel them?", f"{desk.config.env}: {pluralize(len(wanted), 'order')}", yes=yes)
        outcomes = cancel_by_any_id(desk, wanted)
        show_list(ctx, CancelRow, outcomes, empty="no ids were given")
    unknown = [o for o in outcomes if o.is_unknown]
    unreached = [o for o in outcomes if o.is_unreached]
    failed = [o for o in outcomes if not (o.canceled or o.is_unknown or o.is_unreached)]
    if unknown:
        raise OutcomeUnknownError(
            f"{len(unknown)} of {pluralize(len(outcomes), 'cancel')} not answered", hint="kalshi order list"
        )
    if unreached:
        raise UnreachableError(
            f"{len(unreached)} of {len(outcomes)} were not canceled: {unreached[0].detail}",
            hint="they may still rest: try again, or kalshi cancel-all",
        )
    if failed:
        kind = NotFoundError if all(o.is_missing for o in failed) else ExchangeError
        raise kind(
            f"{len(failed)} of {len(outcomes)} were not canceled: {failed[0].detail}",
            hint="it may be filled or canceled already: kalshi order show ID",
        )


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
    from kalshi_cli.services.account.recovery import reconcile as look_for_unknown
    from kalshi_cli.services.account.recovery import reconciled_row
    from kalshi_cli.views.orders import ReconciledRow

    with open_app(ctx) as desk:
        false: dict[str, str] = {}

        def repaired(order: Order, text: str) -> None:
            false[order.client_order_id] = text
            desk.tell(f"repaired: order {order.client_order_id} on {order.ticker}: {text}")

        settled, open_ = look_for_unknown(desk, 60.0 if wait is None else wait, repaired)
        rows = [reconciled_row(order, false.get(order.client_order_id, "")) for order in settled]
        rows += [reconciled_row(order, false.get(order.client_order_id, ""), is_open=True) for order in open_]
        show_list(ctx, ReconciledRow, rows, empty="no order is unknown", now=desk.clock.now())
        if open_:
            last = max(row.provable_at for row in rows if row.provable_at is not None)
            ids = ", ".join(order.client_order_id for order in open_[:5])
            raise OutcomeUnknownError(
                f"still unknown, and may be live: {ids}",
                hint=f"what never arrived is proven so after {format_ts(last)}: run this again then",
            )


app.add_typer(cancel_all.app)
app.add_typer(order_changes.app)
app.add_typer(order_groups.app, name="group")
