"""Which orders need somebody: in doubt for long, left over, not made here, of a group that takes none; and refusals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from kalshi_cli.base.units import Ts, format_ts, show_price, show_qty
from kalshi_cli.core.account.order_index import DUPLICATE_ID, OWN_ID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.monitoring.check_report import Breach, Measure, breach, warning
from kalshi_cli.core.risk.guards import UNCONFIRMED_ALERT_MS, UNCONFIRMED_STATUSES

LATE_MS = 10_000
"""The exchange may take so long to let an order expire, and its clock may differ from ours."""

MIN_ORDERS_SENT = 10
"""Orders below which a share of refusals says nothing."""


_HERE = ("halted", "kill_switch", "not_sent", "read_only", "refused", "state")
"""How the codes begin of orders that this program refused after their review; its other codes are in capitals."""

_NOT_JUDGED = frozenset(
    {"credentials", "exchange_is_paused", "rate_limited", "redirect", "trading_is_paused", "unreachable"}
)
"""Codes of orders that the exchange was not reached with, or did not look at: its pace, a pause, the key."""


class Resting(msgspec.Struct, frozen=True):
    """An order as the exchange lists it, and as it is on file here; None where it is not."""

    order: Order
    known: Order | None

    @property
    def is_own(self) -> bool:
        return self.known is not None and not self.known.is_foreign


def unconfirmed_orders(live: Iterable[Order], now: Ts) -> list[Breach]:
    """Orders of the file that were sent, and of which nobody knows for long whether they are there."""
    return [
        _breach("ORDER_UNKNOWN_LONG", order, f"in doubt since {format_ts(order.updated)}", "an answer within 30 s")
        for order in live
        if order.status in UNCONFIRMED_STATUSES and now - order.updated > UNCONFIRMED_ALERT_MS
    ]


def orphaned_orders(resting: Iterable[Resting], now: Ts, *, alone_after_ms: int | None) -> list[Breach]:
    """Own orders that rest beyond their expiry; without a loop also those of strategies, after `alone_after_ms`.

    A loop looks after its own orders, and a person after what was placed by hand.
    """
    breaches = []
    for each in resting:
        order, known = each.order, each.known
        if known is None or known.is_foreign:
            continue
        expires = order.expires if order.expires is not None else known.expires
        if expires is not None and now - expires > LATE_MS:
            text = f"rests, and expired at {format_ts(expires)}"
            breaches.append(_breach("ORDER_STALE", order, text, "gone by then"))
        elif alone_after_ms is not None and known.strategy and now - order.created > alone_after_ms + LATE_MS:
            text = f"of {known.strategy}, rests since {format_ts(order.created)}, and no loop is there"
            breaches.append(_breach("ORDER_STALE", order, text, f"gone after {alone_after_ms / 1000:g} s"))
    return breaches


def differing(records: Iterable[Resting], absent: Iterable[Order], as_of: Ts) -> list[Breach]:
    """Own orders that are on file otherwise than the exchange's own records have them, because a reply was false:
    under another id, with more filled, as over while they rest; and those that the exchange does not know (`absent`).

    Only a record that is newer than the last news of its order says so: the file may be ahead of what is read, and
    without a loop it may be behind.
    """
    own = [each for each in records if each.known is not None and not each.known.is_foreign]
    found = [
        (each.known, text) for each in own if each.known is not None and (text := _difference(each.known, each.order))
    ]
    found += [(known, "is on file, and the exchange has no order under its id") for known in absent]
    return [
        _breach("ORDER_DIFFERS", known, text, "as the exchange has it")
        for known, text in found
        if known.updated < as_of
    ]


def _difference(known: Order, record: Order) -> str:
    if known.order_id not in ("", record.order_id):
        return f"is on file, and at the exchange it is order {record.order_id}"
    if known.filled > record.filled:
        return f"has {show_qty(known.filled)} filled on file, and {show_qty(record.filled)} at the exchange"
    is_over = known.order_id and not known.status.is_live and record.status.is_live and record.qty <= known.qty
    return f"is {known.status.value} on file, and rests at the exchange" if is_over else ""


def external_orders(resting: Iterable[Resting]) -> list[Breach]:
    """Orders that were not placed from here."""
    return [
        _breach(
            "OTHER_INSTANCE" if each.order.client_order_id.startswith(OWN_ID) else "FOREIGN_ACTIVITY",
            each.order, "rests, and was not placed from here", "orders of this program", severity="warning",
        )
        for each in resting
        if not each.is_own
    ]  # fmt: skip


def orders_in_triggered_groups(resting: Sequence[Resting], triggered: Collection[str]) -> list[Breach]:
    """Groups that take no orders, and orders that rest in one all the same."""
    text = "triggered: it takes no orders"
    closed = [warning("GROUP_TRIGGERED", group, text, "reset") for group in sorted(triggered)]
    inside = [each.order for each in resting if each.order.order_group_id in triggered]
    return closed + [
        _breach("GROUP_TRIGGERED", order, f"rests in group {order.order_group_id}, which is triggered", "canceled")
        for order in inside
    ]


def judged(sent: Iterable[Order]) -> list[Order]:
    """Return the own orders that the exchange took, or refused for what they are."""
    return [
        order
        for order in sent
        if not (order.is_foreign or order.status is OrderStatus.DENIED or is_refused_here(order))
        and not (order.status is OrderStatus.REJECTED and order.code in _NOT_JUDGED)
    ]


def refusals(sent: Iterable[Order], measure: Measure) -> tuple[tuple[Breach, ...], Measure | None]:
    """Return the share of judged orders that were refused, in percent; no measure where there were too few."""
    reached = judged(sent)
    if len(reached) < MIN_ORDERS_SENT:
        return (), None
    refused = [order for order in reached if order.status is OrderStatus.REJECTED]
    measure = msgspec.structs.replace(measure, value=round(100 * len(refused) / len(reached), 1))
    text = f"{len(refused)} of {len(reached)} refused"
    if refused:
        last = max(refused, key=lambda order: order.updated)
        text += f", the last {last.client_order_id}: {last.code or last.reason or 'no reason given'}"
    return measure.breach("REJECT_RATE", "orders", text), measure


def is_refused_here(order: Order) -> bool:
    """Return whether this program refused an order after its review: it was never sent."""
    is_ours = order.code.startswith(_HERE) or (order.code.isupper() and order.code != DUPLICATE_ID)
    return order.status is OrderStatus.REJECTED and is_ours


def _breach(code: str, order: Order, what: str, limit: str, *, severity: str = "critical") -> Breach:
    terms = f"{order.side.value} {show_qty(order.qty)} {order.ticker} at {show_price(order.price)}"
    return breach(severity, code, order.order_id or order.client_order_id, f"{terms} {what}", limit)
