"""Requests for quotes and quotes: each write is planned first and then executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

from kalshi_cli.base.checked import check_whole
from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import Money, Price, Qty, show_money, show_qty
from kalshi_cli.exchange.wire.quotes import NewRfq
from kalshi_cli.services.orders import quotes
from kalshi_cli.services.orders.order_effect import closing_amounts
from kalshi_cli.services.orders.place import OrderPlanningService
from kalshi_cli.services.orders.quotes import QuoteTrade, deal_rows, new_rfq_row, quote_row
from kalshi_cli.services.plans import REVIEW_AGAIN_S, plan_prices
from kalshi_cli.views.plans import QuotePlan, RequestPlan
from kalshi_cli.views.quotes import DeletedView, NewQuoteView, QuoteRow, RfqRow

R = TypeVar("R")


class QuoteService(OrderPlanningService):
    """Requests for quotes and the quotes on them, as requester and as maker."""

    # -- reading --------------------------------------------------------------------------------------------------

    def requests(
        self, status: str = "open", *, ticker: str = "", event: str = "", is_mine: bool = True, limit: int | None = 50
    ) -> Iterator[RfqRow]:
        """Return requests of this account, or of all members; `status` may be "all"."""
        status_filter = None if status == "all" else status
        found = self._resources.client.rfqs(
            status_filter, ticker.upper() or None, event.upper() or None, is_mine=is_mine, limit=limit
        )
        return map(RfqRow.of, found)

    def get_request(self, rfq_id: str) -> RfqRow:
        """Return one request, of any member."""
        return RfqRow.of(self._resources.client.rfq(rfq_id))

    def list(
        self, rfq_id: str = "", status: str = "", *, is_maker: bool = False, limit: int | None = 50
    ) -> Iterator[QuoteRow]:
        """Return the quotes on requests of this account, or with `is_maker` the quotes that it made."""
        found = self._resources.client.quotes(rfq_id or None, status or None, is_maker=is_maker, limit=limit)
        return map(quote_row, found)

    def follow(self, row: QuoteRow, within_s: float) -> QuoteRow:
        """Read an accepted quote until it is executed or canceled, or until the time is over."""
        return quotes.follow(self._resources.client, self._resources.clock, row, within_s)

    # -- the requester --------------------------------------------------------------------------------------------

    def plan_request(
        self,
        ticker: str,
        count: int | None = None,
        cost: int | None = None,
        *,
        excludes_fees: bool = False,
        rests: bool = False,
        replaces: bool = False,
        is_hidden: bool = False,
        subaccount: int | None = None,
    ) -> RequestPlan[RfqRow, RfqRow]:
        """Plan to ask all makers for quotes, by `count` or by `cost`. Asking binds you to nothing."""
        client = self._resources.client
        new = NewRfq(
            ticker=ticker.upper(),
            qty=None if count is None else Qty(check_whole("count", count)),
            target=None if cost is None else Money(check_whole("cost", cost)),
            target_excludes_fees=excludes_fees,
            rest_remainder=rests,
            replace_existing=replaces,
            is_obscured=is_hidden,
            subaccount=subaccount or 0,
        )
        client.whose(subaccount)
        size = f"{show_qty(count)} contracts" if cost is None else f"{show_money(cost)} worth"
        return self._request(
            "create_rfq",
            new_rfq_row(new, "", "dry_run"),
            lambda: new_rfq_row(new, client.create_rfq(new), "open"),
            f"all makers will see a request for {size} of {new.ticker}",
        )

    def plan_delete_request(self, rfq_id: str) -> RequestPlan[dict[str, str], DeletedView]:
        """Plan to delete a request together with all quotes on it."""

        def send() -> DeletedView:
            self._resources.client.delete_rfq(rfq_id)
            return DeletedView(id=rfq_id, deleted=True)

        return self._request("delete_rfq", {"rfq_id": rfq_id}, send, f"RFQ {rfq_id}")

    def plan_accept(self, rfq_id: str, quote_id: str, side: Literal["yes", "no"]) -> QuotePlan[QuoteRow]:
        """Plan to accept one bid of a quote: accepting the NO bid buys YES. Reviewed like an order.

        RefusedError with the code of the control that refuses it.
        """
        return self._trade(
            "accept",
            lambda: quotes.propose_accept(self.entry, rfq_id, quote_id, side),
            lambda deal: quote_row(quotes.accept(self.entry, deal, side)),
        )

    # -- the maker ------------------------------------------------------------------------------------------------

    def plan_create(
        self,
        rfq_id: str,
        yes_bid: int | None = None,
        no_bid: int | None = None,
        *,
        rests: bool = False,
        post_only: bool = False,
        subaccount: int | None = None,
    ) -> QuotePlan[NewQuoteView]:
        """Plan to bid on a request, for its whole size. A new quote replaces your earlier one.

        Each bid is reviewed like an order; you trade once you confirm.
        """
        yes, no = (
            None if bid is None else Price(check_whole(name, bid))
            for name, bid in (("yes_bid", yes_bid), ("no_bid", no_bid))
        )

        def send(deal: QuoteTrade) -> NewQuoteView:
            quote_id = quotes.create(self.entry, deal, yes, no, rest=rests)
            return NewQuoteView(quote_id=quote_id, rfq_id=rfq_id, yes_bid=yes, no_bid=no)

        return self._trade(
            "create",
            lambda: quotes.propose_quote(self.entry, rfq_id, yes, no, post_only=post_only, subaccount=subaccount),
            send,
        )

    def plan_confirm(self, quote_id: str, rfq_id: str = "") -> QuotePlan[QuoteRow]:
        """Plan to confirm your quote that was accepted: from then on it trades. Reviewed like an order."""
        return self._trade(
            "confirm",
            lambda: quotes.propose_confirm(self.entry, quote_id, rfq_id),
            lambda deal: quote_row(quotes.confirm(self.entry, deal)),
        )

    def plan_delete(self, quote_id: str, rfq_id: str = "") -> RequestPlan[dict[str, str], DeletedView]:
        """Plan to delete your quote, so that it can no longer be accepted."""

        def send() -> DeletedView:
            self._resources.client.delete_quote(quote_id, rfq_id)
            return DeletedView(id=quote_id, deleted=True)

        return self._request("delete_quote", {"quote_id": quote_id, "rfq_id": rfq_id}, send, f"quote {quote_id}")

    # -- what can trade -------------------------------------------------------------------------------------------

    def _trade(
        self,
        action: Literal["create", "accept", "confirm"],
        review: Callable[[], QuoteTrade],
        send: Callable[[QuoteTrade], R],
        reviewed: QuoteTrade | None = None,
    ) -> QuotePlan[R]:
        deal = reviewed or review()

        def execute(age_s: float) -> R:
            again = review() if age_s > REVIEW_AGAIN_S else deal
            if again.tickets != deal.tickets:
                raise RefusedError(
                    "the request or the quote changed after the plan was made; nothing was sent",
                    hint="make a new plan",
                    code="PLAN_CHANGED",
                )
            return send(again)

        # A maker has seconds to confirm: only an acceptance is reviewed again after the user took time to agree.
        kept = None if action == "accept" else deal
        when = "if you confirm, " if action == "create" else ""
        return self._book.add(
            QuotePlan,
            execute,
            lambda: self._trade(action, review, send, kept),
            subject=f"the {action} of a quote",
            facts=tuple(f"{self._env}: {when}{fact}" for fact in deal.facts),
            action=action,
            orders=tuple(deal_rows(deal)),
            **_prices(deal),
        )


def _prices(deal: QuoteTrade) -> dict[str, Any]:
    """Return the amounts of the more expensive bid: a requester accepts one of them."""
    pairs = zip(deal.tickets, deal.proposals, strict=True)
    each = [
        plan_prices([(proposal.cost, proposal.fee, ticket.qty)]) | closing_amounts([proposal.effect])
        for ticket, proposal in pairs
    ]
    return {name: max(amounts[name] for amounts in each) for name in each[0]}
