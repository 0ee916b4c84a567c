"""The REST bodies under `/communications`: requests for quotes, quotes, block trades, both ways."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import (
    ONE_DOLLAR,
    Money,
    Price,
    Qty,
    Ts,
    format_price,
    format_qty,
    format_ts,
    parse_money,
    show_money,
)
from kalshi_cli.core.model.markets import MveLeg
from kalshi_cli.exchange.wire.markets import Leg, leg_of
from kalshi_cli.exchange.wire.values import Moment, Page, maybe_ts, no_negative, outcome_price, read, ts_of


class Rfq(msgspec.Struct, frozen=True, kw_only=True):
    """A request for quotes: by contracts (`qty`) or by what it may cost (`target`); the other one is None.

    `status` is open or closed. `creator_id` is a public id, empty where the requester hides. `is_mine`: the exchange
    shows the private fields to their owner only.
    """

    rfq_id: str
    ticker: str
    qty: Qty | None
    target: Money | None
    target_excludes_fees: bool
    status: str
    rest_remainder: bool
    creator_id: str
    is_mine: bool
    subaccount: int
    created: Ts
    closed: Ts | None
    reason: str
    collection: str
    legs: tuple[MveLeg, ...]


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a maker bids for YES and for NO, each for a size of its own; None is a side it does not bid for.

    Who accepts the YES bid sells YES to the maker: it buys NO at one dollar less the bid. `status` is open, accepted,
    confirmed, executed or cancelled. `order_id` is that of the reader's own order, once executed. `is_mine` is the
    maker's view.
    """

    quote_id: str
    rfq_id: str
    ticker: str
    yes_bid: Price | None
    no_bid: Price | None
    yes_qty: Qty
    no_qty: Qty
    target: Money | None
    status: str
    accepted_side: str
    rest_remainder: bool
    post_only: bool
    creator_id: str
    rfq_creator_id: str
    is_mine: bool
    subaccount: int
    order_id: str
    reason: str
    created: Ts
    updated: Ts
    accepted: Ts | None
    confirmed: Ts | None
    executed: Ts | None
    cancelled: Ts | None

    def bid(self, side: str) -> Price | None:
        """What the maker bids for this side."""
        return self.yes_bid if side == "yes" else self.no_bid

    def qty(self, side: str) -> Qty:
        """How many contracts that bid is good for."""
        return self.yes_qty if side == "yes" else self.no_qty

    def price(self, side: str) -> Price | None:
        """What whoever accepts this bid pays for the other side."""
        bid = self.bid(side)
        return None if bid is None else Price(ONE_DOLLAR - bid)


class BlockTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade agreed on outside. Who the other party is, the exchange does not say."""

    block_id: str
    ticker: str
    price: Price
    qty: Qty
    maker_side: str
    status: str
    buyer_accepted: bool
    seller_accepted: bool
    order_id: str
    created: Ts
    expires: Ts
    executed: Ts | None


class NewRfq(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask for: exactly one of `qty` and `target` (dollars, in steps of $0.0001)."""

    ticker: str
    qty: Qty | None = None
    target: Money | None = None
    target_excludes_fees: bool = False
    rest_remainder: bool = False
    replace_existing: bool = False
    is_obscured: bool = False
    subaccount: int = 0

    def __post_init__(self) -> None:
        if (self.qty is None) == (self.target is None):
            raise UsageError("ask by contracts or by cost", hint="either --count 100 or --cost 25.00")
        if (self.qty if self.target is None else self.target) in (None, 0):
            raise UsageError("a request for nothing", hint="--count 100 or --cost 25.00")
        if self.target is not None and self.target % 100:
            raise UsageError(f"{show_money(self.target)} has more than four decimals", hint="--cost 25.00")
        if self.target_excludes_fees and self.target is None:
            raise UsageError("only a cost can be without fees", hint="--cost 25.00 --excludes-fees")


# -- what is sent -------------------------------------------------------------------------------------------------


def rfq_body(new: NewRfq) -> bytes:
    body: dict[str, object] = {"market_ticker": new.ticker, "rest_remainder": new.rest_remainder}
    if new.qty is not None:
        body["contracts_fp"] = format_qty(new.qty)
    if new.target is not None:
        body["target_cost_dollars"] = format_price(Price(new.target // 100))
    for name, is_set in (
        ("target_cost_excludes_fees", new.target_excludes_fees),
        ("replace_existing", new.replace_existing),
        ("obscure_creator_id", new.is_obscured),
    ):
        body |= {name: True} if is_set else {}
    body |= {"subaccount": new.subaccount} if new.subaccount else {}
    return msgspec.json.encode(body)


def quote_body(
    rfq_id: str,
    yes_bid: Price | None,
    no_bid: Price | None,
    *,
    rest_remainder: bool,
    post_only: bool,
    subaccount: int,
) -> bytes:
    body: dict[str, object] = {
        "rfq_id": rfq_id,
        "yes_bid": format_price(yes_bid or Price(0)),
        "no_bid": format_price(no_bid or Price(0)),
        "rest_remainder": rest_remainder,
        "post_only": post_only,
    }
    body |= {"subaccount": subaccount} if subaccount else {}
    return msgspec.json.encode(body)


def accept_body(side: str) -> bytes:
    return msgspec.json.encode({"accepted_side": side})


def block_body(
    ticker: str, price: Price, qty: Qty, *, buyer_user_id: str, seller_user_id: str, maker_side: str, expires: Ts
) -> bytes:
    return msgspec.json.encode(
        {
            "buyer_user_id": buyer_user_id,
            "seller_user_id": seller_user_id,
            "market_ticker": ticker,
            "price_centi_cents": price,
            "centicount": qty,
            "maker_side": maker_side,
            "expiration_ts": format_ts(expires),
        }
    )


def block_accept_body(subaccount: int) -> bytes:
    return msgspec.json.encode({"subaccount": subaccount} if subaccount else {})


# -- what comes back ----------------------------------------------------------------------------------------------


class _Rfq(msgspec.Struct, gc=False):
    id: str
    market_ticker: str
    contracts_fp: str
    status: str
    created_ts: Moment
    creator_id: str = ""
    target_cost_dollars: str | None = None
    target_cost_excludes_fees: bool = False
    rest_remainder: bool = False
    cancellation_reason: str = ""
    cancelled_ts: Moment | None = None
    creator_user_id: str = ""
    creator_subaccount: int = 0
    mve_collection_ticker: str = ""
    mve_selected_legs: list[Leg] | None = None


class _RfqBody(msgspec.Struct):
    rfq: _Rfq


class _RfqsBody(msgspec.Struct):
    rfqs: list[_Rfq] | None = None
    cursor: str | None = None


class _Quote(msgspec.Struct, gc=False):
    id: str
    rfq_id: str
    market_ticker: str
    contracts_fp: str
    yes_bid_dollars: str
    no_bid_dollars: str
    created_ts: Moment
    updated_ts: Moment
    status: str
    creator_id: str = ""
    rfq_creator_id: str = ""
    accepted_side: str = ""
    yes_contracts_fp: str | None = None
    no_contracts_fp: str | None = None
    rfq_target_cost_dollars: str | None = None
    rest_remainder: bool = False
    post_only: bool = False
    cancellation_reason: str = ""
    creator_user_id: str = ""
    creator_subaccount: int = 0
    rfq_creator_subaccount: int = 0
    creator_order_id: str = ""
    rfq_creator_order_id: str = ""
    accepted_ts: Moment | None = None
    confirmed_ts: Moment | None = None
    executed_ts: Moment | None = None
    cancelled_ts: Moment | None = None


class _QuoteBody(msgspec.Struct):
    quote: _Quote


class _QuotesBody(msgspec.Struct):
    quotes: list[_Quote] | None = None
    cursor: str | None = None


class _Block(msgspec.Struct, gc=False):
    id: str
    market_ticker: str
    price_centi_cents: int
    centicount: int
    maker_side: str
    status: str
    created_ts: Moment
    expiration_ts: Moment
    buyer_accepted: bool
    seller_accepted: bool
    buyer_order_id: str = ""
    seller_order_id: str = ""
    executed_ts: Moment | None = None


class _BlocksBody(msgspec.Struct):
    block_trade_proposals: list[_Block] | None = None
    cursor: str | None = None


class _Made(msgspec.Struct):
    id: str


class _Proposed(msgspec.Struct):
    block_trade_proposal_id: str


class _Identity(msgspec.Struct):
    communications_id: str


def _rfq(wire: _Rfq) -> Rfq:
    target = None if wire.target_cost_dollars is None else parse_money(wire.target_cost_dollars)
    return Rfq(
        rfq_id=wire.id,
        ticker=wire.market_ticker,
        qty=None if target else no_negative(wire.contracts_fp),  # "0.00" beside a target cost
        target=target or None,
        target_excludes_fees=wire.target_cost_excludes_fees,
        status=wire.status,
        rest_remainder=wire.rest_remainder,
        creator_id=wire.creator_id,
        is_mine=bool(wire.creator_user_id),
        subaccount=wire.creator_subaccount,
        created=ts_of(wire.created_ts),
        closed=maybe_ts(wire.cancelled_ts),
        reason=wire.cancellation_reason,
        collection=wire.mve_collection_ticker,
        legs=tuple(map(leg_of, wire.mve_selected_legs or ())),
    )


def _quote(wire: _Quote) -> Quote:
    yes, no = outcome_price(wire.yes_bid_dollars), outcome_price(wire.no_bid_dollars)
    whole = no_negative(wire.contracts_fp)
    target = None if wire.rfq_target_cost_dollars is None else parse_money(wire.rfq_target_cost_dollars)
    is_mine = bool(wire.creator_user_id)
    return Quote(
        quote_id=wire.id,
        rfq_id=wire.rfq_id,
        ticker=wire.market_ticker,
        yes_bid=yes or None,
        no_bid=no or None,
        yes_qty=whole if wire.yes_contracts_fp is None else no_negative(wire.yes_contracts_fp),
        no_qty=whole if wire.no_contracts_fp is None else no_negative(wire.no_contracts_fp),
        target=target or None,
        status=wire.status,
        accepted_side=wire.accepted_side,
        rest_remainder=wire.rest_remainder,
        post_only=wire.post_only,
        creator_id=wire.creator_id,
        rfq_creator_id=wire.rfq_creator_id,
        is_mine=is_mine,
        subaccount=wire.creator_subaccount if is_mine else wire.rfq_creator_subaccount,
        order_id=wire.creator_order_id if is_mine else wire.rfq_creator_order_id,
        reason=wire.cancellation_reason,
        created=ts_of(wire.created_ts),
        updated=ts_of(wire.updated_ts),
        accepted=maybe_ts(wire.accepted_ts),
        confirmed=maybe_ts(wire.confirmed_ts),
        executed=maybe_ts(wire.executed_ts),
        cancelled=maybe_ts(wire.cancelled_ts),
    )


def _block(wire: _Block) -> BlockTrade:
    if not 0 < wire.price_centi_cents < ONE_DOLLAR or wire.centicount <= 0:
        raise ValueError(f"a block trade of {wire.centicount} at {wire.price_centi_cents}")
    return BlockTrade(
        block_id=wire.id,
        ticker=wire.market_ticker,
        price=Price(wire.price_centi_cents),
        qty=Qty(wire.centicount),
        maker_side=wire.maker_side,
        status=wire.status,
        buyer_accepted=wire.buyer_accepted,
        seller_accepted=wire.seller_accepted,
        order_id=wire.buyer_order_id or wire.seller_order_id,
        created=ts_of(wire.created_ts),
        expires=ts_of(wire.expiration_ts),
        executed=maybe_ts(wire.executed_ts),
    )


_rfq_body = msgspec.json.Decoder(_RfqBody)
_rfqs_body = msgspec.json.Decoder(_RfqsBody)
_quote_body = msgspec.json.Decoder(_QuoteBody)
_quotes_body = msgspec.json.Decoder(_QuotesBody)
_blocks_body = msgspec.json.Decoder(_BlocksBody)
_made = msgspec.json.Decoder(_Made)
_proposed = msgspec.json.Decoder(_Proposed)
_identity = msgspec.json.Decoder(_Identity)


def read_rfq(body: bytes) -> Rfq:
    """`GET /communications/rfqs/{rfq_id}`."""
    return read(_rfq_body, lambda wire: _rfq(wire.rfq), body, "an RFQ")


def read_rfqs(body: bytes) -> Page[Rfq]:
    """`GET /communications/rfqs`."""
    return read(_rfqs_body, lambda w: Page([_rfq(one) for one in w.rfqs or ()], w.cursor or ""), body, "RFQs")


def read_quote(body: bytes) -> Quote:
    """`GET /communications/rfqs/{rfq_id}/quotes/{quote_id}`, and the deprecated one without the RFQ."""
    return read(_quote_body, lambda wire: _quote(wire.quote), body, "a quote")


def read_quotes(body: bytes) -> Page[Quote]:
    """`GET /communications/quotes`."""
    return read(_quotes_body, lambda w: Page([_quote(one) for one in w.quotes or ()], w.cursor or ""), body, "quotes")


def read_blocks(body: bytes) -> Page[BlockTrade]:
    """`GET /communications/block-trade-proposals`."""
    return read(
        _blocks_body,
        lambda w: Page([_block(one) for one in w.block_trade_proposals or ()], w.cursor or ""),
        body,
        "block trades",
    )


def read_made(body: bytes) -> str:
    """The id of a new RFQ or quote."""
    return read(_made, lambda wire: wire.id, body, "what was created")


def read_proposed(body: bytes) -> str:
    """The id of a new block trade."""
    return read(_proposed, lambda wire: wire.block_trade_proposal_id, body, "the proposed block trade")


def read_identity(body: bytes) -> str:
    """`GET /communications/id`."""
    return read(_identity, lambda wire: wire.communications_id, body, "the communications id")
