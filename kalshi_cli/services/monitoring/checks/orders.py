"""Check for unconfirmed, orphaned and external orders, triggered order groups, and too many rejections."""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring import order_check
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, report
from kalshi_cli.services.monitoring.checks.readings import CheckData, confirm_by_second_read, measured, run_part
from kalshi_cli.services.monitoring.checks.records import READ, false_on_file, on_file

FIRST = "rejected_pct"

HOUR_MS = 3_600_000


def examine(readings: CheckData) -> CheckReport:
    """Compare the exchange's orders with the saved ones; a difference counts if two reads in a row show it."""
    store = readings.store

    def look() -> list[Breach]:
        doubts = order_check.unconfirmed_orders(store.live_orders() if store is not None else (), readings.clock.now())
        return doubts + run_part("resting orders", lambda: _resting(readings))

    breaches = confirm_by_second_read(readings, look, *READ)
    since = Ts(readings.clock.now() - HOUR_MS)
    sent = store.orders(since) if store is not None else ()
    sent = tuple(order for order in sent if order.created >= since and not order.is_foreign)
    refused, measure = order_check.refusals(sent, measured("rejected_pct", 0.0, readings.checks.rejected_pct, "%"))
    measures = [measure] if measure is not None else []
    of = f"{measure.value:g}% of the last hour's orders rejected" if measure is not None else _too_few(sent)
    return report("orders", "; ".join([_summary(readings, breaches), of]), [*breaches, *refused], measures)


def _resting(readings: CheckData) -> list[Breach]:
    """Return the breaches of resting orders; the exchange is read first: orders are saved before they are sent."""
    differ = false_on_file(readings)
    listed, store, now = readings.resting, readings.store, readings.clock.now()

    resting = [order_check.Resting(order, on_file(store, order)) for order in listed]
    triggered = {group.group_id for group in store.groups() if group.is_triggered} if store is not None else set()
    loop = readings.loop
    is_alone = loop.who is None or not loop.is_of_account
    alone_after_ms = int(readings.config.trade.order_expiry_s * 1000) if is_alone else None
    return [
        *differ,
        *order_check.orphaned_orders(resting, now, alone_after_ms=alone_after_ms),
        *order_check.external_orders(resting),
        *order_check.orders_in_triggered_groups(
            resting, triggered, is_blocking=not is_alone and loop.halt.state is not TradingState.HALTED
        ),
    ]


def _summary(readings: CheckData, breaches: list[Breach]) -> str:
    if any(breach.severity == "unknown" for breach in breaches):
        return "resting orders could not be read"
    bad = sum(breach.severity != "note" for breach in breaches)
    resting = pluralize(len(readings.resting), "resting order")
    return f"{resting}, {pluralize(bad, 'finding')}" if bad else f"{resting}, none needs attention"


def _too_few(sent: Sequence[Order]) -> str:
    text, unjudged = pluralize(len(sent), "order") + " in the last hour", len(sent) - len(order_check.judged(sent))
    if unjudged:
        text += f", {unjudged} of them refused by kalshi or not decided by the exchange"
    return f"{text}; at least {order_check.MIN_ORDERS_SENT} are needed to judge rejections"
