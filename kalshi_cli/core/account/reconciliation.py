"""Reconciliation: the difference between our records and the exchange's, as messages that correct ours.

Startup and recovery use the same procedure: read the account, compare, apply the difference. An order missing from a
list proves nothing unless the list is complete and safely newer than our last request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from kalshi_cli.base.units import Qty, Ts, show_price, show_qty
from kalshi_cli.core.account.ledger import in_trading_order
from kalshi_cli.core.account.open_amends import is_amend_open
from kalshi_cli.core.account.order_index import OrderRegistry, is_id_taken
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderChanged
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.core.model.orders import DUPLICATE_ID, Fill, Order, OrderStatus

NEVER_ARRIVED_MARGIN_MS = 45_000
"""How much newer than an order the exchange's data must be before a missing order proves that it never arrived.

30 seconds for a request that is delivered late, 10 because it may leave as late as the end of its call, and 5 because
the order's time is from the local clock (with a larger clock error, trading is refused).
"""

OLDER_MS = 10_000
"""An order with our client order id that was created this much earlier than ours is another order."""


def diff(
    orders: OrderRegistry, is_booked: Callable[[Fill], bool], snapshot: messages.AccountSnapshot
) -> list[messages.Message]:
    """Return the messages that bring our records to the snapshot; applying them twice changes nothing more.

    Fills come first, so that an ended order has its fills booked. They are sorted oldest first, because a late fill
    makes the ledger recount its market.
    """
    missed = [fill for fill in reversed(snapshot.fills) if not is_booked(fill)]  # newest first
    repairs: list[messages.Message] = [messages.Filled(fill.ts, fill) for fill in in_trading_order(missed)]
    repairs += [
        messages.OrderRepaired(snapshot.ts, each.known, each.record)
        for each in disputes(orders, snapshot)
        if each.is_certain or _is_proven(each, snapshot)
    ]
    for order in snapshot.orders:
        ours = orders.get(order.client_order_id)
        if ours is not None and is_id_taken(ours) and order.created < ours.created - OLDER_MS:
            repairs.append(messages.OrderRejected(snapshot.ts, ours.client_order_id, DUPLICATE_ID))
            order = msgspec.structs.replace(order, client_order_id="")  # so that it is not matched to our order
        if _tells_of_amend(orders.by_order_id(order.order_id), snapshot):
            repairs.append(messages.AmendEnded(order.updated, order))
        repairs.append(messages.OrderState(order.updated, order))
    repairs += [messages.Settled(settlement.ts, settlement) for settlement in snapshot.settlements]
    seen = {(order.client_order_id, order.ticker, order.side) for order in snapshot.orders}
    repairs += [
        messages.OrderRejected(snapshot.ts, order.client_order_id, DUPLICATE_ID)  # another order has its id
        if is_id_taken(order)
        else messages.OrderNeverArrived(snapshot.ts, order.client_order_id)
        for order in orders.live()
        if (order.client_order_id, order.ticker, order.side) not in seen and _cannot_be_there(order, snapshot)
    ]
    return repairs


def _cannot_be_there(order: Order, snapshot: messages.AccountSnapshot) -> bool:
    """Return whether an unacknowledged order is provably not on the exchange."""
    if order.order_id or order.status not in (OrderStatus.UNKNOWN, OrderStatus.SUBMITTED):
        return False
    return snapshot.as_of > provable_at(order)


class Dispute(NamedTuple):
    """An own order that the exchange's records contradict, and its record, if any.

    `is_certain` means that the exchange id belongs to another order. Otherwise the read may be older than the response.
    """

    known: Order
    record: Order | None
    is_certain: bool = False


def disputes(orders: OrderRegistry, snapshot: messages.AccountSnapshot) -> Iterator[Dispute]:
    """Yield our orders for which a response contradicts the records of this read: another id, more filled, ended.

    The record is the one with the order's exchange id if it has our client id too; otherwise the one with our client
    id, if only the response confirmed the exchange id. An unanswered amend is no dispute.
    """
    by_id = {record.order_id: record for record in snapshot.orders}
    by_name = {record.client_order_id: record for record in reversed(snapshot.orders) if record.client_order_id}
    ours = {order.client_order_id: order for order in orders.looked_for()}
    ours |= {name: known for name in by_name if (known := orders.get(name)) is not None}
    for name, known in ours.items():
        if known.is_foreign or not known.order_id or is_amend_open(known):
            continue
        record, named = by_id.get(known.order_id), by_name.get(name)
        is_of_another = record is not None and record.client_order_id not in ("", name)
        if record is not None and not is_of_another:
            if orders.contradicts(record):
                yield Dispute(known, record)
        elif is_of_another or not orders.is_proven(known):
            is_ours = named is not None and (named.ticker, named.side) == (known.ticker, known.side)
            yield Dispute(known, named if is_ours else None, is_of_another)


def _is_proven(dispute: Dispute, snapshot: messages.AccountSnapshot) -> bool:
    """Return whether the read is late enough to end the dispute.

    An acknowledged order missing from every list proves nothing while it may still rest, because a list can lack it.
    """
    known = dispute.known
    is_late = snapshot.as_of > provable_at(known)
    if dispute.record is not None:
        return is_late
    is_over = known.tif is not TimeInForce.GTC or (known.expires is not None and snapshot.as_of > known.expires)
    return is_late and is_over and known.order_id not in {fill.order_id for fill in snapshot.fills}


def repair_effects(before: Order, after: Order, now: Ts) -> list[Effect]:
    """Return the alert and the record of a repaired order."""
    text = _difference(before, after)
    alert = AlertRaised(now, "warning", "ORDER_REPAIRED", after.client_order_id, f"{after.ticker}: {text}")
    return [alert, OrderChanged(after, text)]


def _difference(before: Order, after: Order) -> str:
    pairs = (
        ("the order id", before.order_id or "none", after.order_id or "none"),
        ("filled", show_qty(before.filled), show_qty(after.filled)),
        ("remaining", show_qty(before.remaining), show_qty(after.remaining)),
        ("price", show_price(before.price), show_price(after.price)),
        ("status", before.status.value, after.status.value),
    )
    return ", ".join(f"{what} was {was}, is {now}" for what, was, now in pairs if was != now)


def provable_at(order: Order) -> Ts:
    """Return the time after which a complete read proves the outcome of an order or amend.

    Before that, an unanswered order may still arrive; after it, the order has expired.
    """
    if is_amend_open(order) or order.order_id:
        return Ts(order.updated + NEVER_ARRIVED_MARGIN_MS)
    return Ts(max(order.created + NEVER_ARRIVED_MARGIN_MS, order.expires or 0))


def _tells_of_amend(order: Order | None, snapshot: messages.AccountSnapshot) -> bool:
    """Return whether the read proves the outcome of an open amend."""
    if order is None or not is_amend_open(order):
        return False
    return snapshot.as_of > provable_at(order)


def drift(ours: Mapping[str, Qty], snapshot: messages.AccountSnapshot) -> dict[str, tuple[Qty, Qty]]:
    """Return the markets whose positions differ, each with our position and the exchange's.

    Settled markets are in neither.
    """
    theirs = {position.ticker: position.position for position in snapshot.positions}
    held = {ticker: qty for ticker, qty in ours.items() if qty}
    return {
        ticker: (held.get(ticker, Qty(0)), theirs.get(ticker, Qty(0)))
        for ticker in sorted(held.keys() | theirs.keys())
        if held.get(ticker, 0) != theirs.get(ticker, 0)
    }


class DriftWatch:
    """A detector of positions that differ from the exchange's. It reports each difference once.

    A snapshot older than our newest fill is ignored. A difference seen once can be a fill in transit; the same
    difference in two successive snapshots is reported.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Qty, Qty]] = {}
        self._told: dict[str, tuple[Qty, Qty]] = {}

    def look(self, held: Mapping[str, Qty], snapshot: messages.AccountSnapshot, *, booked_until: Ts) -> list[Effect]:
        """Return alerts for lasting differences. `held` are our positions of the primary account."""
        if booked_until > snapshot.as_of:
            return []
        found = drift(held, snapshot)
        stays = {ticker: found[ticker] for ticker in found if self._seen.get(ticker) == found[ticker]}
        alerts: list[Effect] = []
        for ticker, (mine, theirs) in stays.items():
            if self._told.get(ticker) != (mine, theirs):
                text = f"{show_qty(mine)} in the state file, {show_qty(theirs)} on the exchange"
                alerts.append(AlertRaised(snapshot.ts, "critical", "DRIFT", ticker, text))
        self._seen, self._told = found, stays
        return alerts
