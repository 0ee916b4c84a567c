"""Checks of orders: unconfirmed, left over, external, in triggered groups, or rejected too often."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from kalshi_cli.base.text import SHORT_ID_LENGTH
from kalshi_cli.base.units import Ts, format_ts, show_qty
from kalshi_cli.core.model.order_terms import own_terms
from kalshi_cli.core.model.orders import Order, OrderStatus, is_refused_here
from kalshi_cli.core.monitoring.check_report import Breach, Measure, breach, critical, warning
from kalshi_cli.core.risk.guards import UNCONFIRMED_ALERT_MS, UNCONFIRMED_STATUSES, external_origin

LATE_MS = 10_000
"""The delay that the exchange may take to expire an order, including a clock difference."""

MIN_ORDERS_SENT = 10
"""Fewer orders give no meaningful share of rejections."""


_NOT_JUDGED = frozenset(
    {"credentials", "exchange_is_paused", "rate_limited", "redirect", "trading_is_paused", "unreachable"}
)
"""Codes of orders that did not reach the exchange, or that it did not judge: rate limit, pause, key."""


class Resting(msgspec.Struct, frozen=True):
    """An order that the exchange lists, and the stored order, if any."""

    order: Order
    known: Order | None

    @property
    def is_own(self) -> bool:
        """Return whether kalshi placed the order."""
        return self.known is not None and not self.known.is_foreign


def unconfirmed_orders(live: Iterable[Order], now: Ts) -> list[Breach]:
    """Return stored orders that were sent and stayed unconfirmed for too long."""
    return [
        _breach("ORDER_UNKNOWN_LONG", order, f"unconfirmed since {format_ts(order.updated)}", "a response within 30 s")
        for order in live
        if order.status in UNCONFIRMED_STATUSES and now - order.updated > UNCONFIRMED_ALERT_MS
    ]


def orphaned_orders(resting: Iterable[Resting], now: Ts, *, alone_after_ms: int | None) -> list[Breach]:
    """Return own orders that rest past their expiration, and strategy orders without a loop after `alone_after_ms`.

    A running loop manages its own orders, and the user those placed by hand. A loop extends the expiration of its
    orders, so an old order may be about to expire: one that the exchange ends within `alone_after_ms` is no orphan.
    """
    breaches = []
    for each in resting:
        order, known = each.order, each.known
        if known is None or known.is_foreign:
            continue
        expires = order.expires if order.expires is not None else known.expires
        if expires is not None and now - expires > LATE_MS:
            text = f"resting past its expiration at {format_ts(expires)}"
            breaches.append(_breach("ORDER_STALE", order, text, "canceled or expired by then"))
        elif alone_after_ms is None or (order.expires is not None and order.expires - now <= alone_after_ms):
            continue
        elif known.strategy and now - order.created > alone_after_ms + LATE_MS:
            since = format_ts(order.created)
            text = f"of {known.strategy}, resting since {since}, no trading loop is running"
            breaches.append(_breach("ORDER_STALE", order, text, f"canceled after {alone_after_ms / 1000:g} s"))
    return breaches


def differing(records: Iterable[Resting], absent: Iterable[Order], as_of: Ts) -> list[Breach]:
    """Return own orders whose stored state contradicts the exchange's record because a response was wrong.

    The record has another id, fewer fills, or still rests; `absent` are orders that the exchange does not know. Only a
    record newer than the last report about its order counts: the state file may be ahead of the read, or behind it
    without a loop.
    """
    own = [each for each in records if each.known is not None and not each.known.is_foreign]
    found = [
        (each.known, text) for each in own if each.known is not None and (text := _difference(each.known, each.order))
    ]
    found += [(known, "is stored, but the exchange has no order with its id") for known in absent]
    return [
        _breach("ORDER_DIFFERS", known, text, "as on the exchange") for known, text in found if known.updated < as_of
    ]


def _difference(known: Order, record: Order) -> str:
    if known.order_id not in ("", record.order_id):
        return f"is stored, but is order {record.order_id} on the exchange"
    if known.filled > record.filled:
        return f"has {show_qty(known.filled)} filled in the state file, {show_qty(record.filled)} on the exchange"
    is_over = known.order_id and not known.status.is_live and record.status.is_live and record.qty <= known.qty
    return f"is {known.status.value} in the state file, but rests on the exchange" if is_over else ""


def external_orders(resting: Iterable[Resting]) -> list[Breach]:
    """Return orders that are not of this state file: placed by other programs, or by kalshi with another one."""
    return [
        _breach(code, each.order, f"resting, placed by {who}", "orders in the state file", severity="warning")
        for each in resting
        if not each.is_own
        for code, who in [external_origin(each.order.client_order_id)]
    ]


def orders_in_triggered_groups(
    resting: Sequence[Resting], triggered: Collection[str], *, is_blocking: bool = False
) -> list[Breach]:
    """Return triggered groups, and orders that still rest in one.

    With `is_blocking` a loop trades and can place nothing in them: critical, like the loop's own alert.
    """
    text, found = "triggered; it accepts no orders", warning
    if is_blocking:
        text += ", so the running loop cannot trade or exit: kalshi resume --reason TEXT --reset-groups"
        found = critical
    closed = [found("GROUP_TRIGGERED", group, text, "reset") for group in sorted(triggered)]
    inside = [each.order for each in resting if each.order.order_group_id in triggered]
    where = "resting in triggered group"
    return closed + [
        _breach("GROUP_TRIGGERED", order, f"{where} {order.order_group_id[:SHORT_ID_LENGTH]}", "canceled")
        for order in inside
    ]


def judged(sent: Iterable[Order]) -> list[Order]:
    """Return the own orders that the exchange accepted, or rejected for their terms."""
    return [
        order
        for order in sent
        if not (order.is_foreign or order.status is OrderStatus.DENIED or is_refused_here(order))
        and not (order.status is OrderStatus.REJECTED and order.code in _NOT_JUDGED)
    ]


def refusals(sent: Iterable[Order], measure: Measure) -> tuple[tuple[Breach, ...], Measure | None]:
    """Return the share of rejected orders in percent; no measure if there were too few orders."""
    reached = judged(sent)
    if len(reached) < MIN_ORDERS_SENT:
        return (), None
    refused = [order for order in reached if order.status is OrderStatus.REJECTED]
    measure = msgspec.structs.replace(measure, value=round(100 * len(refused) / len(reached), 1))
    text = f"{len(refused)} of {len(reached)} rejected"
    if refused:
        last = max(refused, key=lambda order: order.updated)
        text += f", the last {last.client_order_id}: {last.code or last.reason or 'no reason given'}"
    return measure.breach("REJECT_RATE", "orders", text), measure


def _breach(code: str, order: Order, what: str, limit: str, *, severity: str = "critical") -> Breach:
    terms = own_terms(order.side, order.price, None).text(order.qty, order.ticker)
    return breach(severity, code, order.order_id or order.client_order_id, f"{terms} {what}", limit)
