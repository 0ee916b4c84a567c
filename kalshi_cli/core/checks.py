"""What a check found, in the words of a monitoring plug-in.

A rule is a pure function: what was observed, and what is wanted, to breaches. `report` makes a verdict of them; the
commands print it. Not having been able to look is UNKNOWN, and never OK.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

import msgspec

from kalshi_cli.core.ranges import parse_range
from kalshi_cli.core.remedies import remedy_of
from kalshi_cli.units import counted as counted


class Verdict(IntEnum):
    """Exit codes of a monitoring plug-in; UNKNOWN is worse than WARNING and never OK."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


SEVERITIES = {
    "critical": Verdict.CRITICAL,
    "unknown": Verdict.UNKNOWN,
    "warning": Verdict.WARNING,
    "note": Verdict.OK,
}
"""How bad a breach is -> what it makes of a check; worst first. A note is said and changes nothing."""


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be: of what, what was found, what is wanted. `code` is stable."""

    subject: str
    value: str
    limit: str
    severity: str
    code: str


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
        return (Breach(subject=subject, value=shown, limit=limit, severity=verdict.name.lower(), code=code),)


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


def report(check: str, summary: str, breaches: Iterable[Breach] = (), measures: Sequence[Measure] = ()) -> CheckReport:
    """The outcome, the worst things first; the runbook is that of the worst."""
    ranks = list(SEVERITIES)
    ordered = sorted(breaches, key=lambda breach: ranks.index(breach.severity))
    verdict = verdict_of(ordered)
    return CheckReport(
        check=check,
        verdict=verdict,
        summary=summary,
        breaches=tuple(ordered),
        measures=tuple(measures),
        runbook=remedy_of(ordered[0].code).runbook if verdict is not Verdict.OK else "",
    )
