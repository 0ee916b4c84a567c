"""What the commands about quotes and combos print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.markets import MveLeg
from kalshi_cli.views.formats import Prose
from kalshi_cli.views.row import Row

if TYPE_CHECKING:
    from kalshi_cli.desk.quotes import Deal
    from kalshi_cli.exchange.wire.combos import Collection, LegEvent, MadeCombo
    from kalshi_cli.exchange.wire.quotes import NewRfq, Quote, Rfq


class LegRow(Row, frozen=True, kw_only=True):
    """A leg of a combo; `settlement_value` is what its YES paid, once that is known."""

    event_ticker: str
    market_ticker: str
    side: str
    settlement_value: Price | None


def leg_rows(legs: Sequence[MveLeg]) -> tuple[LegRow, ...]:
    return tuple(LegRow.of(leg) for leg in legs)


class RfqRow(Row, frozen=True, kw_only=True):
    """A request for quotes, by `count` or by what it may `cost`."""

    rfq_id: str | None
    ticker: str
    count: Qty | None
    cost: Money | None
    cost_excludes_fees: bool
    status: str
    mine: bool
    rest_remainder: bool
    subaccount: int
    creator_id: str | None
    created: Ts | None
    closed: Ts | None
    reason: str | None
    collection: str | None
    legs: tuple[LegRow, ...]

    shown = ("rfq_id", "count", "cost", "status", "ticker", "mine", "created")


def rfq_row(rfq: Rfq) -> RfqRow:
    return RfqRow.of(
        rfq,
        count=rfq.qty,
        cost=rfq.target,
        cost_excludes_fees=rfq.target_excludes_fees,
        mine=rfq.is_mine,
        creator_id=rfq.creator_id or None,
        reason=rfq.reason or None,
        collection=rfq.collection or None,
        legs=leg_rows(rfq.legs),
    )


def new_rfq_row(new: NewRfq, rfq_id: str, status: str) -> RfqRow:
    """As it was, or would be, sent."""
    return RfqRow.of(
        new,
        rfq_id=rfq_id or None,
        count=new.qty,
        cost=new.target,
        cost_excludes_fees=new.target_excludes_fees,
        status=status,
        mine=True,
        creator_id=None,
        created=None,
        closed=None,
        reason=None,
        collection=None,
        legs=(),
    )


class QuoteRow(Row, frozen=True, kw_only=True):
    """A quote: the maker's bids, and what who accepts them pays.

    `buy_no` is the price of NO for whoever accepts the YES bid, `buy_yes` that of YES for whoever accepts the NO bid.
    `order_id` is your own order, once the quote is executed.
    """

    quote_id: str
    rfq_id: str
    ticker: str
    status: str
    yes_bid: Price | None
    yes_count: Qty | None
    no_bid: Price | None
    no_count: Qty | None
    buy_yes: Price | None
    buy_no: Price | None
    accepted_side: str | None
    mine: bool
    rest_remainder: bool
    post_only: bool
    subaccount: int
    order_id: str | None
    reason: str | None
    created: Ts
    updated: Ts
    accepted: Ts | None
    confirmed: Ts | None
    executed: Ts | None
    cancelled: Ts | None

    shown = ("buy_yes", "buy_no", "status", "quote_id", "yes_bid", "no_bid", "ticker", "accepted_side", "created")


def quote_row(quote: Quote) -> QuoteRow:
    return QuoteRow.of(
        quote,
        yes_count=quote.qty("yes") if quote.yes_bid is not None else None,
        no_count=quote.qty("no") if quote.no_bid is not None else None,
        buy_yes=quote.price("no"),
        buy_no=quote.price("yes"),
        accepted_side=quote.accepted_side or None,
        mine=quote.is_mine,
        order_id=quote.order_id or None,
        reason=quote.reason or None,
    )


class DealRow(Row, frozen=True, kw_only=True):
    """An order that a quote would lead to, not sent."""

    ticker: str
    outcome: str
    count: Qty
    price: Price
    cost: Money
    fee: Money
    worst_loss: Money
    status: str


def deal_rows(deal: Deal) -> list[DealRow]:
    return [
        DealRow(
            ticker=ticket.ticker,
            outcome=ticket.outcome,
            count=ticket.qty,
            price=ticket.price,
            cost=proposal.cost,
            fee=proposal.fee,
            worst_loss=proposal.worst_loss,
            status="dry_run",
        )
        for ticket, proposal in zip(deal.tickets, deal.proposals, strict=True)
    ]


class NewQuoteView(Row, frozen=True, kw_only=True):
    quote_id: str
    rfq_id: str
    yes_bid: Price | None
    no_bid: Price | None


class EndedView(Row, frozen=True, kw_only=True):
    """A request or a quote was taken back."""

    id: str
    deleted: bool


# -- combos -------------------------------------------------------------------------------------------------------


class CollectionRow(Row, frozen=True, kw_only=True):
    """A collection: of how many of its events a combo is made."""

    collection: str
    series_ticker: str
    title: Prose
    size_min: int
    size_max: int
    events: int
    opens: Ts
    closes: Ts

    shown = ("collection", "title", "size_min", "size_max", "events", "closes")


def collection_row(found: Collection) -> CollectionRow:
    return CollectionRow.of(found, collection=found.collection_ticker, events=len(found.events))


class LegEventRow(Row, frozen=True, kw_only=True):
    """An event whose markets can be legs; None is no limit."""

    event_ticker: str
    title: Prose | None
    yes_only: bool
    size_min: int | None
    size_max: int | None

    shown = ("event_ticker", "title", "size_max", "yes_only")


class CollectionView(Row, frozen=True, kw_only=True):
    collection: str
    series_ticker: str
    title: str
    description: str
    function: str
    opens: Ts
    closes: Ts
    size_min: int
    size_max: int
    is_ordered: bool
    exchange_index: int
    price_structure: str
    events: tuple[LegEventRow, ...]


def collection_view(found: Collection, titles: Mapping[str, str]) -> CollectionView:
    return CollectionView.of(
        found,
        collection=found.collection_ticker,
        events=tuple(_leg_event(one, titles.get(one.ticker)) for one in found.events),
    )


def _leg_event(event: LegEvent, title: str | None) -> LegEventRow:
    return LegEventRow.of(
        event,
        event_ticker=event.ticker,
        title=Prose(title) if title else None,
        yes_only=event.is_yes_only,
    )


class ComboView(Row, frozen=True, kw_only=True):
    """The market of some legs."""

    ticker: str
    event_ticker: str
    collection: str
    title: str
    status: str
    exchange_index: int | None
    close_time: Ts | None
    legs: tuple[LegRow, ...]


def combo_view(collection: str, made: MadeCombo, legs: Sequence[MveLeg]) -> ComboView:
    market = made.market
    return ComboView(
        ticker=made.market_ticker,
        event_ticker=made.event_ticker,
        collection=collection,
        title="" if market is None else market.title,
        status="" if market is None else market.status.value,
        exchange_index=None if market is None else market.exchange_index,
        close_time=None if market is None else market.close_time,
        legs=leg_rows(legs),
    )
