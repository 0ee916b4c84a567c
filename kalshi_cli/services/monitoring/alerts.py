"""Alerting with the parts of an account: its state file, channels and clock, and the pause of its trading."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.config.limits import digest_of, limits_of_this_program
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.incidents import Incident
from kalshi_cli.core.monitoring.notices import Kind, Notice
from kalshi_cli.core.monitoring.runbook_index import runbook_for
from kalshi_cli.notify.notifier import Notifier
from kalshi_cli.services.monitoring.alerting import Alerting, AlertOverview, AlertTerms
from kalshi_cli.services.monitoring.open_alerts import FILE as OPEN_ALERTS
from kalshi_cli.services.monitoring.open_alerts import OpenAlerts
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import ALERT_REASON_PREFIX

DIRECTLY_S = 4.0


@contextmanager
def alerting(
    resources: Resources,
    home: Home | None = None,
    *,
    more: Mapping[str, AlertChannel] | None = None,
    busy_ms: int | None = None,
) -> Iterator[Alerting]:
    """Open the alerts of the account, or of another home, for the thread that enters the context.

    `more` are additional channels. A missing state file is created; another program that writes to it is waited for,
    `busy_ms` at most.
    """
    home = home or resources.home
    sinks = {**resources.config.alerts.channels, **(more or {})}

    def stop(cause: Incident) -> None:
        try:
            pause(home.folder, f"{ALERT_REASON_PREFIX}{cause.code} {cause.subject}")
        except StateFileError as error:  # The alert is sent nevertheless.
            resources.tell(f"Trading could NOT be paused after {cause.code}: {error.message}")

    with resources.open_store(home, busy_ms=busy_ms) as store:
        terms = _terms(resources, sinks)
        notifier = open_channels(resources, sinks)
        book = store.alert_book
        sent = OpenAlerts(book, home.folder / "checks" / OPEN_ALERTS)
        yield Alerting(book, store, terms, notifier, resources.clock, resources.new_id, stop, sent)


def open_channels(resources: Resources, sinks: Mapping[str, AlertChannel]) -> Notifier:
    """Return the channels, each of whose notices names this computer and the page of the account."""
    return Notifier(sinks, resources.machine, page=resources.config.web.public_url, host=resources.host)


def _terms(resources: Resources, sinks: Mapping[str, AlertChannel]) -> AlertTerms:
    config = resources.config
    limits = digest_of(limits_of_this_program(config))
    return AlertTerms(
        alerts=config.alerts, sinks=sinks, env=config.env, zone=ZoneInfo(config.day_zone), limits=limits,
        daily_loss=config.risk.max_daily_loss,
    )  # fmt: skip


def overview(resources: Resources, home: Home | None = None) -> AlertOverview:
    """Return the saved state of alerts; an empty one, without creating a file, if there is no state file."""
    if not ((home or resources.home).folder / "state.db").exists():
        return AlertOverview()
    with alerting(resources, home) as found:
        return found.overview()


def notify_directly(
    resources: Resources, alert: AlertRaised, within_s: float = DIRECTLY_S, kind: Kind = "event"
) -> list[str]:
    """Deliver an alert that the state file cannot hold to every channel that wants it, within `within_s` seconds.

    Returns the channels if all of them accepted it, otherwise none: the alert must be sent again.
    """
    remedy, sinks, now = runbook_for(alert.code, alert.text), resources.config.alerts.channels, resources.clock.now()
    notice = Notice(
        notice_id=resources.new_id(), kind=kind, tier=alert.tier, event=remedy.event, code=alert.code,
        subject=alert.subject, text=f"{alert.text}; the state file cannot be used", env=resources.config.env,
        since=alert.ts, ts=now, runbook=remedy.runbook, command=remedy.command,
    )  # fmt: skip
    notifier, failing = open_channels(resources, sinks), []
    delivered = list[str]()

    def deliver(name: str) -> None:
        delivery = notifier.deliver(name, notice, within_s)
        if delivery.outcome == "delivered":
            delivered.append(name)
        else:
            failing.append(f"{name}: {delivery.text}")

    threads = [
        threading.Thread(target=deliver, args=(name,), daemon=True) for name in _terms(resources, sinks).hearers(notice)
    ]
    for thread in threads:
        thread.start()
    until = resources.machine.monotonic() + within_s + 1
    for thread in threads:
        thread.join(max(0.0, until - resources.machine.monotonic()))
    if failing:
        resources.tell(f"Not delivered: {'; '.join(failing)}")
    return delivered if len(delivered) == len(threads) else []
