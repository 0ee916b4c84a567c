"""Endpoints of requests for quotes, quotes and block trades (API.md section 5.12).

A request that could end in a trade (quote, accept, confirm) is sent once and stops at a halt; without a response the
error says where to check. Deleting is harmless twice. A quote is named with its RFQ: the exchange plans to remove the
routes without it, which are used only if the RFQ is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator

from kalshi_cli.base.errors import ExchangeError
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.base import Endpoints, missing, not_found_as, quote_part, seconds, understood
from kalshi_cli.exchange.rest.call import ANY_SUCCESS, CANCEL, CREATE, NO_CONTENT, ONCE
from kalshi_cli.exchange.wire.replies import is_taken, read_refusal

_RFQS, _QUOTES, _BLOCKS = "/communications/rfqs", "/communications/quotes", "/communications/block-trade-proposals"
RFQS_A_PAGE, QUOTES_A_PAGE = 100, 500


class RfqEndpoints(Endpoints):
    """Negotiation between members before a trade."""

    def communications_id(self) -> str:
        """Return the public id of this account, which other members see."""
        return wire.quotes.read_identity(self._get("/communications/id"))

    # -- requests --

    def rfqs(
        self,
        status: str | None = None,
        ticker: str | None = None,
        event: str | None = None,
        *,
        is_mine: bool = False,
        limit: int | None = None,
    ) -> Iterator[wire.quotes.Rfq]:
        """Return requests of all members, or one's own; `status` is open or closed."""
        params = {
            "status": status,
            "market_ticker": ticker,
            "event_ticker": event,
            "user_filter": "self" if is_mine else None,
        }
        return self._pages(_RFQS, params, wire.quotes.read_rfqs, limit, most=RFQS_A_PAGE)

    def rfq(self, rfq_id: str) -> wire.quotes.Rfq:
        """Return one request of any member."""
        with missing(f"No request {rfq_id}, or it was deleted", "kalshi rfq list --status all"):
            return wire.quotes.read_rfq(self._get(f"{_RFQS}/{quote_part(rfq_id)}"))

    def create_rfq(self, new: wire.quotes.NewRfq) -> str:
        """Create a request and return its id; it is not binding. 409 if this market has an open one."""
        subject, hint = f"creating a request on {new.ticker}", "check with `kalshi rfq list`"
        body = wire.quotes.rfq_body(new)
        with not_found_as(new.ticker):
            reply = self._rest.call(
                "POST", _RFQS, ONCE, subject=subject, body=body, answered=(*ANY_SUCCESS, 409), if_unknown=hint
            )
        refusal = read_refusal(reply)
        if is_taken(refusal.code):
            raise ExchangeError(
                f"You already have an open request on {new.ticker}",
                hint="see `kalshi rfq list`, or replace it with --replace",
                code=refusal.code,
                status=409,
            )
        with understood(subject, hint):
            return wire.quotes.read_made(reply)

    def delete_rfq(self, rfq_id: str) -> None:
        """Delete a request with its quotes; NotFoundError if it is closed already."""
        path, subject, hint = f"{_RFQS}/{quote_part(rfq_id)}", f"deleting request {rfq_id}", "see `kalshi rfq list`"
        self._rest.call("DELETE", path, CANCEL, subject=subject, if_unknown=hint, answered=NO_CONTENT)

    # -- quotes --

    def quotes(
        self,
        rfq_id: str | None = None,
        status: str | None = None,
        *,
        is_maker: bool = False,
        min_updated: Ts | None = None,
        limit: int | None = None,
    ) -> Iterator[wire.quotes.RfqQuote]:
        """Return quotes of others on own requests, or own quotes (`is_maker`)."""
        params = {
            "rfq_id": rfq_id,
            "status": status,
            "user_filter": "self" if is_maker else None,
            "rfq_user_filter": None if is_maker else "self",
            "min_ts": seconds(min_updated),
        }
        return self._pages(_QUOTES, params, wire.quotes.read_quotes, limit, most=QUOTES_A_PAGE)

    def quote(self, quote_id: str, rfq_id: str = "") -> wire.quotes.RfqQuote:
        """Return one quote, an own one or one on an own request. Open and canceled ones are not kept for long."""
        with missing(f"No quote {quote_id}, or it was deleted", "`kalshi rfq quotes RFQ` or `kalshi quote list`"):
            return wire.quotes.read_quote(self._get(_quote_path(quote_id, rfq_id)))

    def create_quote(
        self,
        rfq_id: str,
        yes_bid: Price | None,
        no_bid: Price | None,
        *,
        rest_remainder: bool = False,
        post_only: bool = False,
        subaccount: int = 0,
        reviewed: TradingState = TradingState.ACTIVE,
    ) -> str:
        """Answer a request; return the id of the quote, which replaces an earlier one. None is a side without a bid."""
        body = wire.quotes.quote_body(
            rfq_id, yes_bid, no_bid, rest_remainder=rest_remainder, post_only=post_only, subaccount=subaccount
        )
        subject, hint = f"quoting request {rfq_id}", "check with `kalshi quote list`"
        reply = self._rest.call("POST", _QUOTES, CREATE, subject=subject, body=body, if_unknown=hint, reviewed=reviewed)
        with understood(subject, hint):
            return wire.quotes.read_made(reply)

    def delete_quote(self, quote_id: str, rfq_id: str = "") -> None:
        """Delete a quote; NotFoundError if it has ended already."""
        path, subject, hint = _quote_path(quote_id, rfq_id), f"deleting quote {quote_id}", "see `kalshi quote list`"
        self._rest.call("DELETE", path, CANCEL, subject=subject, if_unknown=hint, answered=NO_CONTENT)

    def accept_quote(
        self, quote_id: str, side: str, rfq_id: str = "", reviewed: TradingState = TradingState.ACTIVE
    ) -> None:
        """Sell `side` to the maker at its bid, if it confirms. OutcomeUnknownError if it may have been accepted.

        `reviewed` is the trading state of the review: in a stricter one it is not sent, at any attempt.
        """
        path = f"{_quote_path(quote_id, rfq_id)}/accept"
        subject = f"accepting quote {quote_id}"
        hint = f"check with `kalshi rfq quotes {rfq_id or 'RFQ'}`"
        body = wire.quotes.accept_body(side)
        self._rest.call(
            "PUT", path, CREATE, subject=subject, body=body, if_unknown=hint, reviewed=reviewed, answered=NO_CONTENT
        )

    def confirm_quote(self, quote_id: str, rfq_id: str = "", reviewed: TradingState = TradingState.ACTIVE) -> None:
        """Confirm an accepted quote, which then trades. OutcomeUnknownError if it may have been confirmed.

        `reviewed` is as for an acceptance.
        """
        path = f"{_quote_path(quote_id, rfq_id)}/confirm"
        subject, hint = f"confirming quote {quote_id}", "check with `kalshi quote list`"
        self._rest.call("PUT", path, CREATE, subject=subject, if_unknown=hint, reviewed=reviewed, answered=NO_CONTENT)

    # -- block trades --

    def block_trades(
        self, ticker: str | None = None, status: str | None = None, limit: int | None = None
    ) -> Iterator[wire.quotes.BlockTrade]:
        """Return block trade proposals of this account."""
        params = {"market_ticker": ticker, "status": status}
        return self._pages(_BLOCKS, params, wire.quotes.read_blocks, limit, most=RFQS_A_PAGE)

    def propose_block_trade(
        self,
        ticker: str,
        price: Price,
        qty: Qty,
        *,
        buyer_user_id: str,
        seller_user_id: str,
        maker_side: str,
        expires: Ts,
    ) -> str:
        """Propose a trade that was agreed elsewhere, and return the id of the proposal. Both parties must accept it."""
        body = wire.quotes.block_body(
            ticker,
            price,
            qty,
            buyer_user_id=buyer_user_id,
            seller_user_id=seller_user_id,
            maker_side=maker_side,
            expires=expires,
        )
        subject, hint = f"block trade on {ticker}", f"check with `kalshi api GET {_BLOCKS}`"
        reply = self._rest.call("POST", _BLOCKS, CREATE, subject=subject, body=body, if_unknown=hint)
        with understood(subject, hint):
            return wire.quotes.read_proposed(reply)

    def accept_block_trade(self, block_id: str, subaccount: int = 0) -> None:
        """Accept a proposal; with the second acceptance it trades."""
        path, body = f"{_BLOCKS}/{quote_part(block_id)}/accept", wire.quotes.block_accept_body(subaccount)
        subject, hint = f"accepting block trade {block_id}", f"check with `kalshi api GET {_BLOCKS}`"
        self._rest.call("POST", path, CREATE, subject=subject, body=body, if_unknown=hint, answered=NO_CONTENT)


def _quote_path(quote_id: str, rfq_id: str) -> str:
    if not rfq_id:
        return f"{_QUOTES}/{quote_part(quote_id)}"
    return f"{_RFQS}/{quote_part(rfq_id)}/quotes/{quote_part(quote_id)}"
