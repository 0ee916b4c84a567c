"""What loops had to say lately that somebody must hear, counted."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.check_report import Breach, Measure, Verdict, critical
from kalshi_cli.core.monitoring.incidents import ENDS

SHOWN_ONLY = ("RECENT_ERRORS",)
"""Codes that a check shows and tells nobody: the alerts themselves were told when they came."""

OVER_MS = 600_000
"""What is over is of interest for so long."""

KILL_MS = 5_000
"""A group may be triggered so long before the halt is written down that goes with it, by another clock."""

_OF_PERSON = ("CANCEL_ALL", "PAUSED")


class HaltState(msgspec.Struct, frozen=True, kw_only=True):
    """The trading state on file: since when, and by what. Active since a person resumed."""

    is_active: bool = True
    code: str = ""
    since: Ts = Ts(0)


_OUT = ("STRATEGY_FAILED", "STRATEGY_HUNG")
"""After these a strategy is asked no more, for as long as the loop runs."""


def errors(
    alerts: Iterable[AlertRaised], measure: Measure, *, halt: HaltState, now: Ts
) -> tuple[list[Breach], Measure]:
    """A breach for each cause, as soon as all of them together are too many; those that happened most are first.

    What a person did is no error. What is over, because it ended or because a person resumed since, warns for a while
    only. The code of the breach is one of its own: what a loop recorded is over when the loop says so, this after a
    while.
    """
    found = list(alerts)
    critical = [alert for alert in found if alert.tier == "critical" and not _is_of_person(alert, halt)]
    ended = {id(alert) for alert in critical if _is_over(alert, found, halt)}
    counted = [alert for alert in critical if id(alert) not in ended or now - alert.ts <= OVER_MS]
    standing = sum(id(alert) not in ended for alert in counted)
    measure = msgspec.structs.replace(measure, value=len(counted))
    if measure.verdict is Verdict.OK:
        return [], measure
    judged = measure
    if msgspec.structs.replace(measure, value=standing).verdict is not Verdict.CRITICAL:
        judged = msgspec.structs.replace(measure, warn=measure.warn or measure.crit, crit="")
    causes: dict[tuple[str, str], list[AlertRaised]] = {}
    for alert in counted:
        causes.setdefault((alert.code, alert.subject), []).append(alert)
    return [
        breach
        for (code, subject), same in sorted(causes.items(), key=lambda cause: -len(cause[1]))
        for breach in judged.breach("RECENT_ERRORS", f"{code} {subject}", _said(same))
    ], measure


def _is_of_person(alert: AlertRaised, halt: HaltState) -> bool:
    """The kill switch triggers the order groups too. After a resume nobody can tell which did; whoever resumed was told
    of those that still are.
    """
    if alert.code == "GROUP_TRIGGERED":
        if halt.is_active and alert.ts < halt.since:
            return True
        return halt.code == "CANCEL_ALL" and alert.ts >= halt.since - KILL_MS
    return alert.code in _OF_PERSON


def _is_over(alert: AlertRaised, alerts: Iterable[AlertRaised], halt: HaltState) -> bool:
    if halt.is_active and alert.ts < halt.since:
        return True
    return any(
        alert.code in ENDS.get(each.code, ()) and each.subject == alert.subject and each.ts >= alert.ts
        for each in alerts
    )


def disabled_strategies(alerts: Iterable[AlertRaised]) -> tuple[AlertRaised, ...]:
    """What put each strategy out that failed, by name, of the alerts since the loop began: it runs on without them."""
    failed = {alert.subject: alert for alert in alerts if alert.code in _OUT}
    return tuple(alert for _, alert in sorted(failed.items()))


def disabled_strategy_breaches(alerts: Iterable[AlertRaised]) -> list[Breach]:
    """Strategies that failed since the loop began."""
    return [
        critical("STRATEGY_OUT", alert.subject, f"out since {format_ts(alert.ts)}: {alert.text}", "asked by the loop")
        for alert in disabled_strategies(alerts)
    ]


def _said(same: list[AlertRaised]) -> str:
    last = max(same, key=lambda alert: alert.ts)
    times = "" if len(same) == 1 else f"{len(same)} times, last "
    return f"{times}at {format_ts(last.ts)}: {last.text}"
