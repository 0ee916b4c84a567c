"""Counts of the critical alerts of recent runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

import msgspec

from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.check_report import ECHO, Breach, Measure, Verdict, critical
from kalshi_cli.core.monitoring.incidents import ENDS
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.core.monitoring.runbook_index import runbook_for

SHOWN_ONLY = ("RECENT_ERRORS",)
"""Codes that a check shows without an alert, because the alerts themselves were sent."""

OVER_MS = 600_000
"""Time for which an ended error still counts."""

KILL_MS = 5_000
"""How long before its recorded halt the kill switch may trigger an order group, by another clock."""

_OF_PERSON = ("CANCEL_ALL", "PAUSED")

ALL_CANCELED = "and none remains"
"""The end of the text of a CANCEL_ALL_RESULT that is no error; alert channels receive the result as critical anyway."""


class HaltState(msgspec.Struct, frozen=True, kw_only=True):
    """The cause and start of the stored trading state, and when the user last resumed, even before a later halt."""

    code: str = ""
    since: Ts = Ts(0)
    resumed: Ts = Ts(0)


_OUT = ("STRATEGY_FAILED", "STRATEGY_HUNG")
"""Codes that disable a strategy for the rest of the run."""

STRATEGY_OUT = "STRATEGY_OUT"
"""The code of a check that finds a disabled strategy."""


def errors(
    alerts: Iterable[AlertRaised],
    measure: Measure,
    *,
    halt: HaltState,
    now: Ts,
    ended: Mapping[tuple[str, str], Ts] = MappingProxyType({}),
) -> tuple[list[Breach], Measure]:
    """Return a breach for each cause if together they are too many; those that are over last, the most frequent first.

    Actions of the user are not errors. Errors that ended, or that precede a resume, only warn, and only for a while.
    `ended` has the end of each alert, by code and subject, that the alerting knows: a check can see the end of what a
    loop that is gone had raised. The breach of one that is over says since when, without the text that was true before.
    The breach has its own code, because alerts of a loop end when the loop says so, and this after a while.
    """
    found = list(alerts)
    critical = [alert for alert in found if alert.tier == "critical" and not _is_of_person(alert, halt)]
    ends = {id(alert): end for alert in critical if (end := _end(alert, found, halt, ended))}
    counted = [alert for alert in critical if id(alert) not in ends or now - alert.ts <= OVER_MS]
    standing = sum(id(alert) not in ends for alert in counted)
    measure = msgspec.structs.replace(measure, value=len(counted))
    if measure.verdict is Verdict.OK:
        return [], measure
    warned = msgspec.structs.replace(measure, warn=measure.warn or measure.crit, crit="")
    is_critical = msgspec.structs.replace(measure, value=standing).verdict is Verdict.CRITICAL
    causes: dict[tuple[str, str], list[AlertRaised]] = {}
    for alert in counted:
        causes.setdefault((alert.code, alert.subject), []).append(alert)
    now_true: list[Breach] = []
    over: list[Breach] = []
    for (code, subject), same in sorted(causes.items(), key=lambda cause: -len(cause[1])):
        last = max(same, key=lambda alert: alert.ts)
        if end := ends.get(id(last), ""):  # The end of the last one is the end of all.
            breaches = warned.breach(ECHO, f"{code} {subject}", f"{end}; it happened {_times(same)}")
            over += (msgspec.structs.replace(each, runbook=runbook_for(ECHO).runbook) for each in breaches)
        else:
            judged = measure if is_critical else warned
            now_true += judged.breach(ECHO, f"{code} {subject}", f"{_times(same)}: {last.text}")
    return [*now_true, *over], measure


def _is_of_person(alert: AlertRaised, halt: HaltState) -> bool:
    """Return whether the user caused an alert.

    The kill switch triggers order groups too. After a resume the cause is unknown, but the user saw all groups that
    were still triggered.
    """
    if alert.code == "GROUP_TRIGGERED":
        is_by_kill = halt.code == "CANCEL_ALL" and alert.ts >= halt.since - KILL_MS
        return is_by_kill or alert.ts < halt.resumed
    return _is_verified(alert) or alert.code in _OF_PERSON


def _is_verified(alert: AlertRaised) -> bool:
    """Return whether the kill switch verified that no order remains."""
    return alert.code == "CANCEL_ALL_RESULT" and alert.text.endswith(ALL_CANCELED)


def _ends(end: AlertRaised, alert: AlertRaised) -> bool:
    """Return whether one alert is the end of another: for the kill switch, a later run that was verified."""
    is_end = alert.code == end.code if _is_verified(end) else alert.code in ENDS.get(end.code, ())
    return is_end and end.subject == alert.subject and end.ts >= alert.ts


def _end(
    alert: AlertRaised, alerts: Iterable[AlertRaised], halt: HaltState, ended: Mapping[tuple[str, str], Ts]
) -> str:
    """Return since when an alert is over, by what ended it or by a resume; "" if it is not over."""
    ends = [each.ts for each in alerts if _ends(each, alert)]
    seen = ended.get((alert.code, alert.subject))
    if seen is not None and seen >= alert.ts:
        ends.append(seen)
    if ends:
        return f"over since {format_ts(min(ends))}"
    return "over, trading was resumed since" if alert.ts < halt.resumed else ""  # of several resumes, the last is known


def disabled_strategies(alerts: Iterable[AlertRaised]) -> tuple[AlertRaised, ...]:
    """Return the alerts that disabled strategies in the current run, by strategy name."""
    failed = {alert.subject: alert for alert in alerts if alert.code in _OUT}
    return tuple(alert for _, alert in sorted(failed.items()))


def disabled_strategy_breaches(
    alerts: Iterable[AlertRaised], delivered: Iterable[Notice] = (), known: Collection[str] = ()
) -> list[Breach]:
    """Return a breach for each disabled strategy.

    Alert channels receive it as the alert of the loop that a channel accepted (`delivered`), so once; one that they
    know under its own code (`known`) keeps it.
    """
    told = {(each.code, subject): each.ts for each in delivered for subject in each.subjects}
    breaches = []
    for alert in disabled_strategies(alerts):
        is_told = alert.subject not in known and told.get((alert.code, alert.subject), Ts(0)) >= alert.ts
        value = f"disabled since {format_ts(alert.ts)} by {alert.code}: {alert.text}"
        breach = critical(STRATEGY_OUT, alert.subject, value, "enabled")
        breaches.append(msgspec.structs.replace(breach, sent_as=alert.code if is_told else ""))
    return breaches


def _times(same: list[AlertRaised]) -> str:
    times = "" if len(same) == 1 else f"{len(same)} times, last "
    return f"{times}at {format_ts(max(alert.ts for alert in same))}"
