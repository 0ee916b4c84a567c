"""Check the errors of the last hour, disabled strategies and undelivered alerts."""

from __future__ import annotations

from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, report
from kalshi_cli.core.monitoring.error_check import HaltState, disabled_strategy_breaches, errors
from kalshi_cli.services.monitoring.checks.readings import CheckData, measured
from kalshi_cli.store.sqlite_store import Store

FIRST = "errors"

HOUR_MS = 3_600_000
LATE_MS = 900_000
"""Age from which a waiting notice counts as undelivered: the longest pause between two attempts."""


def examine(readings: CheckData) -> CheckReport:
    """Report critical alerts by cause, disabled strategies, and notices that a channel did not accept."""
    store, now = readings.loop.store, readings.clock.now()
    since = Ts(now - HOUR_MS)
    measure = measured("errors", 0, readings.checks.errors)
    on_file = readings.loop.halt
    halt = HaltState(is_active=on_file.state is TradingState.ACTIVE, code=on_file.code, since=on_file.since)
    breaches, measure = errors(store.alerts(since) if store is not None else (), measure, halt=halt, now=now)
    pulse = readings.loop.pulse
    out = disabled_strategy_breaches(store.alerts(pulse.started)) if store is not None and pulse is not None else []
    untold = _untold(store, since, Ts(now - LATE_MS)) if store is not None else []
    summary = f"{pluralize(int(measure.value), 'error')} in the last hour"
    if readings.loop.who is None:
        summary = f"no trading loop is running; {summary}"
    if out:
        summary += f"; running without {', '.join(breach.subject for breach in out)}"
    if untold:
        summary += f"; undelivered alerts: {', '.join(breach.subject for breach in untold)}"
    return report("errors", summary, [*out, *breaches, *untold], [measure])


def _untold(store: Store, since: Ts, before: Ts) -> list[Breach]:
    return [
        Breach(
            subject=each.sink,
            value=f"{pluralize(each.count, 'alert')} not delivered: {each.error or 'still waiting'}",
            limit="delivered", severity="warning", code="ALERT_UNDELIVERED",
        )
        for each in store.undelivered(since, before)
    ]  # fmt: skip
