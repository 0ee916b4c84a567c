"""REST bodies under `/communications`, in both directions: requests for quotes, quotes, block trades."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import field

from kalshi_cli.base import units
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.markets import ComboLeg
from kalshi_cli.exchange.wire import markets, values

_Bid = Annotated[str, values.Unit(lambda text: values.outcome_price(text) or None)]
_IsMine = Annotated[bool, values.Wire(Annotated[str, values.Unit(bool)], "")]
_Target = Annotated[str | None, values.Unit(lambda text: units.parse_money(text) or None)]
_Legs = Annotated[list[markets.ComboLegBody] | None, values.Unit(lambda legs: tuple(map(markets.leg_of, legs)), ())]


class Rfq(msgspec.Struct, frozen=True, kw_only=True):
    """A request for quotes, by contracts (`qty`) or by cost (`target`), never both.

    `status` is open or closed. `creator_id` is a public id, empty if the requester is hidden. `is_mine`: the exchange
    shows private fields to their owner only.
    """

    rfq_id: str = field(name="id")
    ticker: str = field(name="market_ticker")
    qty: Annotated[Qty | None, values.Wire(str)] = field(name="contracts_fp")
    target: Annotated[Money | None, values.Wire(_Target, None)] = field(name="target_cost_dollars")
    target_excludes_fees: bool = field(name="target_cost_excludes_fees", default=False)
    status: str
    rest_remainder: bool = False
    creator_id: str = ""
    is_mine: _IsMine = field(name="creator_user_id")
    subaccount: int = field(name="creator_subaccount", default=0)
    created: values.TsOfMoment = field(name="created_ts")
    closed: values.OptionalTsOfMoment = field(name="cancelled_ts")
    reason: str = field(name="cancellation_reason", default="")
    collection: str = field(name="mve_collection_ticker", default="")
    legs: Annotated[tuple[ComboLeg, ...], values.Wire(_Legs, None)] = field(name="mve_selected_legs")


class RfqQuote(msgspec.Struct, frozen=True, kw_only=True):
    """A maker's bids for YES and for NO, each for its own size; None is a side without a bid.

    Accepting the YES bid sells YES to the maker: it buys NO at one dollar less the bid. `status` is open, accepted,
    confirmed, executed or cancelled. `order_id` is that of the reader's own order, once executed. `is_mine` is true for
    the maker.
    """

    quote_id: str = field(name="id")
    rfq_id: str
    ticker: str = field(name="market_ticker")
    yes_bid: Annotated[Price | None, values.Wire(_Bid)] = field(name="yes_bid_dollars")
    no_bid: Annotated[Price | None, values.Wire(_Bid)] = field(name="no_bid_dollars")
    yes_qty: Annotated[Qty, values.Wire(str | None, None)] = field(name="yes_contracts_fp")
    no_qty: Annotated[Qty, values.Wire(str | None, None)] = field(name="no_contracts_fp")
    target: Annotated[Money | None, values.Wire(_Target, None)] = field(name="rfq_target_cost_dollars")
    status: str
    accepted_side: Annotated[str, values.Wire(str, "")]
    rest_remainder: Annotated[bool, values.Wire(bool, False)]
    post_only: Annotated[bool, values.Wire(bool, False)]
    creator_id: Annotated[str, values.Wire(str, "")]
    rfq_creator_id: Annotated[str, values.Wire(str, "")]
    is_mine: _IsMine = field(name="creator_user_id")
    subaccount: Annotated[int, values.Wire(int, 0)] = field(name="creator_subaccount")
    order_id: Annotated[str, values.Wire(str, "")] = field(name="creator_order_id")
    reason: Annotated[str, values.Wire(str, "")] = field(name="cancellation_reason")
    created: values.TsOfMoment = field(name="created_ts")
    updated: values.TsOfMoment = field(name="updated_ts")
    accepted: values.OptionalTsOfMoment = field(name="accepted_ts")
    confirmed: values.OptionalTsOfMoment = field(name="confirmed_ts")
    executed: values.OptionalTsOfMoment = field(name="executed_ts")
    cancelled: values.OptionalTsOfMoment = field(name="cancelled_ts")

    def bid(self, side: str) -> Price | None:
        """Return the maker's bid for this side."""
        return {"yes": self.yes_bid, "no": self.no_bid}[side]

    def qty(self, side: str) -> Qty:
        """Return the size of the bid for this side."""
        return {"yes": self.yes_qty, "no": self.no_qty}[side]

    def price(self, side: str) -> Price | None:
        """Return the price that the taker of this bid pays for the other side."""
        bid = self.bid(side)
        return None if bid is None else Price(units.ONE_DOLLAR - bid)


class BlockTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade agreed outside of the exchange. The exchange does not name the other party."""

    block_id: str = field(name="id")
    ticker: str = field(name="market_ticker")
    price: Annotated[Price, values.Wire(int)] = field(name="price_centi_cents")
    qty: Annotated[Qty, values.Wire(int)] = field(name="centicount")
    maker_side: str
    status: str
    buyer_accepted: bool
    seller_accepted: bool
    order_id: Annotated[str, values.Wire(str, "")] = field(name="buyer_order_id")
    created: values.TsOfMoment = field(name="created_ts")
    expires: values.TsOfMoment = field(name="expiration_ts")
    executed: values.OptionalTsOfMoment = field(name="executed_ts")


class NewRfq(msgspec.Struct, frozen=True, kw_only=True):
    """A new request: exactly one of `qty` and `target` (dollars, in steps of $0.0001)."""

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
            raise UsageError("Give either --count or --cost", hint="for example --count 100 or --cost 25.00")
        if (self.qty if self.target is None else self.target) in (None, 0):
            raise UsageError("The request has no size", hint="--count 100 or --cost 25.00")
        if self.target is not None and self.target % 100:
            raise UsageError(f"{units.show_money(self.target)} has more than four decimals", hint="--cost 25.00")
        if self.target_excludes_fees and self.target is None:
            raise UsageError("--excludes-fees requires --cost", hint="--cost 25.00 --excludes-fees")


# -- requests -----------------------------------------------------------------------------------------------------


def rfq_body(new: NewRfq) -> bytes:
    """Return the body of `POST /communications/rfqs`."""
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
    """Return the body of `POST /communications/quotes`; a side without a bid is sent as zero."""
    body = {
        "rfq_id": rfq_id,
        "yes_bid": units.format_price(yes_bid or Price(0)),
        "no_bid": units.format_price(no_bid or Price(0)),
        "rest_remainder": rest_remainder,
        "post_only": post_only,
    }
    return values.body_of(body, subaccount=subaccount)


def accept_body(side: str) -> bytes:
    """Return the body that accepts the maker's bid for this side."""
    return values.body_of({"accepted_side": side})


def block_body(
    ticker: str, price: Price, qty: Qty, *, buyer_user_id: str, seller_user_id: str, maker_side: str, expires: Ts
) -> bytes:
    """Return the body of `POST /communications/block-trade-proposals`."""
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
    """Return the body that accepts a block trade."""
    return values.body_of({}, subaccount=subaccount)


# -- responses ----------------------------------------------------------------------------------------------------


_RFQ = values.wire_of(Rfq)
_OF_TAKER = (("rfq_creator_subaccount", int, 0), ("rfq_creator_order_id", str, ""))
_QUOTE = values.wire_of(RfqQuote, ("contracts_fp", str), *_OF_TAKER)
_BLOCK = values.wire_of(BlockTrade, ("seller_order_id", str, ""))


def _rfq(wire: Any) -> Rfq:
    is_by_cost = wire.target is not None and units.parse_money(wire.target) != 0
    qty = None if is_by_cost else values.parse_non_negative_count(wire.qty)  # "0.00" next to a cost
    return values.convert(Rfq, wire, qty=qty)


def _quote(wire: Any) -> RfqQuote:
    whole = values.parse_non_negative_count(wire.contracts_fp)
    yes, no = (whole if qty is None else values.parse_non_negative_count(qty) for qty in (wire.yes_qty, wire.no_qty))
    if wire.is_mine:
        return values.convert(RfqQuote, wire, yes_qty=yes, no_qty=no)
    subaccount, order_id = wire.rfq_creator_subaccount, wire.rfq_creator_order_id
    return values.convert(RfqQuote, wire, yes_qty=yes, no_qty=no, subaccount=subaccount, order_id=order_id)


def _block(wire: Any) -> BlockTrade:
    if not 0 < wire.price < units.ONE_DOLLAR or wire.qty <= 0:
        raise ValueError(f"impossible block trade of {wire.qty} at {wire.price}")
    return values.convert(BlockTrade, wire, order_id=wire.order_id or wire.seller_order_id)


read_rfq = values.single("rfq", _RFQ, _rfq, "an RFQ")
"""`GET /communications/rfqs/{rfq_id}`."""
read_rfqs = values.paged("rfqs", _RFQ, _rfq, "RFQs")
"""`GET /communications/rfqs`."""
read_quote = values.single("quote", _QUOTE, _quote, "a quote")
"""`GET /communications/rfqs/{rfq_id}/quotes/{quote_id}`, and the deprecated one without the RFQ."""
read_quotes = values.paged("quotes", _QUOTE, _quote, "quotes")
"""`GET /communications/quotes`."""
read_blocks = values.paged("block_trade_proposals", _BLOCK, _block, "block trades")
"""`GET /communications/block-trade-proposals`."""
read_made = values.single("id", str, str, "what was created")
"""The id of a new RFQ or quote."""
read_proposed = values.single("block_trade_proposal_id", str, str, "the proposed block trade")
"""The id of a new block trade."""
read_identity = values.single("communications_id", str, str, "the communications id")
"""`GET /communications/id`."""
