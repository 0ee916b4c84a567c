"""The REST routes under `/communications` (API.md section 4): requests for quotes, quotes, block trades.

Who may see what: requests go to everybody, a quote to its maker and the requester, a block trade to its parties. Writes
are billed to the bucket of shard 1. The routes that name a quote without its RFQ are deprecated, and still there.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Literal

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts, parse_money, parse_qty
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.quote_records import (
    BlockRecord,
    BlockTerms,
    QuoteRecord,
    QuoteTerms,
    RfqRecord,
    RfqTerms,
)
from kalshi_cli.simulator.protocol.quote_json import block_json, communications_id, quote_json, rfq_json
from kalshi_cli.simulator.protocol.replies import Json, RejectionError, invalid, newest, not_found, refusing
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, private, route
from kalshi_cli.simulator.rest.order_writes import read_price
from kalshi_cli.simulator.trading.block_trades import BlockTrades
from kalshi_cli.simulator.trading.quotes import RfqService

Subaccount = Annotated[int, msgspec.Meta(ge=0, le=63)]
SHARD = 1
"""Whose bucket pays for what is written here."""
CHEAP = 2
"""Tokens to write, delete or read a quote."""


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
    """Requests for quotes, quotes and block trades."""

    def __init__(self, state: SimulatorState, quotes: RfqService) -> None:
        super().__init__(state)
        self._quotes = quotes
        self._blocks = BlockTrades(state, quotes.floor)

    @private("/communications/id", "GetCommunicationsID")
    def identity(self, call: RouteCall) -> Json:
        """Return the public name of the caller."""
        return {"communications_id": communications_id(self._member(call).record.user_id)}

    # -- requests --

    @private(_RFQS, "GetRFQs")
    def rfqs(self, call: RouteCall) -> Json:
        query, me = call.query, call.caller
        event, ticker = query.text("event_ticker"), query.text("market_ticker")
        status, subaccount = query.one_of("status", ("open", "closed")), query.number("subaccount", most=63)
        creator, is_mine = query.text("creator_user_id"), query.one_of("user_filter", ("self",)) is not None

        def wanted(rfq: RfqRecord) -> bool:
            if event not in (None, rfq.event_ticker) or ticker not in (None, rfq.ticker):
                return False
            if status is not None and (status == "open") is not (rfq.closed is None):
                return False
            if (is_mine or subaccount is not None) and rfq.account != me:
                return False
            return subaccount in (None, rfq.subaccount) and self._is_by(creator, rfq.account)

        found = filter(wanted, reversed(self._state.talks.rfqs.values()))
        return query.listing("rfqs", found, lambda rfq: rfq_json(rfq, self._state, me), newest, most=100)

    @private(f"{_RFQS}/:rfq_id", "GetRFQ")
    def rfq(self, call: RouteCall) -> Json:
        rfq = self._state.talks.rfqs.get(call.path[0])
        if rfq is None:
            raise not_found()
        return {"rfq": rfq_json(rfq, self._state, call.caller)}

    @_write("POST", _RFQS, "CreateRFQ", success=201)
    def create_rfq(self, call: RouteCall) -> Json:
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
        self._quotes.withdraw(call.caller, call.path[0], call.now)

    # -- quotes --

    @private(_QUOTES, "GetQuotes")
    def quotes(self, call: RouteCall) -> Json:
        query, me, (low, high) = call.query, call.caller, call.query.window()
        status = query.one_of("status", ("open", "accepted", "confirmed", "executed", "cancelled"))
        rfq_id, maker, asker = (
            query.text("rfq_id"),
            query.text("quote_creator_user_id"),
            query.text("rfq_creator_user_id"),
        )
        is_mine = query.one_of("user_filter", ("self",)) is not None
        is_for_me = query.one_of("rfq_user_filter", ("self",)) is not None

        def wanted(quote: QuoteRecord) -> bool:
            rfq = self._state.talks.rfqs[quote.rfq_id]
            if me not in (quote.account, rfq.account) or not low <= quote.updated <= high:
                return False
            if status not in (None, quote.status) or rfq_id not in (None, quote.rfq_id):
                return False
            if (is_mine and quote.account != me) or (is_for_me and rfq.account != me):
                return False
            return self._is_by(maker, quote.account) and self._is_by(asker, rfq.account)

        found = filter(wanted, reversed(self._state.talks.quotes.values()))
        return query.listing("quotes", found, lambda quote: self._shown(quote, me), newest, usual=500, most=500)

    @private(_QUOTE, "GetQuote", cost=CHEAP)
    @private(_SCOPED, "GetRFQQuote", cost=CHEAP)
    def quote(self, call: RouteCall) -> Json:
        return {"quote": self._shown(self._find(call), call.caller)}

    @_write("POST", _QUOTES, "CreateQuote", success=201, cost=CHEAP)
    def create_quote(self, call: RouteCall) -> Json:
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
        self._quotes.delete_quote(call.caller, self._find(call), call.now)

    @_write("PUT", f"{_QUOTE}/accept", "AcceptQuote", success=204)
    @_write("PUT", f"{_SCOPED}/accept", "AcceptRFQQuote", success=204)
    def accept(self, call: RouteCall) -> None:
        side = call.read(_Accept).accepted_side
        self._quotes.accept(call.caller, self._find(call), side, call.now)

    @_write("PUT", f"{_QUOTE}/confirm", "ConfirmQuote", success=204)
    @_write("PUT", f"{_SCOPED}/confirm", "ConfirmRFQQuote", success=204)
    def confirm(self, call: RouteCall) -> None:
        self._quotes.confirm(call.caller, self._find(call), call.now)

    def _find(self, call: RouteCall) -> QuoteRecord:
        """The quote of the path, where the caller is its maker or the requester; to others there is none."""
        *scope, quote_id = call.path
        quote = self._state.talks.quotes.get(quote_id)
        if quote is None or (scope and scope[0] != quote.rfq_id):
            raise not_found()
        if call.caller not in (quote.account, self._state.talks.rfqs[quote.rfq_id].account):
            raise not_found()
        return quote

    def _shown(self, quote: QuoteRecord, viewer: str) -> Json:
        return quote_json(quote, self._state.talks.rfqs[quote.rfq_id], self._state, viewer)

    def _is_by(self, user_id: str | None, account: str) -> bool:
        return user_id in (None, self._state.members[account].record.user_id)

    # -- block trades --

    @private(_BLOCKS, "GetBlockTradeProposals")
    def blocks(self, call: RouteCall) -> Json:
        query, me = call.query, call.caller
        ticker, status = query.text("market_ticker"), query.text("status")
        found = (
            block
            for block in reversed(self._state.talks.blocks.values())
            if me in (block.proposer, block.buyer, block.seller)
            and ticker in (None, block.ticker)
            and status in (None, block.status)
        )

        def show(block: BlockRecord) -> Json:
            return block_json(block, self._state, me)

        return query.listing("block_trade_proposals", found, show, newest, most=100)

    @_write("POST", _BLOCKS, "ProposeBlockTrade", success=201)
    def propose_block(self, call: RouteCall) -> Json:
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
        subaccount = call.allowed(call.read(_AcceptBlock).subaccount, None)
        self._blocks.accept(call.caller, call.path[0], subaccount, call.now)


def _contracts(body: _NewRfq) -> Qty | None:
    """Two names of one number; both must agree."""
    with refusing(invalid("contracts_fp")):
        found = None if body.contracts_fp is None else parse_qty(body.contracts_fp)
    if body.contracts is None:
        return found
    if found not in (None, body.contracts * 100):
        raise invalid("contracts and contracts_fp differ")
    return Qty(body.contracts * 100)


def _target(body: _NewRfq) -> Money | None:
    """In dollars, with up to four decimals; or, deprecated, in hundredths of a cent."""
    if body.target_cost_dollars is None:
        return None if body.target_cost_centi_cents is None else Money(body.target_cost_centi_cents * 100)
    with refusing(invalid("target_cost_dollars")):
        target = parse_money(body.target_cost_dollars)
    if target % 100 or body.target_cost_centi_cents not in (None, target // 100):
        raise invalid("target_cost_dollars")
    return target


def _bid(text: str) -> Price:
    """A price, or "0" for a side that is not offered."""
    price = read_price(text)
    if price < 0:
        raise RejectionError(400, "invalid_price")
    return price
