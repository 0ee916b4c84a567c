"""What a check found, in the words of a monitoring plug-in.

A rule is a pure function: what was observed, and what is wanted, to breaches. `report` makes a verdict of them; the
commands print it. Not having been able to look is UNKNOWN, and never OK.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import partial

import msgspec

from kalshi_cli.base.text import safe_text
from kalshi_cli.core.monitoring.ranges import parse_range
from kalshi_cli.core.monitoring.runbook_index import runbook_for


class Verdict(IntEnum):
    """Exit codes of a monitoring plug-in; UNKNOWN is worse than WARNING and never OK."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


SEVERITIES = {"critical": Verdict.CRITICAL, "unknown": Verdict.UNKNOWN, "warning": Verdict.WARNING, "note": Verdict.OK}
"""How bad a breach is -> what it makes of a check; worst first. A note is said and changes nothing."""


MAX_LEAD_LENGTH = 240
"""Characters of what is worst: a pager shows no more of the first line."""

CAUSES = ("CREDENTIALS", "CLOCK", "STATE_UNUSABLE", "EXCHANGE_PAUSED")
"""Codes from which others follow, the gravest first: of what is equally bad these are named first."""

FOLLOWS = ("HEARTBEAT_LOST", "CYCLE_LATE", "BLIND", "FEED_DOWN")
"""Codes that a cause explains, even where that could only not be looked at."""


def with_unit(number: str, unit: str) -> str:
    """`80 %`; without the unit where there is none, or the number has it already."""
    return f"{number} {unit}" if number and unit and unit not in number else number


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be: of what, what was found, what is wanted. `code` is stable. `unit` is what
    the limit is counted in, and the value where that is a bare number; "" where they are words.
    """

    subject: str
    value: str
    limit: str
    severity: str
    code: str
    unit: str = ""

    @property
    def wanted(self) -> str:
        """The limit with its unit: `80 %`, `10 contracts`."""
        return with_unit(self.limit, self.unit)

    @property
    def text(self) -> str:
        """In one line: `DAY_LOSS account: $60.00 lost (limit 50)`."""
        return f"{self.code} {self.subject}: {self.value}" + (f" (limit {self.limit})" if self.limit else "")


def breach(severity: str, code: str, subject: str, value: str, limit: str) -> Breach:
    """Return a breach of a limit that is words, or has its unit in it."""
    return Breach(subject=subject, value=value, limit=limit, severity=severity, code=code)


critical, warning, note = partial(breach, "critical"), partial(breach, "warning"), partial(breach, "note")


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A number for the graphs of a monitoring system; `warn` and `crit` as in its thresholds, "" for none.

    `unit` is one of the guidelines: "", s, ms, %, or c for a counter.
    """

    label: str
    value: float
    unit: str = ""
    warn: str = ""
    crit: str = ""

    def __str__(self) -> str:
        number = f"{self.value:.6f}".rstrip("0").rstrip(".") if isinstance(self.value, float) else str(self.value)
        return f"{self.label}={number}{self.unit};{self.warn};{self.crit}"

    @property
    def text(self) -> str:
        """The number for programs that must not round: money (`..._usd`) with four decimals, as money is elsewhere."""
        return f"{self.value:.4f}" if self.label.endswith("_usd") else f"{self.value:g}{self.unit}"

    @property
    def verdict(self) -> Verdict:
        """What its own thresholds make of it."""
        if self.crit and parse_range(self.crit).is_breached(self.value):
            return Verdict.CRITICAL
        if self.warn and parse_range(self.warn).is_breached(self.value):
            return Verdict.WARNING
        return Verdict.OK

    def breach(self, code: str, subject: str, value: str = "") -> tuple[Breach, ...]:
        """It as a breach, where it is one; `value` as a person reads it."""
        verdict = self.verdict
        if verdict is Verdict.OK:
            return ()
        limit = self.crit if verdict is Verdict.CRITICAL else self.warn
        shown = value or f"{self.value:g}{self.unit}"
        return (
            Breach(
                subject=subject,
                value=shown,
                limit=limit,
                severity=verdict.name.lower(),
                code=code,
                unit=self._counted_in,
            ),
        )

    @property
    def _counted_in(self) -> str:
        """Its unit for people: `%`, `$`; what has none is counted in what it is called."""
        words = {"_usd": "$", "_cents": "cents"}
        called = next((word for end, word in words.items() if self.label.endswith(end)), self.label.replace("_", " "))
        return called if self.unit in ("", "c") else self.unit


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check. `runbook` names what to read when it is not OK."""

    check: str
    verdict: Verdict
    summary: str
    breaches: tuple[Breach, ...] = ()
    measures: tuple[Measure, ...] = ()
    runbook: str = ""

    @property
    def first_line(self) -> str:
        """What monitoring systems show and parse: `KALSHI SCHEMA OK - 23 routes | routes=23;; missing=0;;0`."""
        line = f"KALSHI {self.check.upper()} {self.verdict.name} - {self.summary.replace('|', '/')}"
        return f"{line} | {' '.join(map(str, self.measures))}" if self.measures else line


def verdict_of(breaches: Sequence[Breach]) -> Verdict:
    """CRITICAL beats UNKNOWN beats WARNING beats OK."""
    found = {breach.severity for breach in breaches}
    return next((verdict for severity, verdict in SEVERITIES.items() if severity in found), Verdict.OK)


def report(
    check: str, summary: str, breaches: Iterable[Breach] = (), measures: Sequence[Measure] = (), *, of: str = ""
) -> CheckReport:
    """The outcome, the worst things first; where it is not OK, its summary begins with the worst of them, or what that
    follows from, and the runbook is of that one. `of` is the check that found it, where there are several.
    """
    ordered = sort_by_severity(breaches)
    verdict = verdict_of(ordered)
    if verdict is Verdict.OK:
        return CheckReport(
            check=check, verdict=verdict, summary=summary, breaches=tuple(ordered), measures=tuple(measures)
        )
    lead = cause_of(ordered)
    said = safe_text(f"{of}: {lead.text}" if of else lead.text, MAX_LEAD_LENGTH)
    is_all = summary in (lead.value, f"{lead.subject} {lead.value}")
    return CheckReport(
        check=check,
        verdict=verdict,
        summary=said if is_all else f"{said}; {summary}",
        breaches=tuple(ordered),
        measures=tuple(measures),
        runbook=runbook_for(lead.code).runbook,
    )


def sort_by_severity(breaches: Iterable[Breach]) -> list[Breach]:
    """By severity; of the same, what others follow from."""
    ranks = list(SEVERITIES)
    return sorted(breaches, key=lambda breach: (ranks.index(breach.severity), _cause_rank(breach)))


def cause_of(ordered: Sequence[Breach]) -> Breach:
    """What is worst, or what that follows from."""
    worst = ordered[0]
    if worst.code not in FOLLOWS:
        return worst
    causes = [each for each in ordered if each.code in CAUSES and each.severity in ("critical", "unknown")]
    return min(causes, key=_cause_rank, default=worst)


def _cause_rank(breach: Breach) -> int:
    return CAUSES.index(breach.code) if breach.code in CAUSES else len(CAUSES)
