"""`kalshi quote`: the maker's side of requests for quotes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.cli.options import asks, executed, note_unsent, open_app, open_services, show_list, show_view
from kalshi_cli.cli.parameters import (
    CommandGroup,
    DryRun,
    Limit,
    Yes,
    argument,
    duration_option,
    flag,
    option,
    price_option,
    subaccount_option,
)
from kalshi_cli.cli.screen.output import info

if TYPE_CHECKING:
    from kalshi_cli.services.orders.quote_service import QuoteService
    from kalshi_cli.views.plans import QuotePlan
    from kalshi_cli.views.quotes import QuoteRow

app = CommandGroup(
    "Quote on other members' requests.\n\n"
    "Make quotes on the requests of other members. `kalshi rfq list --everyone` shows those requests.",
    default="list",
)

RfqId = Annotated[str, argument("RFQ_ID", "Request id")]
QuoteId = Annotated[str, argument("QUOTE_ID", "Quote id")]
Wait = Annotated[Any, duration_option("--wait", "Follow the quote until it is executed or has ended")]
Rest = Annotated[bool, flag("--rest", "Rest the part that does not trade at once on the order book")]
Status = Annotated[str, option("--status", "STATUS", "Filter by status: open, accepted, executed, ...")]
OfRfq = Annotated[str, option("--rfq", "RFQ_ID", "Request that the quote answers, if you know it")]


@app.command("list")
def list_(ctx: typer.Context, status: Status = "", rfq_id: OfRfq = "", limit: Limit = 50) -> None:
    """List your quotes.

    The exchange keeps open and canceled quotes only for a short time.

    \b
    kalshi quote list
    kalshi quote list --status accepted
    """
    from kalshi_cli.views.quotes import QuoteRow

    with open_services(ctx) as kalshi:
        found = kalshi.quotes.list(rfq_id, status, is_maker=True, limit=limit)
        show_list(ctx, QuoteRow, found, empty="No quotes", now=kalshi.now)


@app.command("create")
def create(
    ctx: typer.Context,
    rfq_id: RfqId,
    yes_bid: Annotated[Any, price_option("--yes-bid", "Your bid for YES; without it, no YES bid")] = None,
    no_bid: Annotated[Any, price_option("--no-bid", "Your bid for NO; without it, no NO bid")] = None,
    rest: Rest = False,
    post_only: Annotated[bool, flag("--post-only", "Cancel if it would take liquidity from the book")] = False,
    subaccount: Annotated[int | None, subaccount_option("Quote for this subaccount")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Quote on a request.

    Bid on a request, for its whole size; a new quote replaces your earlier one. Every configured risk limit applies to
    each bid, as for an order. You trade only after the other side accepts and you confirm.

    \b
    kalshi quote create RFQ_ID --yes-bid 0.40 --no-bid 0.55
    kalshi quote create RFQ_ID --no-bid 55c --post-only --dry-run
    """
    from kalshi_cli.services.orders.quote_service import QuoteService
    from kalshi_cli.views.quotes import QuoteTradeRow

    with open_app(ctx) as resources:
        quotes = QuoteService(resources, is_rehearsal=dry_run)
        plan = quotes.plan_create(rfq_id, yes_bid, no_bid, rests=rest, post_only=post_only, subaccount=subaccount)
        if dry_run:
            note_unsent(*plan.facts)
            show_list(ctx, QuoteTradeRow, plan.orders)
            return
        made = executed(resources, quotes, plan, "Send this quote?", yes=yes)
        show_view(ctx, made, title=made.quote_id)


@app.command("confirm")
def confirm(
    ctx: typer.Context,
    quote_id: QuoteId,
    rfq_id: OfRfq = "",
    wait: Wait = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Confirm an accepted quote; it then trades.

    Confirm a quote that the other side has accepted. It trades from then on, and every configured risk limit applies.

    \b
    kalshi quote confirm QUOTE_ID --wait 30s
    """
    trade_quote(
        ctx, lambda quotes: quotes.plan_confirm(quote_id, rfq_id), "Confirm this quote with real money?",
        wait=wait, yes=yes, dry_run=dry_run,
    )  # fmt: skip


def trade_quote(
    ctx: typer.Context,
    plan_of: Callable[[QuoteService], QuotePlan[QuoteRow]],
    question: str,
    *,
    wait: float | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Plan the trade of a quote, ask on prod, do it, and show the quote; `wait` is in seconds."""
    from kalshi_cli.services.orders.quote_service import QuoteService
    from kalshi_cli.views.quotes import QuoteTradeRow

    with open_app(ctx) as resources:
        quotes = QuoteService(resources, is_rehearsal=dry_run)
        plan = plan_of(quotes)
        if dry_run:
            note_unsent(*plan.facts)
            show_list(ctx, QuoteTradeRow, plan.orders)
            return
        if not asks(resources):
            info(*plan.facts)
        quote = executed(resources, quotes, plan, question, yes=yes)
        if wait:
            quote = quotes.follow(quote, wait)
        show_view(ctx, quote, title=quote.quote_id, now=resources.clock.now())


@app.command("delete")
def delete(ctx: typer.Context, quote_id: QuoteId, rfq_id: OfRfq = "", yes: Yes = False) -> None:
    """Delete a quote.

    Delete a quote, so that it can no longer be accepted.

    \b
    kalshi quote delete 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.quotes.plan_delete(quote_id, rfq_id)
        gone = executed(kalshi.resources, kalshi.quotes, plan, "Delete this quote?", yes=yes)
        show_view(ctx, gone, title=quote_id)
