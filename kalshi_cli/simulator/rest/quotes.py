"""The REST routes under `/communications` (API.md section 4): RFQs, quotes, block trades.

Everyone sees RFQs; the maker and the requester see a quote; the parties see a block trade. Writes are billed to the
bucket of shard 1. The deprecated routes for a quote without its RFQ still exist.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Literal

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts, parse_money, parse_qty
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.quote_records import BlockTerms, QuoteRecord, QuoteTerms, RfqTerms
from kalshi_cli.simulator.protocol.quote_json import block_json, communications_id, quote_json, rfq_json
from kalshi_cli.simulator.protocol.replies import Json, RejectionError, existing, invalid, matching, not_found, refusing
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, Subaccount, private, route
from kalshi_cli.simulator.rest.order_writes import read_price
from kalshi_cli.simulator.trading.block_trades import BlockTrades
from kalshi_cli.simulator.trading.quotes import RfqService

SHARD = 1
"""The shard whose bucket pays for these writes."""
CHEAP = 2
"""The tokens to write, delete or read a quote."""


class _NewRfq(msgspec.Struct):
    market_ticker: str
    rest_remainder: bool
    contracts: int | None = None
    contracts_fp: str | None = None
    target_cost_centi_cents: int | None = None
    target_cost_dollars: str | None = None
    replace_existing: bool = False
    subaccount: Subaccount | None = None
    target_cost_excludes_fees: bool = False
    obscure_creator_id: bool = False


class _NewQuote(msgspec.Struct):
    rfq_id: str
    yes_bid: str
    no_bid: str
    rest_remainder: bool
    post_only: bool = False
    subaccount: Subaccount | None = None


class _Accept(msgspec.Struct):
    accepted_side: Literal["yes", "no"]


class _NewBlock(msgspec.Struct):
    buyer_user_id: str
    seller_user_id: str
    market_ticker: str
    price_centi_cents: Annotated[int, msgspec.Meta(ge=1)]
    centicount: Annotated[int, msgspec.Meta(ge=1)]
    maker_side: Literal["yes", "no"]
    expiration_ts: Annotated[datetime, msgspec.Meta(tz=True)]
    buyer_subaccount: Subaccount = 0
    seller_subaccount: Subaccount = 0


class _AcceptBlock(msgspec.Struct):
    subaccount: Subaccount | None = None


_write = partial(route, is_private=True, is_write=True, shard=SHARD)
_QUOTES, _QUOTE = "/communications/quotes", "/communications/quotes/:quote_id"
_RFQS, _SCOPED = "/communications/rfqs", "/communications/rfqs/:rfq_id/quotes/:quote_id"
_BLOCKS = "/communications/block-trade-proposals"


class QuoteRoutes(Routes):
    """Routes for RFQs, quotes and block trades."""

    def __init__(self, state: SimulatorState, quotes: RfqService) -> None:
        super().__init__(state)
        self._quotes = quotes
        self._blocks = BlockTrades(state, quotes.gateway)

    @private("/communications/id", "GetCommunicationsID")
    def identity(self, call: RouteCall) -> Json:
        """Return the public id of the caller."""
        return {"communications_id": communications_id(self._member(call).record.user_id)}

    # -- requests --

    @private(_RFQS, "GetRFQs")
    def rfqs(self, call: RouteCall) -> Json:
        """Return the RFQs."""
        query, me = call.query, call.caller
        event, ticker = query.text("event_ticker"), query.text("market_ticker")
        status, subaccount = query.one_of("status", ("open", "closed")), query.number("subaccount", most=63)
        creator, is_mine = query.text("creator_user_id"), query.one_of("user_filter", ("self",)) is not None
        owner = me if is_mine or subaccount is not None else None
        rfqs = reversed(self._state.talks.rfqs.values())
        found = (
            rfq
            for rfq in matching(rfqs, event_ticker=event, ticker=ticker, subaccount=subaccount, account=owner)
            if status in (None, "open" if rfq.closed is None else "closed") and self._is_by(creator, rfq.account)
        )
        return query.listing("rfqs", found, lambda rfq: rfq_json(rfq, self._state, me), most=100)

    @private(f"{_RFQS}/:rfq_id", "GetRFQ")
    def rfq(self, call: RouteCall) -> Json:
        """Return one RFQ."""
        return {"rfq": rfq_json(existing(self._state.talks.rfqs.get(call.path[0])), self._state, call.caller)}

    @_write("POST", _RFQS, "CreateRFQ", success=201)
    def create_rfq(self, call: RouteCall) -> Json:
        """Create an RFQ."""
        body = call.read(_NewRfq)
        terms = RfqTerms(
            ticker=body.market_ticker,
            qty=_contracts(body),
            target=_target(body),
            excludes_fees=body.target_cost_excludes_fees,
            rest_remainder=body.rest_remainder,
            is_obscured=body.obscure_creator_id,
            subaccount=call.allowed(body.subaccount, 0) or 0,
        )
        return {"id": self._quotes.ask(call.caller, terms, call.now, replaces=body.replace_existing).rfq_id}

    @_write("DELETE", f"{_RFQS}/:rfq_id", "DeleteRFQ", success=204)
    def delete_rfq(self, call: RouteCall) -> None:
        """Delete an RFQ."""
        self._quotes.withdraw(call.caller, call.path[0], call.now)

    # -- quotes --

    @private(_QUOTES, "GetQuotes")
    def quotes(self, call: RouteCall) -> Json:
        """Return the quotes that the caller made or received."""
        query, me, (low, high) = call.query, call.caller, call.query.window()
        status = query.one_of("status", ("open", "accepted", "confirmed", "executed", "cancelled"))
        maker, requester = query.text("quote_creator_user_id"), query.text("rfq_creator_user_id")
        own = me if query.one_of("user_filter", ("self",)) else None
        for_own = me if query.one_of("rfq_user_filter", ("self",)) else None
        quotes = reversed(self._state.talks.quotes.values())
        asked_by = {rfq.rfq_id: rfq.account for rfq in self._state.talks.rfqs.values()}
        found = (
            quote
            for quote in matching(quotes, status=status, rfq_id=query.text("rfq_id"), account=own)
            if me in (quote.account, asked_by[quote.rfq_id])
            and for_own in (None, asked_by[quote.rfq_id])
            and low <= quote.updated <= high
            and self._is_by(maker, quote.account)
            and self._is_by(requester, asked_by[quote.rfq_id])
        )
        return query.listing("quotes", found, lambda quote: self._shown(quote, me), usual=500, most=500)

    @private(_QUOTE, "GetQuote", cost=CHEAP)
    @private(_SCOPED, "GetRFQQuote", cost=CHEAP)
    def quote(self, call: RouteCall) -> Json:
        """Return one quote."""
        return {"quote": self._shown(self._find(call), call.caller)}

    @_write("POST", _QUOTES, "CreateQuote", success=201, cost=CHEAP)
    def create_quote(self, call: RouteCall) -> Json:
        """Create a quote."""
        body = call.read(_NewQuote)
        terms = QuoteTerms(
            rfq_id=body.rfq_id,
            yes_bid=_bid(body.yes_bid),
            no_bid=_bid(body.no_bid),
            rest_remainder=body.rest_remainder,
            post_only=body.post_only,
            subaccount=call.allowed(body.subaccount, 0) or 0,
        )
        return {"id": self._quotes.quote(call.caller, terms, call.now).quote_id}

    @_write("DELETE", _QUOTE, "DeleteQuote", cost=CHEAP, success=204)
    @_write("DELETE", _SCOPED, "DeleteRFQQuote", cost=CHEAP, success=204)
    def delete_quote(self, call: RouteCall) -> None:
        """Delete a quote."""
        self._quotes.delete_quote(call.caller, self._find(call), call.now)

    @_write("PUT", f"{_QUOTE}/accept", "AcceptQuote", success=204)
    @_write("PUT", f"{_SCOPED}/accept", "AcceptRFQQuote", success=204)
    def accept(self, call: RouteCall) -> None:
        """Accept a quote."""
        side = call.read(_Accept).accepted_side
        self._quotes.accept(call.caller, self._find(call), side, call.now)

    @_write("PUT", f"{_QUOTE}/confirm", "ConfirmQuote", success=204)
    @_write("PUT", f"{_SCOPED}/confirm", "ConfirmRFQQuote", success=204)
    def confirm(self, call: RouteCall) -> None:
        """Confirm a quote."""
        self._quotes.confirm(call.caller, self._find(call), call.now)

    def _find(self, call: RouteCall) -> QuoteRecord:
        """Return the quote of the path if the caller is its maker or requester; otherwise 404."""
        *scope, quote_id = call.path
        quote = existing(self._state.talks.quotes.get(quote_id))
        parties = (quote.account, self._state.talks.rfqs[quote.rfq_id].account)
        if (scope and scope[0] != quote.rfq_id) or call.caller not in parties:
            raise not_found()
        return quote

    def _shown(self, quote: QuoteRecord, viewer: str) -> Json:
        return quote_json(quote, self._state.talks.rfqs[quote.rfq_id], self._state, viewer)

    def _is_by(self, user_id: str | None, account: str) -> bool:
        return user_id in (None, self._state.members[account].record.user_id)

    # -- block trades --

    @private(_BLOCKS, "GetBlockTradeProposals")
    def blocks(self, call: RouteCall) -> Json:
        """Return the block trades of the caller."""
        query, me = call.query, call.caller
        blocks = reversed(self._state.talks.blocks.values())
        asked = matching(blocks, ticker=query.text("market_ticker"), status=query.text("status"))
        found = (block for block in asked if me in (block.proposer, block.buyer, block.seller))
        return query.listing("block_trade_proposals", found, lambda one: block_json(one, self._state, me), most=100)

    @_write("POST", _BLOCKS, "ProposeBlockTrade", success=201)
    def propose_block(self, call: RouteCall) -> Json:
        """Propose a block trade."""
        body = call.read(_NewBlock)
        names = {member.record.user_id: name for name, member in self._state.members.items()}
        terms = BlockTerms(
            buyer=names.get(body.buyer_user_id, ""),
            seller=names.get(body.seller_user_id, ""),
            buyer_subaccount=body.buyer_subaccount,
            seller_subaccount=body.seller_subaccount,
            ticker=body.market_ticker,
            price=Price(body.price_centi_cents),
            qty=Qty(body.centicount),
            maker_side=body.maker_side,
            expires=Ts(int(body.expiration_ts.timestamp() * 1000)),
        )
        return {"block_trade_proposal_id": self._blocks.propose(call.caller, terms, call.now).block_id}

    @_write("POST", f"{_BLOCKS}/:block_id/accept", "AcceptBlockTradeProposal", success=204)
    def accept_block(self, call: RouteCall) -> None:
        """Accept a block trade."""
        subaccount = call.allowed(call.read(_AcceptBlock).subaccount, None)
        self._blocks.accept(call.caller, call.path[0], subaccount, call.now)


def _contracts(body: _NewRfq) -> Qty | None:
    """Return the requested contracts, which two fields may name; both must agree."""
    with refusing(invalid("contracts_fp")):
        found = None if body.contracts_fp is None else parse_qty(body.contracts_fp)
    if body.contracts is None:
        return found
    if found not in (None, body.contracts * 100):
        raise invalid("contracts and contracts_fp differ")
    return Qty(body.contracts * 100)


def _target(body: _NewRfq) -> Money | None:
    """Return the target cost: in dollars with up to four decimals, or (deprecated) in hundredths of a cent."""
    if body.target_cost_dollars is None:
        return None if body.target_cost_centi_cents is None else Money(body.target_cost_centi_cents * 100)
    with refusing(invalid("target_cost_dollars")):
        target = parse_money(body.target_cost_dollars)
    if target % 100 or body.target_cost_centi_cents not in (None, target // 100):
        raise invalid("target_cost_dollars")
    return target


def _bid(text: str) -> Price:
    """Return a price, or 0 for a side that is not offered."""
    price = read_price(text)
    if price < 0:
        raise RejectionError(400, "invalid_price")
    return price
