"""The alerts of a screen: those that a loop raised and those of checks, with their state as in `kalshi alerts`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from msgspec.structs import replace

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.incidents import Incident
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.live import AlertState, LiveEvent, RecentAlertRow

MAX_ALERTS = 100
RECENT_MS = 86_400_000
READ_EVERY_S = 2.0
"""Seconds between two reads of the state file where the loop sends no new alert."""


def screen_alerts(raised: Iterable[RecentAlertRow], incidents: Iterable[Incident], now: Ts) -> list[RecentAlertRow]:
    """Return the alerts of the last day with their state, those that fire first, then the newest first.

    `raised` are those of a loop, newest first. Those that checks found, and that a loop did not raise, are added.
    """
    lasting = {(each.code, each.subject): each for each in incidents if each.lasts}
    rows, seen = [], set()
    for row in raised:
        key = row.code, row.subject
        state: AlertState = "event" if key not in lasting else "over"
        if key in lasting and key not in seen and lasting[key].is_firing:
            state = "firing"
        seen.add(key)
        rows.append(replace(row, state=state))
    for key in lasting.keys() - seen:
        incident = lasting[key]
        if incident.is_firing or (incident.ended is not None and incident.ended >= now - RECENT_MS):
            rows.append(
                RecentAlertRow(
                    time=incident.since, tier=incident.tier, code=incident.code, subject=incident.subject,
                    text=TruncatableText(incident.text), state="firing" if incident.is_firing else "over",
                )
            )  # fmt: skip
    return sorted(rows, key=lambda row: (row.state != "firing", -row.time))[:MAX_ALERTS]


class ScreenAlerts:
    """Adds to the events of a home what the state file knows about its alerts; the reader does it, not the loop."""

    def __init__(self, resources: Resources, home: Home) -> None:
        self._resources = resources
        self._home = home
        self._raised: tuple[RecentAlertRow, ...] = ()
        self._shown: tuple[RecentAlertRow, ...] | None = None
        self._due = 0.0

    def add_to(self, event: LiveEvent) -> LiveEvent:
        """Return the event with its alerts, if they changed."""
        machine = self._resources.machine
        if event.alerts is not None:
            self._raised = event.alerts
        elif machine.monotonic() < self._due:
            return event
        self._due = machine.monotonic() + READ_EVERY_S
        incidents: Iterable[Incident] = ()
        with suppress(KalshiError):  # an unreadable state file is said elsewhere, and the alerts of the loop stay
            store = self._resources.remembered(self._home)
            incidents = store.alert_book.incidents() if store is not None else ()
        rows = tuple(screen_alerts(self._raised, incidents, self._resources.clock.now()))
        if event.alerts is None and rows == self._shown:
            return event
        self._shown = rows
        return replace(event, alerts=rows)
