"""`kalshi rfq`: the taker's side of requests for quotes. The maker's side is `kalshi quote`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.cli.commands.quote import QuoteId, Rest, RfqId, Status, Wait, trade_quote
from kalshi_cli.cli.options import executed, note_unsent, open_services, show_list, show_view
from kalshi_cli.cli.parameters import (
    CommandGroup,
    DryRun,
    Limit,
    Yes,
    argument,
    choice_option,
    count_option,
    flag,
    money_option,
    option,
    subaccount_option,
    ticker,
)
from kalshi_cli.cli.screen.output import info

app = CommandGroup(
    "Request quotes from makers and accept one.\n\n"
    "Request quotes (RFQ): ask for a size, receive quotes from makers, accept one. All combos trade this way.",
    default="list",
)

STATUSES = ("open", "closed", "all")


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[str, choice_option("--status", STATUSES, "Filter by status")] = "open",
    market: Annotated[str, option("--ticker", "TICKER", "Only this market")] = "",
    event: Annotated[str, option("--event", "EVENT", "Only markets of this event")] = "",
    everyone: Annotated[bool, flag("--everyone", "Include requests of other members")] = False,
    limit: Limit = 50,
) -> None:
    """List requests for quotes.

    List your open requests for quotes; with `--everyone`, the requests that you could quote.

    \b
    kalshi rfq list
    kalshi rfq list --everyone --ticker KXHIGHNY-26NOV21-B53.5
    """
    from kalshi_cli.views.quotes import RfqRow

    with open_services(ctx) as kalshi:
        found = kalshi.quotes.requests(status, ticker=market, event=event, is_mine=not everyone, limit=limit)
        show_list(ctx, RfqRow, found, empty="No requests", now=kalshi.now)


@app.command("show")
def show(ctx: typer.Context, rfq_id: RfqId) -> None:
    """Show one request for quotes.

    Show one request for quotes, with the legs of a combo.

    \b
    kalshi rfq show 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    with open_services(ctx) as kalshi:
        show_view(ctx, kalshi.quotes.get_request(rfq_id), title=rfq_id, now=kalshi.now)


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    count: Annotated[Any, count_option("--count", "Number of contracts")] = None,
    cost: Annotated[Any, money_option("--cost", "Amount to spend, fees included, instead of --count")] = None,
    excludes_fees: Annotated[bool, flag("--excludes-fees", "Add fees on top of --cost")] = False,
    rest: Rest = False,
    replace: Annotated[bool, flag("--replace", "Delete your open request on this market first")] = False,
    hidden: Annotated[bool, flag("--hidden", "Hide your identity from makers")] = False,
    subaccount: Annotated[int | None, subaccount_option("Trade for this subaccount")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Request quotes on a market.

    Ask makers for quotes on a market. A request is not binding: you trade only when you accept a quote.

    \b
    kalshi rfq create KXHIGHNY-26NOV21-B53.5 --count 500
    kalshi rfq create KXHIGHNY-26NOV21-B53.5 --cost 25.00 --replace
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.quotes.plan_request(
            name, count, cost,
            excludes_fees=excludes_fees, rests=rest, replaces=replace, is_hidden=hidden, subaccount=subaccount,
        )  # fmt: skip
        if dry_run:
            note_unsent()
            show_view(ctx, plan.terms, title="not sent")
            return
        made = executed(kalshi.resources, kalshi.quotes, plan, "Request quotes?", yes=yes)
        info(f"To see the quotes: kalshi rfq quotes {made.rfq_id}")
        show_view(ctx, made, title=made.rfq_id or "")


@app.command("delete")
def delete(ctx: typer.Context, rfq_id: RfqId, yes: Yes = False) -> None:
    """Delete a request and all its quotes.

    Delete a request for quotes, with all its quotes.

    \b
    kalshi rfq delete 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    with open_services(ctx) as kalshi:
        plan = kalshi.quotes.plan_delete_request(rfq_id)
        gone = executed(kalshi.resources, kalshi.quotes, plan, "Delete this request?", yes=yes)
        show_view(ctx, gone, title=rfq_id)


@app.command("quotes")
def quotes(
    ctx: typer.Context,
    rfq_id: Annotated[str, argument("[RFQ_ID]", "Request id; without it, all your requests")] = "",
    status: Status = "",
    limit: Limit = 50,
) -> None:
    """List the quotes on your requests.

    `buy_yes` and `buy_no` are the prices that you would pay.

    \b
    kalshi rfq quotes 2597b999-f887-4195-8bac-c3f97a1f2021
    """
    from kalshi_cli.views.quotes import QuoteRow

    with open_services(ctx) as kalshi:
        found = kalshi.quotes.list(rfq_id, status, limit=limit)
        show_list(ctx, QuoteRow, found, empty="No quotes yet", now=kalshi.now)


@app.command("accept")
def accept(
    ctx: typer.Context,
    rfq_id: RfqId,
    quote_id: QuoteId,
    side: Annotated[
        str, choice_option("--side", ("yes", "no"), "The maker's bid that you take; `no` means that you buy YES")
    ],
    wait: Wait = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Accept a quote.

    Accept one side of a quote: `--side no` takes the maker's NO bid, so you buy YES. Every configured risk limit
    applies, as for an order. The maker has 30 seconds to confirm (3 for a combo); then the orders enter the book after
    15 seconds (1 for a combo).

    After exit code 7, check with `kalshi rfq quotes`.

    \b
    kalshi rfq accept RFQ_ID QUOTE_ID --side no --dry-run
    kalshi rfq accept RFQ_ID QUOTE_ID --side no --wait 1m
    """
    trade_quote(
        ctx, lambda quotes: quotes.plan_accept(rfq_id, quote_id, side), "Accept this quote with real money?",  # type: ignore[arg-type]
        wait=wait, yes=yes, dry_run=dry_run,
    )  # fmt: skip
