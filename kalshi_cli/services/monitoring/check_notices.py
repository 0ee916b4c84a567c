"""Who hears of what a check found: the sinks of the configuration, and one more for this run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.incidents import STOPS
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.core.monitoring.runbook_index import runbook_for
from kalshi_cli.services.monitoring.alerting import Alerting
from kalshi_cli.services.monitoring.alerts import alerting
from kalshi_cli.services.resources import Home, Resources

Findings = Mapping[str, Sequence[Breach]]
"""Who looked -> what does not hold."""

SPARE_S = 0.5
"""Left of the time of a check when nothing is delivered any more."""


BUSY_MS = 1_000
"""A check waits so long for another program that writes to the state file; it has to say so in time."""


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
    """Tell of it once, remind, resolve; raises nothing, and what could not be delivered is a line on stderr.

    Where the state file cannot be used nobody knows what was told before: whatever is found is told, each time, but not
    a first doubt. Without anybody to tell, and without a state file, nothing is written down. What was found by a look
    that `may_stop` no trading is not written down either where a critical alert would stop it: neither does it, nor
    does it count as known once a look finds it that may.
    """
    more = {f"notify-{hashlib.sha256(notify.encode()).hexdigest()[:8]}": AlertChannel(url=notify)} if notify else {}
    sinks = {**resources.config.alerts.channels, **more}
    if not (sinks or (home.folder / "state.db").exists()):
        return
    if not may_stop and resources.config.alerts.on_critical != "none" and _would_stop(findings):
        _tell_directly(resources, sinks, findings, until, "its bounds are those of one run", is_doubt_new=is_doubt_new)
        return
    try:
        with alerting(resources, home, more=more, busy_ms=BUSY_MS) as told:
            now = resources.clock.now()
            for source, breaches in findings.items():
                told.observe(source, breaches)
            told.deliver(until - SPARE_S - resources.machine.monotonic())
            _complain(resources, told, now)
    except KalshiError as error:
        resources.tell(f"alerts are told without knowing what was told before: {error.message}")
        _tell_directly(resources, sinks, findings, until, "the state file cannot be used", is_doubt_new=is_doubt_new)


def _would_stop(findings: Findings) -> bool:
    return any(each.severity == "critical" and each.code in STOPS for found in findings.values() for each in found)


def _complain(resources: Resources, told: Alerting, since: Ts) -> None:
    failing = [f"{state.sink}: {state.error}" for state in told.book.sinks() if (state.last_failed or 0) >= since]
    if failing:
        resources.tell(f"not delivered: {'; '.join(failing)}")


def _tell_directly(
    resources: Resources,
    sinks: Mapping[str, AlertChannel],
    findings: Findings,
    until: float,
    why: str,
    *,
    is_doubt_new: bool,
) -> None:
    from kalshi_cli.notify.notifier import Notifier

    notifier, failing = Notifier(sinks, resources.machine), []
    notices = [
        _notice(resources, source, breaches, why)
        for source, found in findings.items()
        if (breaches := [each for each in found if _is_told(each, is_doubt_new=is_doubt_new)])
    ]
    for notice in notices:
        for name, sink in sinks.items():
            if notice.tier not in sink.tiers and notice.event not in sink.events:
                continue
            left_s = until - SPARE_S - resources.machine.monotonic()
            delivery = notifier.deliver(name, notice, left_s) if left_s > 0 else None
            if delivery is None or delivery.outcome != "delivered":
                failing.append(f"{name}: {delivery.text if delivery is not None else 'no time was left'}")
    if failing:
        resources.tell(f"not delivered: {'; '.join(failing)}")


def _is_told(breach: Breach, *, is_doubt_new: bool) -> bool:
    return breach.severity in ("critical", "warning") or (breach.severity == "unknown" and not is_doubt_new)


def _notice(resources: Resources, source: str, breaches: Sequence[Breach], why: str) -> Notice:
    first, now = breaches[0], resources.clock.now()
    remedy = runbook_for(first.code)
    return Notice(
        notice_id=resources.new_id(), kind="firing", tier="critical" if first.severity == "critical" else "warning",
        event=remedy.event, code=first.code, subject=first.subject,
        text=f"{source}: {first.value}, wanted is {first.wanted}; told again each time: {why}",
        env=resources.config.env, since=now, ts=now, value=first.value, limit=first.limit, unit=first.unit,
        count=len(breaches),
        subjects=tuple(breach.subject for breach in breaches[:5]), runbook=remedy.runbook, command=remedy.command,
    )  # fmt: skip
