"""What a check found, in the words of a monitoring plug-in.

A rule is a pure function: what was observed, and what is wanted, to breaches. `report` makes a verdict of them; the
commands print it. Not having been able to look is UNKNOWN, and never OK.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec


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
    """A number for the graphs of a monitoring system; `warn` and `crit` as in its thresholds, "" for none."""

    label: str
    value: int
    warn: str = ""
    crit: str = ""

    def __str__(self) -> str:
        return f"{self.label}={self.value};{self.warn};{self.crit}"


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


def counted(number: int, what: str) -> str:
    """`1 note`, `2 notes`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
