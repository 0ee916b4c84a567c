"""Views of orders, order groups and the results of changes. Rules as in `row`."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import asdict

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.model.order_terms import BID, Side, typed_terms
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.views.formats import MaxMoney, ShortId, SignedMoney, TruncatableText
from kalshi_cli.views.row import Action, Outcome, OutputRow, names, own_amount, own_price


class OrderRow(OutputRow, frozen=True, kw_only=True):
    """An order: `price` is that of `side`; `book_side` is the side of the YES book.

    The reply to a write (`buy`, `sell`, `order place`, `batch`, `amend`, `decrease`) gives `side` and `action` as typed
    with the order. A command that reads gives the terms of the exchange: `side` is yes, and an order to buy NO at $0.62
    reads as one to sell YES at $0.38. `typed_side` is the side as typed, from the state file; null where the order was
    not typed here. The tables of `order list` and `order show` have the terms as typed, and of other orders those that
    follow from the position. `updated` is when the order last changed, such as when it ended. `fill_amount` is the
    price of all its fills together, before fees; null, as `average_fill_price`, before the fills were read.
    """

    order_id: ShortId | None
    client_order_id: str | None
    ticker: str
    side: Outcome
    action: Action
    book_side: Side
    price: Price
    count: Qty
    filled: Qty
    remaining: Qty
    status: str
    average_fill_price: Price | None
    fees: Money
    created: Ts
    expires: Ts | None
    self_trade_prevention: str | None
    cancel_on_pause: bool
    order_group_id: str | None
    subaccount: int
    exchange_index: int
    typed_side: Outcome | None = None
    updated: Ts | None = None
    fill_amount: Money | None = None

    named = names(book_side="side", count="qty")
    shown: ClassVar[tuple[str, ...]] = (
        "order_id", "ticker", "action", "side", "price", "remaining", "filled", "status", "created",
        "average_fill_price",
    )  # fmt: skip
    vital: ClassVar[tuple[str, ...]] = ("status",)


def order_row(order: Order, typed: tuple[Outcome, Action] | None = None) -> OrderRow:
    """Return the order with the outcome and action of `typed`, else as a purchase or a sale of YES."""
    side, action = typed or ("yes", "buy" if order.side is BID else "sell")
    is_read = order.fill_cost > 0  # a reply has the count alone; the cost comes with the fills, and is never zero
    return OrderRow.of(
        order,
        side=side,
        action=action,
        price=own_price(side, order.price),
        typed_side=order.outcome or None,
        average_fill_price=own_price(side, _per(order.fill_cost, order.filled)) if is_read else None,
        fill_amount=own_amount(side, order.fill_cost, order.filled) if is_read or not order.filled else None,
    )


def has_expired(order: OrderRow) -> bool:
    """Return whether the exchange ended an order at its own expiration."""
    ended = order.updated if order.status == OrderStatus.CANCELED.value else None
    return ended is not None and order.expires is not None and order.expires <= ended


class ListedOrderRow(OrderRow, frozen=True, kw_only=True):
    """An order in a list, with its effect on the position of now.

    `closing` are the remaining contracts that would close the position, if the orders with better prices filled first;
    the others of `remaining` would open one. It is null for an order that does not rest, for one on paper, and where
    the position could not be read.
    """

    closing: Qty | None = None


class LiveOrderRow(ListedOrderRow, frozen=True, kw_only=True):
    """A live order with its strategy, "" for a manual one. `closing` counts on paper too."""

    strategy: str


def _per(amount: Money, count: Qty) -> Price:
    """Return the average price, rounded to the nearest price."""
    return Price((2 * amount + count) // (2 * count))


class CancelRow(OutputRow, frozen=True, kw_only=True):
    """The result of a cancel; `code` and `detail` say why it was not confirmed."""

    order_id: ShortId
    canceled: bool
    code: str | None
    detail: TruncatableText | None

    vital = ("canceled", "detail")
    wraps = True


class CancelAllView(OutputRow, frozen=True, kw_only=True):
    """The result of the kill switch. `canceled` counts what this run canceled, `already_over` what had ended before.

    These and `remaining` are 0 if no order matched. With `is_minimum` the list of orders could not be read before the
    first cancel: it may have canceled more orders than `canceled`.
    """

    canceled: int
    is_minimum: bool
    already_over: int
    remaining: int | None
    halted: bool
    seconds: float

    screen = ("canceled", "already_over", "remaining", "halted", "seconds")


class OrderChangeView(OrderRow, frozen=True, kw_only=True):
    """An order after a change, and its values before; prices are those of `side`.

    That is the side of the new price: that of `--side`, else as typed with the order. Without a new price it is the
    side as typed with the order, and yes for an order that was not typed here.
    """

    price_before: Price
    remaining_before: Qty
    expires_before: Ts | None


class NewOrderView(OrderRow, frozen=True, kw_only=True):
    """A new order with its amounts as reviewed before it was sent, if all of it fills at its price.

    `closing` contracts of the position are sold for `proceeds`, before fees; `closing_cost` is what they cost, null if
    unknown. The other contracts are bought: `cost` is their price and `max_payout` what they can pay, before fees.
    `max_fees` are those of the whole order, and `max_loss` is `cost` with `max_fees`. `pnl` is what the filled part of
    `closing` gained, after its share of the fees; beside a part that opened a position it is the least, because the
    closed part filled first, at the best prices. It is null without such a part, or where its cost is unknown.
    """

    cost: Money
    max_fees: MaxMoney
    max_loss: MaxMoney
    max_payout: Money
    closing: Qty
    proceeds: Money
    closing_cost: Money | None = None
    pnl: SignedMoney | None = None


def closed_proceeds(order: NewOrderView) -> Money:
    """Return what the contracts that the fills closed brought at the average price, before fees; 0 before a fill."""
    if not order.filled or order.fill_amount is None:
        return Money(0)
    closed = Qty(min(order.filled, order.closing))
    share = order.fill_amount * closed // order.filled
    return Money(notional(ONE_DOLLAR, closed) - share if order.action == "buy" else share)


def closed_pnl(order: NewOrderView) -> SignedMoney | None:
    """Return the P&L of the contracts that the fills closed, after their share of the fees; None if it is unknown."""
    closed = min(order.filled, order.closing)
    if not closed or order.fill_amount is None or not order.closing_cost:
        return None
    fees, cost = -(-order.fees * closed // order.filled), order.closing_cost * closed // order.closing
    return SignedMoney(Money(closed_proceeds(order) - fees - cost))


def typed_row(order: Order, outcome: Outcome | None = None) -> OrderRow:
    """Return the order in the words of an outcome, else in those typed with it; of YES where it was not typed here."""
    terms = typed_terms(order.side, order.price, outcome or order.outcome or "yes")
    return order_row(order, (terms.side, terms.action))


def change_view(before: Order, after: Order, outcome: Outcome | None = None, status: str = "") -> OrderChangeView:
    """Return an order after a change with its values before, in the words of `outcome`, else those typed with it."""
    outcome = outcome or before.outcome or "yes"
    row = typed_row(after, outcome)
    return OrderChangeView(
        **asdict(row) | {"typed_side": before.outcome or None} | ({"status": status} if status else {}),
        price_before=own_price(outcome, before.price),
        remaining_before=before.remaining,
        expires_before=before.expires,
    )


class ReconciledRow(OrderRow, frozen=True, kw_only=True):
    """An order that was unconfirmed, or wrong on file.

    `found`: adopted, repaired, refused, never_arrived or still_unknown. `provable_at`: after this time a fresh read
    gives the proof; null once it is known. `repaired`: the false statement of an earlier reply and the truth; null
    without one.
    """

    found: str
    provable_at: Ts | None
    repaired: str | None

    shown = ("ticker", "action", "side", "price", "found", "filled", "client_order_id", "order_id")
    vital = ()
    """The columns that identify an order come first; the error also has the ids of unconfirmed orders."""


class BatchRow(OutputRow, frozen=True, kw_only=True):
    """The result of a line of a batch; `code` and `detail` say why it was not placed.

    The amounts are those of `NewOrderView`, as reviewed before the order was sent; null for a refused line. Their sums
    are the totals of the batch.
    """

    line: int
    order_id: ShortId | None
    client_order_id: str | None
    ticker: str
    side: Outcome
    action: Action
    price: Price
    count: Qty
    filled: Qty | None
    remaining: Qty | None
    status: str
    code: str | None
    detail: TruncatableText | None
    cost: Money | None = None
    max_fees: MaxMoney | None = None
    max_loss: MaxMoney | None = None
    max_payout: Money | None = None
    closing: Qty | None = None
    proceeds: Money | None = None
    closing_cost: Money | None = None

    named = names(
        line="number", ticker="ticket.ticker", side="ticket.outcome", action="ticket.action", price="ticket.price",
        count="ticket.qty",
    )  # fmt: skip
    shown = ("line", "order_id", "ticker", "action", "side", "price", "count", "status", "code", "filled")
    vital = ("status", "code")


class QueueRow(OutputRow, frozen=True, kw_only=True):
    """A resting order and the contracts that must trade before it (`ahead`); `price` is on the YES scale.

    `side` is always yes: a `book_side` of bid buys YES at this price, ask sells it.
    """

    order_id: ShortId
    client_order_id: str
    ticker: str
    side: Outcome
    book_side: Side
    price: Price
    remaining: Qty
    ahead: Qty | None
    subaccount: int
    typed_side: Outcome | None = None

    named = names(book_side="side")
    shown = ("order_id", "ticker", "book_side", "price", "remaining", "ahead")


class GroupRow(OutputRow, frozen=True, kw_only=True):
    """An order group; `limit` is in contracts matched within 15 seconds.

    `is_triggered` is from the state file, because the exchange does not list it: None for a group of no loop.
    """

    order_group_id: str
    limit: Qty | None
    is_auto_cancel_enabled: bool
    exchange_index: int
    is_triggered: bool | None

    shown = ("order_group_id", "is_triggered", "limit", "exchange_index")
    named = names(order_group_id="group_id")


class GroupView(GroupRow, frozen=True, kw_only=True):
    """An order group with its orders."""

    subaccount: int
    orders: tuple[str, ...]


class GroupActionResult(OutputRow, frozen=True, kw_only=True):
    """A change of an order group."""

    order_group_id: str
    done: str
