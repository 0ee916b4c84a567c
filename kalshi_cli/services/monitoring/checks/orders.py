"""Is any order in doubt, left over, a stranger's, or in a group that takes none? Are too many refused?"""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, counted, report
from kalshi_cli.core.monitoring.order_check import (
    FEWEST_SENT,
    Resting,
    foreign,
    in_doubt,
    judged,
    left_over,
    of_triggered,
    refusals,
)
from kalshi_cli.services.monitoring.checks.readings import Readings, confirmed, looked, measured
from kalshi_cli.services.monitoring.checks.records import READ, false_on_file, on_file

FIRST = "rejected_pct"

HOUR_MS = 3_600_000


def examine(readings: Readings) -> CheckReport:
    """What the exchange lists against what is on file; whatever differs has to differ in two looks in a row."""
    store = readings.store

    def look() -> list[Breach]:
        doubts = in_doubt(store.live_orders() if store is not None else (), readings.clock.now())
        return doubts + looked("resting orders", lambda: _resting(readings))

    breaches = confirmed(readings, look, *READ)
    sent = store.orders(Ts(readings.clock.now() - HOUR_MS)) if store is not None else ()
    since = readings.clock.now() - HOUR_MS
    sent = tuple(order for order in sent if order.created >= since and not order.is_foreign)
    refused, measure = refusals(sent, measured("rejected_pct", 0.0, readings.checks.rejected_pct, "%"))
    measures = [measure] if measure is not None else []
    of = f"{measure.value:g} % of the last hour's refused" if measure is not None else _too_few(sent)
    return report("orders", "; ".join([_summary(readings, breaches), of]), [*breaches, *refused], measures)


def _resting(readings: Readings) -> list[Breach]:
    """Read from the exchange first: an order is on file before it is sent."""
    differ = false_on_file(readings)
    listed, store, now = readings.resting, readings.store, readings.clock.now()

    resting = [Resting(order, on_file(store, order)) for order in listed]
    triggered = {group.group_id for group in store.groups() if group.is_triggered} if store is not None else set()
    loop = readings.loop
    is_alone = loop.who is None or not loop.is_of_account
    alone_after_ms = int(readings.config.trade.order_expiry_s * 1000) if is_alone else None
    return [
        *differ,
        *left_over(resting, now, alone_after_ms=alone_after_ms),
        *foreign(resting),
        *of_triggered(resting, triggered),
    ]


def _summary(readings: Readings, breaches: list[Breach]) -> str:
    if any(breach.severity == "unknown" for breach in breaches):
        return "resting orders could not be read"
    bad = sum(breach.severity != "note" for breach in breaches)
    resting = counted(len(readings.resting), "resting order")
    return f"{resting}, {bad} of them or of the file to be looked at" if bad else f"{resting}, none to be looked at"


def _too_few(sent: Sequence[Order]) -> str:
    text, unjudged = counted(len(sent), "order") + " in the last hour", len(sent) - len(judged(sent))
    if unjudged:
        text += f", {unjudged} of them refused by kalshi or not judged by the exchange"
    return f"{text}, fewer than the {FEWEST_SENT} that say something of refusals"
