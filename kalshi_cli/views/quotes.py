"""Views of requests for quotes and of quotes. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.markets import ComboLeg
from kalshi_cli.views.row import OutputRow, names


class RfqRow(OutputRow, frozen=True, kw_only=True):
    """A request for quotes, by `count` or by the highest `cost`."""

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
    legs: tuple[ComboLeg, ...]

    named = names(count="qty", cost="target", cost_excludes_fees="target_excludes_fees", mine="is_mine")
    shown = ("rfq_id", "ticker", "count", "cost", "status", "mine", "created")
    vital = ("ticker",)


class QuoteRow(OutputRow, frozen=True, kw_only=True):
    """A quote: the maker's bids, and the prices for accepting them.

    `buy_no` is the price of NO when the YES bid is accepted, `buy_yes` the price of YES when the NO bid is accepted.
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

    named = names(mine="is_mine")
    shown = ("buy_yes", "buy_no", "status", "quote_id", "ticker", "yes_bid", "no_bid", "accepted_side", "created")


class QuoteTradeRow(OutputRow, frozen=True, kw_only=True):
    """An order that a quote would lead to, not sent."""

    ticker: str
    outcome: str
    count: Qty
    price: Price
    cost: Money
    fee: Money
    worst_loss: Money
    status: str = "dry_run"


class NewQuoteView(OutputRow, frozen=True, kw_only=True):
    """A new quote and its bids."""

    quote_id: str
    rfq_id: str
    yes_bid: Price | None
    no_bid: Price | None


class DeletedView(OutputRow, frozen=True, kw_only=True):
    """A deleted request or quote."""

    id: str
    deleted: bool
