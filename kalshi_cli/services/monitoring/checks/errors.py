"""Check the errors of the last hour, disabled strategies and undelivered alerts."""

from __future__ import annotations

from collections.abc import Collection

from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, report, warning
from kalshi_cli.core.monitoring.error_check import STRATEGY_OUT, HaltState, disabled_strategy_breaches, errors
from kalshi_cli.services.monitoring.alerting import FAILING_AFTER
from kalshi_cli.services.monitoring.checks.readings import CheckData, measured
from kalshi_cli.store.sqlite_store import Store

FIRST = "errors"

HOUR_MS = 3_600_000
LATE_MS = 900_000
"""Age from which a waiting notice counts as undelivered: the longest pause between two attempts."""

CRITICAL_LATE_MS = 60_000
"""Age from which a critical notice that no channel accepted counts as undelivered."""


def examine(readings: CheckData) -> CheckReport:
    """Report critical alerts by cause, disabled strategies, and notices that a channel did not accept."""
    store, now = readings.loop.store, readings.clock.now()
    since = Ts(now - HOUR_MS)
    measure = measured("errors", 0, readings.checks.errors)
    on_file = readings.loop.halt
    resumed = store.alert_book.last_resume() if store is not None else Ts(0)
    halt = HaltState(code=on_file.code, since=on_file.since, resumed=resumed)
    incidents = store.alert_book.incidents() if store is not None else []
    ended = {(each.code, each.subject): each.ended for each in incidents if each.ended is not None}
    found = store.alerts(since) if store is not None else ()
    breaches, measure = errors(found, measure, halt=halt, now=now, ended=ended)
    pulse = readings.loop.pulse
    out: list[Breach] = []
    if store is not None and pulse is not None:
        book = store.alert_book
        delivered = (letter.notice for letter in book.letters("delivered"))
        known = {each.subject for each in incidents if each.code == STRATEGY_OUT and each.ended is None}
        out = disabled_strategy_breaches(store.alerts(pulse.started), delivered, known)
    untold = _untold(store, now, readings.config.alerts.channels) if store is not None else []
    summary = f"{pluralize(int(measure.value), 'error')} in the last hour"
    if readings.loop.who is None:
        summary = f"no trading loop is running; {summary}"
    if out:
        summary += f"; running without {', '.join(breach.subject for breach in out)}"
    if untold:
        summary += f"; undelivered alerts: {', '.join(breach.subject for breach in untold)}"
    return report("errors", summary, [*out, *breaches, *untold], [measure])


def _untold(store: Store, now: Ts, channels: Collection[str]) -> list[Breach]:
    """Return the channels with undelivered notices, and those that fail, which `kalshi alerts` shows as active."""
    late = store.alert_book.undelivered(Ts(now - HOUR_MS), Ts(now - LATE_MS), Ts(now - CRITICAL_LATE_MS))
    found = {
        each.sink: f"{pluralize(each.count, 'alert')} not delivered: {each.error or 'still waiting'}" for each in late
    }
    for state in store.alert_book.sinks():
        if state.failures >= FAILING_AFTER and state.sink in channels:
            found.setdefault(state.sink, f"{state.failures} failed attempts in a row: {state.error}")
    return [warning("ALERT_UNDELIVERED", sink, value, "delivered") for sink, value in found.items()]
