"""What the commands that change orders print; see `rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts
from kalshi_cli.cli.rows.base import Action, OrderRow, Outcome, Row, order_row
from kalshi_cli.cli.screen.cells import Prose
from kalshi_cli.core.account.reconciliation import provable_at
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.desk.account import found_as
from kalshi_cli.desk.batch import Judged, Result
from kalshi_cli.desk.place import Ticket

if TYPE_CHECKING:
    from kalshi_cli.exchange.wire.groups import OrderGroup


class ChangeView(OrderRow, frozen=True, kw_only=True):
    """An order after a change, and what it was before; prices are those of the `side` that was typed."""

    price_before: Price
    remaining_before: Qty
    expires_before: Ts | None


def change_view(before: Order, after: Order, outcome: Outcome = "yes", status: str = "") -> ChangeView:
    is_buy = (before.side is Side.BID) == (outcome == "yes")
    row = order_row(after, (outcome, "buy" if is_buy else "sell"))
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return ChangeView(
        **fields | ({"status": status} if status else {}),
        price_before=before.price if outcome == "yes" else Price(ONE_DOLLAR - before.price),
        remaining_before=before.remaining,
        expires_before=before.expires,
    )


class ReconciledRow(OrderRow, frozen=True, kw_only=True):
    """An order that was in doubt, or on file otherwise than it is. `found`: adopted, repaired, refused, never_arrived
    or still_unknown.

    `provable_at`: after this a fresh read ends the doubt; null where it has ended. `repaired`: what a reply of the
    exchange had said falsely of the order, and what is true; null where none did.
    """

    found: str
    provable_at: Ts | None
    repaired: str | None

    shown = ("ticker", "action", "side", "price", "found", "filled", "client_order_id", "order_id")
    """What tells a person which order it is comes first; the ids of those in doubt are in the error, too."""


def reconciled_row(order: Order, repaired: str = "", *, is_open: bool = False) -> ReconciledRow:
    row, found = order_row(order), "still_unknown" if is_open else found_as(order)
    if repaired and found == "adopted":
        found = "repaired"
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    due = provable_at(order) if found == "still_unknown" else None
    return ReconciledRow(**fields, found=found, provable_at=due, repaired=repaired or None)


class BatchRow(Row, frozen=True, kw_only=True):
    """What became of one line of a batch; `code` and `detail` say why it was not placed."""

    line: int
    order_id: str | None
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
    detail: Prose | None

    shown = ("line", "ticker", "action", "side", "price", "count", "filled", "status", "code", "order_id")


def batch_row(result: Result) -> BatchRow:
    order = result.order
    return _line(result.number, result.ticket, order, result.status, result.error)


def judged_row(judged: Judged) -> BatchRow:
    """A line of a dry run."""
    return _line(judged.number, judged.ticket, None, "denied" if judged.denied else "dry_run", judged.denied)


def _line(number: int, ticket: Ticket, order: Order | None, status: str, error: KalshiError | None) -> BatchRow:
    return BatchRow(
        line=number,
        order_id=order.order_id or None if order else None,
        client_order_id=(order.client_order_id if order else ticket.client_order_id) or None,
        ticker=ticket.ticker,
        side=ticket.outcome,
        action=ticket.action,
        price=ticket.price,
        count=ticket.qty,
        filled=order.filled if order else None,
        remaining=order.remaining if order else None,
        status=status,
        code=error.code if error else None,
        detail=Prose(error.message) if error else None,
    )


class QueueRow(Row, frozen=True, kw_only=True):
    """A resting order and the contracts that must trade before it does (`ahead`); `price` on the YES scale."""

    order_id: str
    ticker: str
    book_side: Side
    price: Price
    remaining: Qty
    ahead: Qty | None


def queue_row(order: Order, ahead: Qty | None) -> QueueRow:
    return QueueRow.of(order, book_side=order.side, ahead=ahead)


class GroupRow(Row, frozen=True, kw_only=True):
    """An order group; `limit` is in contracts matched within 15 seconds."""

    order_group_id: str
    limit: Qty | None
    is_auto_cancel_enabled: bool
    exchange_index: int


def group_row(group: OrderGroup) -> GroupRow:
    return GroupRow.of(group, order_group_id=group.group_id)


class GroupView(GroupRow, frozen=True, kw_only=True):
    """One order group with its orders."""

    subaccount: int
    orders: tuple[str, ...]


def group_view(group: OrderGroup) -> GroupView:
    return GroupView.of(group, order_group_id=group.group_id, orders=group.orders or ())


class GroupDone(Row, frozen=True, kw_only=True):
    """What was done to an order group."""

    order_group_id: str
    done: str
