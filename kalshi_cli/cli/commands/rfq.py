"""`kalshi rfq ...`: ask for quotes, look at them, accept one. The maker's side is `kalshi quote`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.options import (
    CommandGroup,
    choice_option,
    count_option,
    duration_option,
    money_option,
    note_unsent,
    open_app,
    open_services,
    show_list,
    show_view,
    ticker,
)
from kalshi_cli.cli.order_options import DryRun, Yes, consented, subaccount_option
from kalshi_cli.cli.screen.output import info

app = CommandGroup(
    "Requests for quotes: ask for a size, get quotes from makers, accept one. All combos trade this way.",
    default="list",
)

STATUSES = ("open", "closed", "all")

RfqId = Annotated[str, typer.Argument(metavar="RFQ", help="Id of the request.", show_default=False)]
QuoteId = Annotated[str, typer.Argument(metavar="QUOTE", help="Id of the quote.", show_default=False)]


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[str, choice_option("--status", choices=STATUSES, text="Which of them.")] = "open",
    market: Annotated[str, typer.Option("--ticker", metavar="TICKER", help="Only on this market.")] = "",
    event: Annotated[str, typer.Option(metavar="EVENT", help="Only on markets of this event.")] = "",
    everyone: Annotated[bool, typer.Option("--everyone", help="Those of other members too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
) -> None:
    """Requests of your own; with --everyone those that you could quote.

    \b
    kalshi rfq list
    kalshi rfq list --everyone --ticker KXHIGHNY-26NOV21-B53.5
    """
    from kalshi_cli.views.quotes import RfqRow

    with open_services(ctx) as kalshi:
        found = kalshi.quotes.requests(status, ticker=market, event=event, is_mine=not everyone, limit=limit)
        show_list(ctx, RfqRow, found, empty="no request", now=kalshi.now)


@app.command("show")
def show(ctx: typer.Context, rfq_id: RfqId) -> None:
    """One request, with the legs of a combo.

    \b
    kalshi rfq show 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.quotes.get_request(rfq_id), title=rfq_id, now=kalshi.now)


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    count: Annotated[Any, count_option("--count", text="So many contracts.")] = None,
    cost: Annotated[Any, money_option("--cost", text="Or as many as this buys, fees included.")] = None,
    excludes_fees: Annotated[bool, typer.Option("--excludes-fees", help="Fees come on top of the cost.")] = False,
    rest: Annotated[bool, typer.Option("--rest", help="What does not trade at once rests on the book.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Delete your open request on this market.")] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Makers do not see who asks.")] = False,
    subaccount: Annotated[int | None, subaccount_option("Trade for this subaccount.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Ask makers for quotes on a market. It binds you to nothing: you trade when you accept a quote.

    \b
    kalshi rfq create KXHIGHNY-26NOV21-B53.5 --count 500
    kalshi rfq create KXHIGHNY-26NOV21-B53.5 --cost 25.00 --replace
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.quotes.plan_request(
            name,
            count,
            cost,
            excludes_fees=excludes_fees,
            rests=rest,
            replaces=replace,
            is_hidden=hidden,
            subaccount=subaccount,
        )
        if dry_run:
            note_unsent()
            show_view(ctx, plan.terms, title="not sent")
            return
        made = kalshi.quotes.execute(consented(kalshi.resources, kalshi.quotes, plan, "ask for quotes?", yes=yes))
        info(f"see the quotes: kalshi rfq quotes {made.rfq_id}")
        show_view(ctx, made, title=made.rfq_id or "")


@app.command("delete")
def delete(ctx: typer.Context, rfq_id: RfqId, yes: Yes = False) -> None:
    """Take a request back, with all its quotes.

    \b
    kalshi rfq delete 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.quotes.plan_delete_request(rfq_id)
        plan = consented(kalshi.resources, kalshi.quotes, plan, "take it back?", yes=yes)
        show_view(ctx, kalshi.quotes.execute(plan), title=rfq_id)


@app.command("quotes")
def quotes(
    ctx: typer.Context,
    rfq_id: Annotated[str, typer.Argument(metavar="[RFQ]", help="Id of the request; all, if left out.")] = "",
    status: Annotated[str, typer.Option(metavar="STATUS", help="Only open, accepted, executed, ...")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
) -> None:
    """The quotes on your requests. BUY_YES and BUY_NO are what you would pay.

    \b
    kalshi rfq quotes 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    from kalshi_cli.views.quotes import QuoteRow

    with open_services(ctx) as kalshi:
        found = kalshi.quotes.list(rfq_id, status, limit=limit)
        show_list(ctx, QuoteRow, found, empty="no quote yet", now=kalshi.now)


@app.command("accept")
def accept(
    ctx: typer.Context,
    rfq_id: RfqId,
    quote_id: QuoteId,
    side: Annotated[
        str, choice_option("--side", choices=("yes", "no"), text="The maker's bid you take: no makes you buy YES.")
    ],
    wait: Annotated[Any, duration_option("--wait", text="Follow it until it is executed or over.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Accept one bid of a quote: `--side no` takes the maker's bid for NO, and you buy YES.

    Every limit of the configuration applies, as to an order. The maker has 30 seconds to confirm (3 on a combo), then
    the orders enter the book after 15 seconds (1 on a combo). Exit 7: look with `kalshi rfq quotes`.

    \b
    kalshi rfq accept RFQ QUOTE --side no --dry-run
    kalshi rfq accept RFQ QUOTE --side no --wait 1m
    """
    from kalshi_cli.services.orders.quote_service import QuoteService
    from kalshi_cli.views.quotes import QuoteTradeRow

    with open_app(ctx) as resources:
        service = QuoteService(resources, is_rehearsal=dry_run)
        plan = service.plan_accept(rfq_id, quote_id, side)
        if dry_run:
            note_unsent(*plan.facts)
            show_list(ctx, QuoteTradeRow, plan.orders)
            return
        if not resources.needs_confirmation:
            info(*plan.facts)
        quote = service.execute(consented(resources, service, plan, "accept this quote?", yes=yes))
        if wait:
            quote = service.follow(quote, wait)
        show_view(ctx, quote, title=quote_id, now=resources.clock.now())
