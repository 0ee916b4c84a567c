"""Sends the findings of a check to the configured alert channels, and to one more channel for this run."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.incidents import STOPS
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.core.monitoring.runbook_index import runbook_for
from kalshi_cli.services.monitoring.alerting import receives
from kalshi_cli.services.monitoring.alerts import alerting
from kalshi_cli.services.resources import Home, Resources

Findings = Mapping[str, Sequence[Breach]]
"""Breaches by the source that found them."""

SPARE_S = 0.5
"""Seconds at the end of a check in which nothing is delivered."""

BUSY_MS = 1_000
"""Time that a check waits for another program that writes to the state file; the check has a deadline itself."""


def tell_sinks(
    resources: Resources,
    home: Home,
    findings: Findings,
    notify: str,
    until: float,
    *,
    is_doubt_new: bool,
    may_stop: bool,
) -> None:
    """Send findings once, remind, resolve. Never raises; a line on stderr names the notices that were not delivered.

    If the state file is unusable, it is unknown what was sent before: every finding is sent at every run, except a
    first `unknown`. Without channels and without a state file, nothing is saved. If `may_stop` is False and a critical
    finding would stop trading, nothing is saved either: a later run that may stop trading must find it new.
    """
    more = {f"notify-{hashlib.sha256(notify.encode()).hexdigest()[:8]}": AlertChannel(url=notify)} if notify else {}
    sinks = {**resources.config.alerts.channels, **more}
    if not (sinks or (home.folder / "state.db").exists()):
        return
    if not may_stop and resources.config.alerts.on_critical != "none" and _would_stop(findings):
        why = "its -w or -c range applies to this run only"
        _send_directly(resources, sinks, findings, until, why, is_doubt_new=is_doubt_new)
        return
    try:
        with alerting(resources, home, more=more, busy_ms=BUSY_MS) as alerts:
            now = resources.clock.now()
            for source, breaches in findings.items():
                alerts.observe(source, breaches)
            alerts.deliver(until - SPARE_S - resources.machine.monotonic())
            states = alerts.book.sinks()
            _warn(resources, [f"{each.sink}: {each.error}" for each in states if (each.last_failed or 0) >= now])
    except KalshiError as error:
        is_said = any(error.message in each.value for found in findings.values() for each in found)
        why = "" if is_said else f": {error.message}"
        resources.tell(f"Alert history unavailable, so this alert may be a repeat{why}")
        _send_directly(resources, sinks, findings, until, "the state file cannot be used", is_doubt_new=is_doubt_new)


def _would_stop(findings: Findings) -> bool:
    return any(each.severity == "critical" and each.code in STOPS for found in findings.values() for each in found)


def _warn(resources: Resources, failing: Sequence[str]) -> None:
    if failing:
        resources.tell(f"Not delivered: {'; '.join(failing)}")


def _send_directly(
    resources: Resources,
    sinks: Mapping[str, AlertChannel],
    findings: Findings,
    until: float,
    why: str,
    *,
    is_doubt_new: bool,
) -> None:
    from kalshi_cli.notify.notifier import Notifier

    notifier, failing = Notifier(sinks, resources.machine, page=resources.config.web.public_url), []
    severities = ("critical", "warning") if is_doubt_new else ("critical", "warning", "unknown")
    for source, breaches in by_cause(findings, severities):
        notice = _notice(resources, source, breaches, why)
        for name in [name for name, sink in sinks.items() if receives(sink, notice.tier, notice.event)]:
            left_s = until - SPARE_S - resources.machine.monotonic()
            delivery = notifier.deliver(name, notice, left_s) if left_s > 0 else None
            if delivery is None or delivery.outcome != "delivered":
                failing.append(f"{name}: {delivery.text if delivery is not None else 'no time left'}")
    _warn(resources, failing)


def by_cause(findings: Findings, severities: Collection[str]) -> list[tuple[str, list[Breach]]]:
    """Return the breaches of these severities with their sources, those with the same first finding together.

    A damaged state file is found by most checks, and is one notice.
    """
    causes: dict[tuple[str, str, str], tuple[list[str], list[Breach]]] = {}
    for source, found in findings.items():
        if breaches := [each for each in found if each.severity in severities]:
            first = breaches[0]
            sources, together = causes.setdefault((first.severity, first.code, first.value), ([], []))
            sources.append(source)
            together.extend(breaches)
    return [(", ".join(sources), together) for sources, together in causes.values()]


def _notice(resources: Resources, source: str, breaches: Sequence[Breach], why: str) -> Notice:
    first, now = breaches[0], resources.clock.now()
    remedy = runbook_for(first.code)
    return Notice(
        notice_id=resources.new_id(), kind="firing", tier="critical" if first.severity == "critical" else "warning",
        event=remedy.event, code=first.code, subject=first.subject,
        text=f"{source}: {first.value}, {first.bound}; repeated at every run because {why}",
        env=resources.config.env, since=now, ts=now, value=first.value, limit=first.limit, unit=first.unit,
        count=len(breaches),
        subjects=tuple(breach.subject for breach in breaches[:5]), runbook=remedy.runbook, command=remedy.command,
    )  # fmt: skip
