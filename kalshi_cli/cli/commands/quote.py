"""`kalshi quote ...`: the maker's side of requests for quotes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import (
    CommandGroup,
    duration_option,
    note_unsent,
    open_app,
    open_services,
    price_option,
    show_list,
    show_view,
)
from kalshi_cli.cli.order_options import DryRun, Yes, consented, subaccount_option
from kalshi_cli.cli.screen.output import info

app = CommandGroup(
    "Quotes you make on the requests of others: `kalshi rfq list --everyone` shows those.", default="list"
)

RfqId = Annotated[str, typer.Argument(metavar="RFQ", help="Id of the request.", show_default=False)]
QuoteId = Annotated[str, typer.Argument(metavar="QUOTE", help="Id of your quote.", show_default=False)]
OfRfq = Annotated[str, typer.Option("--rfq", metavar="RFQ", help="The request it answers, where you know it.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[str, typer.Option(metavar="STATUS", help="Only open, accepted, executed, ...")] = "",
    rfq_id: OfRfq = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
) -> None:
    """Your quotes. Open and cancelled ones are not kept for long.

    \b
    kalshi quote list
    kalshi quote list --status accepted
    """
    from kalshi_cli.views.quotes import QuoteRow

    with open_services(ctx) as kalshi:
        found = kalshi.quotes.list(rfq_id, status, is_maker=True, limit=limit)
        show_list(ctx, QuoteRow, found, empty="no quote", now=kalshi.now)


@app.command("create")
def create(
    ctx: typer.Context,
    rfq_id: RfqId,
    yes_bid: Annotated[Any, price_option("--yes-bid", text="What you pay for YES; without it, no bid.")] = None,
    no_bid: Annotated[Any, price_option("--no-bid", text="What you pay for NO; without it, no bid.")] = None,
    rest: Annotated[bool, typer.Option("--rest", help="What does not trade at once rests on the book.")] = False,
    post_only: Annotated[bool, typer.Option("--post-only", help="Cancelled rather than take from the book.")] = False,
    subaccount: Annotated[int | None, subaccount_option("Quote for this subaccount.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Bid on a request, for its whole size. A new quote replaces your earlier one.

    Every limit of the configuration applies to either bid, as to an order. You trade once you confirm.

    \b
    kalshi quote create RFQ --yes-bid 0.40 --no-bid 0.55
    kalshi quote create RFQ --no-bid 55c --post-only --dry-run
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
        made = quotes.execute(consented(resources, quotes, plan, "quote?", yes=yes))
        show_view(ctx, made, title=made.quote_id)


@app.command("confirm")
def confirm(
    ctx: typer.Context,
    quote_id: QuoteId,
    rfq_id: OfRfq = "",
    wait: Annotated[Any, duration_option("--wait", text="Follow it until it is executed or over.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Stand by a quote that was accepted: from then on it trades. Every limit of the configuration applies.

    \b
    kalshi quote confirm QUOTE --wait 30s
    """
    from kalshi_cli.services.orders.quote_service import QuoteService
    from kalshi_cli.views.quotes import QuoteTradeRow

    with open_app(ctx) as resources:
        quotes = QuoteService(resources, is_rehearsal=dry_run)
        plan = quotes.plan_confirm(quote_id, rfq_id)
        if dry_run:
            note_unsent(*plan.facts)
            show_list(ctx, QuoteTradeRow, plan.orders)
            return
        if not resources.needs_confirmation:
            info(*plan.facts)
        quote = quotes.execute(consented(resources, quotes, plan, "confirm this quote?", yes=yes))
        if wait:
            quote = quotes.follow(quote, wait)
        show_view(ctx, quote, title=quote_id, now=resources.clock.now())


@app.command("delete")
def delete(ctx: typer.Context, quote_id: QuoteId, rfq_id: OfRfq = "", yes: Yes = False) -> None:
    """Take a quote back, so that it can no longer be accepted.

    \b
    kalshi quote delete 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.quotes.plan_delete(quote_id, rfq_id)
        plan = consented(kalshi.resources, kalshi.quotes, plan, "take it back?", yes=yes)
        show_view(ctx, kalshi.quotes.execute(plan), title=quote_id)
