"""The REST routes under `/communications` (API.md section 4): requests for quotes, quotes, block trades.

Who may see what: requests go to everybody, a quote to its maker and the requester, a block trade to its parties. Writes
are billed to the bucket of shard 1. The routes that name a quote without its RFQ are deprecated, and still there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts, parse_money, parse_price, parse_qty
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import OrderRejection
from kalshi_cli.simulator.model.quote_records import BlockRecord, QuoteRecord, RfqRecord
from kalshi_cli.simulator.protocol.quote_json import block_json, communications_id, quote_json, rfq_json
from kalshi_cli.simulator.protocol.replies import Json, flat, nested, refused
from kalshi_cli.simulator.protocol.routing import Route, RouteCall
from kalshi_cli.simulator.trading.block_trades import BlockTrades
from kalshi_cli.simulator.trading.quotes import RfqService

T = TypeVar("T")
B = TypeVar("B", bound=msgspec.Struct)

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


class QuoteRoutes:
    """Every method answers the body of its success, or None where there is none."""

    def __init__(self, state: SimulatorState, quotes: RfqService) -> None:
        self._state = state
        self._quotes = quotes
        self._blocks = BlockTrades(state, quotes.floor)

    def routes(self) -> list[Route]:
        base, quote = "/communications", "/communications/quotes"
        rfq, scoped = "/communications/rfqs", "/communications/rfqs/:rfq_id/quotes/:quote_id"
        block = "/communications/block-trade-proposals"
        get, post, put, drop = "GET", "POST", "PUT", "DELETE"
        return [
            _route(get, f"{base}/id", "GetCommunicationsID", self.identity),
            _route(get, rfq, "GetRFQs", self.rfqs),
            _write(post, rfq, "CreateRFQ", self.create_rfq, success=201),
            _route(get, f"{rfq}/:rfq_id", "GetRFQ", self.rfq),
            _write(drop, f"{rfq}/:rfq_id", "DeleteRFQ", self.delete_rfq),
            _route(get, quote, "GetQuotes", self.quotes),
            _write(post, quote, "CreateQuote", self.create_quote, success=201, cost=CHEAP),
            _route(get, f"{quote}/:quote_id", "GetQuote", self.quote, cost=CHEAP),
            _write(drop, f"{quote}/:quote_id", "DeleteQuote", self.delete_quote, cost=CHEAP),
            _write(put, f"{quote}/:quote_id/accept", "AcceptQuote", self.accept),
            _write(put, f"{quote}/:quote_id/confirm", "ConfirmQuote", self.confirm),
            _route(get, scoped, "GetRFQQuote", self.quote, cost=CHEAP),
            _write(drop, scoped, "DeleteRFQQuote", self.delete_quote, cost=CHEAP),
            _write(put, f"{scoped}/accept", "AcceptRFQQuote", self.accept),
            _write(put, f"{scoped}/confirm", "ConfirmRFQQuote", self.confirm),
            _route(get, block, "GetBlockTradeProposals", self.blocks),
            _write(post, block, "ProposeBlockTrade", self.propose_block, success=201),
            _write(post, f"{block}/:block_id/accept", "AcceptBlockTradeProposal", self.accept_block),
        ]

    def identity(self, call: RouteCall) -> Json:
        return {"communications_id": communications_id(self._state.members[_name(call)].record.user_id)}

    # -- requests --

    def rfqs(self, call: RouteCall) -> Json:
        query, me = call.query, _name(call)
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

        newest = reversed(list(filter(wanted, self._state.talks.rfqs.values())))
        found, cursor = query.page(newest, lambda rfq: -rfq.number, most=100)
        return {"rfqs": [rfq_json(rfq, self._state, me) for rfq in found], "cursor": cursor}

    def rfq(self, call: RouteCall) -> Json:
        rfq = self._state.talks.rfqs.get(call.path[0])
        if rfq is None:
            raise nested(404, "not_found")
        return {"rfq": rfq_json(rfq, self._state, _name(call))}

    def create_rfq(self, call: RouteCall) -> Json:
        body = _read(call.body, _NewRfq)
        made = self._quotes.ask(
            _name(call),
            body.market_ticker,
            call.now,
            qty=_contracts(body),
            target=_target(body),
            excludes_fees=body.target_cost_excludes_fees,
            rest_remainder=body.rest_remainder,
            is_obscured=body.obscure_creator_id,
            replaces=body.replace_existing,
            subaccount=call.allowed(body.subaccount, 0) or 0,
        )
        return {"id": _done(made).rfq_id}

    def delete_rfq(self, call: RouteCall) -> None:
        _settled(self._quotes.withdraw(_name(call), call.path[0], call.now))

    # -- quotes --

    def quotes(self, call: RouteCall) -> Json:
        query, me, (low, high) = call.query, _name(call), call.query.window()
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

        newest = reversed(list(filter(wanted, self._state.talks.quotes.values())))
        found, cursor = query.page(newest, lambda quote: -quote.number, usual=500, most=500)
        return {"quotes": [self._shown(quote, me) for quote in found], "cursor": cursor}

    def quote(self, call: RouteCall) -> Json:
        return {"quote": self._shown(self._find(call), _name(call))}

    def create_quote(self, call: RouteCall) -> Json:
        body = _read(call.body, _NewQuote)
        made = self._quotes.quote(
            _name(call),
            body.rfq_id,
            _bid(body.yes_bid),
            _bid(body.no_bid),
            call.now,
            rest_remainder=body.rest_remainder,
            post_only=body.post_only,
            subaccount=call.allowed(body.subaccount, 0) or 0,
        )
        return {"id": _done(made).quote_id}

    def delete_quote(self, call: RouteCall) -> None:
        _settled(self._quotes.delete_quote(_name(call), self._find(call), call.now))

    def accept(self, call: RouteCall) -> None:
        side = _read(call.body, _Accept).accepted_side
        _settled(self._quotes.accept(_name(call), self._find(call), side, call.now))

    def confirm(self, call: RouteCall) -> None:
        _settled(self._quotes.confirm(_name(call), self._find(call), call.now))

    def _find(self, call: RouteCall) -> QuoteRecord:
        """The quote of the path, where the caller is its maker or the requester; to others there is none."""
        *scope, quote_id = call.path
        quote = self._state.talks.quotes.get(quote_id)
        if quote is None or (scope and scope[0] != quote.rfq_id):
            raise nested(404, "not_found")
        if _name(call) not in (quote.account, self._state.talks.rfqs[quote.rfq_id].account):
            raise nested(404, "not_found")
        return quote

    def _shown(self, quote: QuoteRecord, viewer: str) -> Json:
        return quote_json(quote, self._state.talks.rfqs[quote.rfq_id], self._state, viewer)

    def _is_by(self, user_id: str | None, account: str) -> bool:
        return user_id in (None, self._state.members[account].record.user_id)

    # -- block trades --

    def blocks(self, call: RouteCall) -> Json:
        query, me = call.query, _name(call)
        ticker, status = query.text("market_ticker"), query.text("status")
        seen: Iterable[BlockRecord] = (
            block
            for block in reversed(self._state.talks.blocks.values())
            if me in (block.proposer, block.buyer, block.seller)
            and ticker in (None, block.ticker)
            and status in (None, block.status)
        )
        found, cursor = query.page(seen, lambda block: -block.number, most=100)
        return {"block_trade_proposals": [block_json(block, self._state, me) for block in found], "cursor": cursor}

    def propose_block(self, call: RouteCall) -> Json:
        body = _read(call.body, _NewBlock)
        made = self._blocks.propose(
            _name(call),
            body.market_ticker,
            Price(body.price_centi_cents),
            Qty(body.centicount),
            call.now,
            buyer=(body.buyer_user_id, body.buyer_subaccount),
            seller=(body.seller_user_id, body.seller_subaccount),
            maker_side=body.maker_side,
            expires=Ts(int(body.expiration_ts.timestamp() * 1000)),
        )
        return {"block_trade_proposal_id": _done(made).block_id}

    def accept_block(self, call: RouteCall) -> None:
        subaccount = call.allowed(_read(call.body or b"{}", _AcceptBlock).subaccount, None)
        _settled(self._blocks.accept(_name(call), call.path[0], subaccount, call.now))


def _route(
    method: str, path: str, operation: str, answer: Callable[[RouteCall], Json | None], *, cost: int = 10
) -> Route:
    return Route(method, path, operation, answer, is_private=True, cost=cost)


def _write(
    method: str,
    path: str,
    operation: str,
    answer: Callable[[RouteCall], Json | None],
    *,
    success: int = 204,
    cost: int = 10,
) -> Route:
    return Route(
        method, path, operation, answer, is_private=True, is_write=True, cost=cost, success=success, shard=SHARD
    )


def _name(call: RouteCall) -> str:
    assert call.account is not None
    return call.account


def _read(body: bytes, kind: type[B]) -> B:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise flat(f"{kind.__name__.lstrip('_')}: {error}") from error


def _done(outcome: T | OrderRejection) -> T:
    if isinstance(outcome, OrderRejection):
        raise refused(outcome)
    return outcome


def _settled(refusal: OrderRejection | None) -> None:
    if refusal is not None:
        raise refused(refusal)


def _contracts(body: _NewRfq) -> Qty | None:
    """Two names of one number; both must agree."""
    try:
        found = None if body.contracts_fp is None else parse_qty(body.contracts_fp)
    except ValueError as error:
        raise nested(400, "invalid_parameters", "contracts_fp") from error
    if body.contracts is None:
        return found
    if found not in (None, body.contracts * 100):
        raise nested(400, "invalid_parameters", "contracts and contracts_fp differ")
    return Qty(body.contracts * 100)


def _target(body: _NewRfq) -> Money | None:
    """In dollars, with up to four decimals; or, deprecated, in hundredths of a cent."""
    if body.target_cost_dollars is None:
        return None if body.target_cost_centi_cents is None else Money(body.target_cost_centi_cents * 100)
    try:
        target = parse_money(body.target_cost_dollars)
    except ValueError as error:
        raise nested(400, "invalid_parameters", "target_cost_dollars") from error
    if target % 100 or body.target_cost_centi_cents not in (None, target // 100):
        raise nested(400, "invalid_parameters", "target_cost_dollars")
    return target


def _bid(text: str) -> Price:
    """A price, or "0" for a side that is not offered."""
    try:
        price = parse_price(text)
    except ValueError as error:
        raise nested(400, "invalid_price") from error
    if price < 0:
        raise nested(400, "invalid_price")
    return price
