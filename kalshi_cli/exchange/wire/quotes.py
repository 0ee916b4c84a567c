"""The REST bodies under `/communications`: requests for quotes, quotes, block trades, both ways."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import field

from kalshi_cli.base import units
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.markets import ComboLeg
from kalshi_cli.exchange.wire import values
from kalshi_cli.exchange.wire.markets import ComboLegBody, leg_of
from kalshi_cli.exchange.wire.values import (
    Moment,
    OptionalTsOfMoment,
    TsOfMoment,
    Unit,
    Wire,
    convert,
    outcome_price,
    parse_non_negative_count,
)

_Target = Annotated[str | None, Unit(lambda text: units.parse_money(text) or None)]
_Legs = Annotated[list[ComboLegBody] | None, Unit(lambda legs: tuple(map(leg_of, legs)), ())]


class Rfq(msgspec.Struct, frozen=True, kw_only=True):
    """A request for quotes: by contracts (`qty`) or by what it may cost (`target`); the other one is None.

    `status` is open or closed. `creator_id` is a public id, empty where the requester hides. `is_mine`: the exchange
    shows the private fields to their owner only.
    """

    rfq_id: str = field(name="id")
    ticker: str = field(name="market_ticker")
    qty: Annotated[Qty | None, Wire(str)] = field(name="contracts_fp")
    target: Annotated[Money | None, Wire(_Target, None)] = field(name="target_cost_dollars")
    target_excludes_fees: bool = field(name="target_cost_excludes_fees", default=False)
    status: str
    rest_remainder: bool = False
    creator_id: str = ""
    is_mine: Annotated[bool, Wire(Annotated[str, Unit(bool)], "")] = field(name="creator_user_id")
    subaccount: int = field(name="creator_subaccount", default=0)
    created: TsOfMoment = field(name="created_ts")
    closed: OptionalTsOfMoment = field(name="cancelled_ts")
    reason: str = field(name="cancellation_reason", default="")
    collection: str = field(name="mve_collection_ticker", default="")
    legs: Annotated[tuple[ComboLeg, ...], Wire(_Legs, None)] = field(name="mve_selected_legs")


class RfqQuote(msgspec.Struct, frozen=True, kw_only=True):
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
        return None if bid is None else Price(units.ONE_DOLLAR - bid)


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
            raise UsageError(f"{units.show_money(self.target)} has more than four decimals", hint="--cost 25.00")
        if self.target_excludes_fees and self.target is None:
            raise UsageError("only a cost can be without fees", hint="--cost 25.00 --excludes-fees")


# -- what is sent -------------------------------------------------------------------------------------------------


def rfq_body(new: NewRfq) -> bytes:
    return values.body_of(
        {"market_ticker": new.ticker, "rest_remainder": new.rest_remainder},
        contracts_fp=None if new.qty is None else units.format_qty(new.qty),
        target_cost_dollars=None if new.target is None else units.format_price(Price(new.target // 100)),
        target_cost_excludes_fees=new.target_excludes_fees,
        replace_existing=new.replace_existing,
        obscure_creator_id=new.is_obscured,
        subaccount=new.subaccount,
    )


def quote_body(
    rfq_id: str, yes_bid: Price | None, no_bid: Price | None, *, rest_remainder: bool, post_only: bool, subaccount: int
) -> bytes:
    body = {
        "rfq_id": rfq_id,
        "yes_bid": units.format_price(yes_bid or Price(0)),
        "no_bid": units.format_price(no_bid or Price(0)),
        "rest_remainder": rest_remainder,
        "post_only": post_only,
    }
    return values.body_of(body, subaccount=subaccount)


def accept_body(side: str) -> bytes:
    return values.body_of({"accepted_side": side})


def block_body(
    ticker: str, price: Price, qty: Qty, *, buyer_user_id: str, seller_user_id: str, maker_side: str, expires: Ts
) -> bytes:
    return values.body_of(
        {
            "buyer_user_id": buyer_user_id,
            "seller_user_id": seller_user_id,
            "market_ticker": ticker,
            "price_centi_cents": price,
            "centicount": qty,
            "maker_side": maker_side,
            "expiration_ts": units.format_ts(expires),
        }
    )


def block_accept_body(subaccount: int) -> bytes:
    return values.body_of({}, subaccount=subaccount)


# -- what comes back ----------------------------------------------------------------------------------------------


class _Quote(msgspec.Struct, gc=False):
    quote_id: str = field(name="id")
    rfq_id: str
    ticker: str = field(name="market_ticker")
    contracts_fp: str
    yes_bid: str = field(name="yes_bid_dollars")
    no_bid: str = field(name="no_bid_dollars")
    created: Moment = field(name="created_ts")
    updated: Moment = field(name="updated_ts")
    status: str
    creator_id: str = ""
    rfq_creator_id: str = ""
    accepted_side: str = ""
    yes_qty: str | None = field(name="yes_contracts_fp", default=None)
    no_qty: str | None = field(name="no_contracts_fp", default=None)
    target: _Target = field(name="rfq_target_cost_dollars", default=None)
    rest_remainder: bool = False
    post_only: bool = False
    reason: str = field(name="cancellation_reason", default="")
    creator_user_id: str = ""
    creator_subaccount: int = 0
    rfq_creator_subaccount: int = 0
    creator_order_id: str = ""
    rfq_creator_order_id: str = ""
    accepted: Moment | None = field(name="accepted_ts", default=None)
    confirmed: Moment | None = field(name="confirmed_ts", default=None)
    executed: Moment | None = field(name="executed_ts", default=None)
    cancelled: Moment | None = field(name="cancelled_ts", default=None)


class _Block(msgspec.Struct, gc=False):
    block_id: str = field(name="id")
    ticker: str = field(name="market_ticker")
    price: int = field(name="price_centi_cents")
    qty: int = field(name="centicount")
    maker_side: str
    status: str
    created: Moment = field(name="created_ts")
    expires: Moment = field(name="expiration_ts")
    buyer_accepted: bool
    seller_accepted: bool
    buyer_order_id: str = ""
    seller_order_id: str = ""
    executed: Moment | None = field(name="executed_ts", default=None)


def _rfq(wire: Any) -> Rfq:
    is_by_cost = wire.target is not None and units.parse_money(wire.target) != 0
    return convert(Rfq, wire, qty=None if is_by_cost else parse_non_negative_count(wire.qty))  # "0.00" beside a cost


def _quote(wire: _Quote) -> RfqQuote:
    whole = parse_non_negative_count(wire.contracts_fp)
    is_mine = bool(wire.creator_user_id)
    return convert(
        RfqQuote,
        wire,
        yes_bid=outcome_price(wire.yes_bid) or None,
        no_bid=outcome_price(wire.no_bid) or None,
        yes_qty=whole if wire.yes_qty is None else parse_non_negative_count(wire.yes_qty),
        no_qty=whole if wire.no_qty is None else parse_non_negative_count(wire.no_qty),
        is_mine=is_mine,
        subaccount=wire.creator_subaccount if is_mine else wire.rfq_creator_subaccount,
        order_id=wire.creator_order_id if is_mine else wire.rfq_creator_order_id,
    )


def _block(wire: _Block) -> BlockTrade:
    if not 0 < wire.price < units.ONE_DOLLAR or wire.qty <= 0:
        raise ValueError(f"a block trade of {wire.qty} at {wire.price}")
    return convert(BlockTrade, wire, order_id=wire.buyer_order_id or wire.seller_order_id)


read_rfq = values.single("rfq", values.wire_of(Rfq), _rfq, "an RFQ")
"""`GET /communications/rfqs/{rfq_id}`."""
read_rfqs = values.paged("rfqs", values.wire_of(Rfq), _rfq, "RFQs")
"""`GET /communications/rfqs`."""
read_quote = values.single("quote", _Quote, _quote, "a quote")
"""`GET /communications/rfqs/{rfq_id}/quotes/{quote_id}`, and the deprecated one without the RFQ."""
read_quotes = values.paged("quotes", _Quote, _quote, "quotes")
"""`GET /communications/quotes`."""
read_blocks = values.paged("block_trade_proposals", _Block, _block, "block trades")
"""`GET /communications/block-trade-proposals`."""
read_made = values.single("id", str, str, "what was created")
"""The id of a new RFQ or quote."""
read_proposed = values.single("block_trade_proposal_id", str, str, "the proposed block trade")
"""The id of a new block trade."""
read_identity = values.single("communications_id", str, str, "the communications id")
"""`GET /communications/id`."""
