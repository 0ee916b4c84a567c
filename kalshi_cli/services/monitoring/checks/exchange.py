"""Check that the exchange is open, or closed as scheduled."""

from __future__ import annotations

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.core.monitoring.check_report import CheckReport, report
from kalshi_cli.core.monitoring.feed_check import pauses
from kalshi_cli.exchange.wire.status import Schedule
from kalshi_cli.services.markets.exchange_hours import is_within_hours, maintenance_of
from kalshi_cli.services.monitoring.checks.readings import CheckData, measured
from kalshi_cli.views.exchange import MaintenanceRow

FIRST = "paused_shards"

SOON_MS = 86_400_000
"""Time before maintenance from which the summary mentions it."""


def examine(readings: CheckData) -> CheckReport:
    """Report a pause outside maintenance and trading hours; it is critical if even cancels are rejected."""
    now, status = readings.clock.now(), readings.exchange_status
    remarks: list[str] = []
    try:
        schedule = readings.public.schedule()
    except KalshiError as error:
        schedule = Schedule((), ())  # The weekly maintenance is known without the schedule.
        remarks.append(f"schedule unavailable: {error.message}")
    windows = maintenance_of(schedule, now)
    breaches = pauses(status, planned(schedule, windows, now))
    remarks += [
        f"{window.kind} maintenance from {format_ts(window.starts)} to {format_ts(window.ends)}"
        for window in windows
        if now < window.starts <= now + SOON_MS
    ]
    if not status.exchange_active:
        summary = "the exchange is paused"
    elif not status.trading_active:
        summary = "trading is paused"
    else:
        summary = "open for trading" if not breaches else "open for trading, except some shards"
    planned_now = [f"as scheduled: {breach.value}" for breach in breaches[:1] if breach.severity == "note"]
    measure = measured("paused_shards", len(breaches), readings.checks.paused_shards)
    too_many = measure.breach("TRADING_PAUSED", "paused shards")  # A configured range counts scheduled pauses as well.
    return report("exchange", "; ".join([summary, *planned_now, *remarks]), [*breaches, *too_many], [measure])


def planned(schedule: Schedule, windows: tuple[MaintenanceRow, ...], now: Ts) -> str:
    """Return why the exchange may be closed now; "" if it should be open."""
    for window in windows:
        if window.starts <= now < window.ends:
            return f"{window.kind} maintenance until {format_ts(window.ends)}"
    return "" if is_within_hours(schedule, now) else "outside trading hours"
