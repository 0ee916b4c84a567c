"""Results of checks, in the format of a monitoring plug-in.

A rule is a pure function from observations and limits to breaches. `report` combines them into a verdict, and the
commands print it. A check that could not look is UNKNOWN, never OK.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import partial

import msgspec

from kalshi_cli.base.ranges import parse_range
from kalshi_cli.base.text import safe_text
from kalshi_cli.core.model.effects import shown_subject
from kalshi_cli.core.monitoring.runbook_index import REMEDIES, runbook_for


class Verdict(IntEnum):
    """The exit codes of a monitoring plug-in. UNKNOWN is worse than WARNING."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


SEVERITIES = {"critical": Verdict.CRITICAL, "unknown": Verdict.UNKNOWN, "warning": Verdict.WARNING, "note": Verdict.OK}
"""The verdict for each severity of a breach, worst first. A note is shown and changes nothing."""


MAX_LEAD_LENGTH = 240
"""The longest first part of a summary: a pager shows no more."""

CAUSES = ("CREDENTIALS", "CLOCK", "STATE_UNUSABLE", "EXCHANGE_PAUSED")
"""Codes that cause others, the gravest first. Among equally severe breaches they come first."""

ECHO = "RECENT_ERRORS"
"""The code of alerts that were sent before: it comes last among equals, and its runbook is that of the alert."""

FOLLOWS = ("HEARTBEAT_LOST", "CYCLE_LATE", "BLIND", "FEED_DOWN")
"""Codes that a cause explains, even if the check could only not look."""


def with_unit(number: str, unit: str) -> str:
    """Return a number with its unit (`80 %`), unless the unit is empty or the number contains it.

    A range with one end becomes words: `5000:` of dollars is `$5000 or more`, `~:3` cents is `3 cents or less`.
    """
    if not number or not unit or unit in number:
        return number
    if number.endswith(":"):
        return f"{_with_sign(number[:-1], unit)} or more"
    if number.startswith("~:"):
        return f"{_with_sign(number[2:], unit)} or less"
    return _with_sign(number, unit)


def _with_sign(number: str, unit: str) -> str:
    return f"${number}" if unit == "$" else f"{number} {unit}"


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A violated limit: the subject, the value found and the limit. `code` is stable.

    `unit` is the unit of the limit, and of the value if that is a bare number; empty if they are words. `runbook` is
    the one to read, if it is not that of the code. `sent_as` is the code under which alert channels receive it as a
    warning, because an alert of the loop about it was sent; empty if they receive it as it is shown.
    """

    subject: str
    value: str
    limit: str
    severity: str
    code: str
    unit: str = ""
    runbook: str = ""
    sent_as: str = ""

    @property
    def as_sent(self) -> Breach:
        """Return the breach as alert channels receive it: an alert that stopped trading is no new alert."""
        if not self.sent_as:
            return self
        return msgspec.structs.replace(self, code=self.sent_as, severity="warning", sent_as="")

    @property
    def repeats(self) -> str:
        """Return the code of the earlier alert that it repeats; "" if it repeats none."""
        return self.subject.split(" ")[0] if self.code == ECHO else ""

    @property
    def wanted(self) -> str:
        """Return the limit with its unit: `80 %`, `10 contracts`, `$5000 or more`."""
        return with_unit(self.limit, self.unit)

    @property
    def text(self) -> str:
        """Return the breach in one line: `CYCLE_LATE the loop: 40 s (limit 30 s)`; words are not a limit.

        A range stays in the notation of the plug-in guidelines, without a unit: `5000:`.
        """
        word = "limit" if self._is_number else "expected:"
        shown = self.limit if ":" in self.limit else self.wanted
        limit = f" ({word} {shown})" if self.limit and self.code != ECHO else ""
        return f"{self.code} {shown_subject(self.code, self.subject)}: {self.value}{limit}"

    @property
    def bound(self) -> str:
        """Return the limit for a sentence: `limit 80 %`, `expected a running loop`; "" without a limit."""
        is_limit = self._is_number and not self.wanted.endswith(("or more", "or less"))
        return f"{'limit' if is_limit else 'expected'} {self.wanted}" if self.limit else ""

    @property
    def _is_number(self) -> bool:
        return any(map(str.isdigit, self.limit)) and not self.limit[0].isalpha()


def breach(severity: str, code: str, subject: str, value: str, limit: str, unit: str = "") -> Breach:
    """Return a breach, by default of a limit that is text or contains its unit."""
    return Breach(subject=subject, value=value, limit=limit, severity=severity, code=code, unit=unit)


critical, warning, note = partial(breach, "critical"), partial(breach, "warning"), partial(breach, "note")


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A number for the graphs of a monitoring system. `warn` and `crit` are its threshold ranges, empty for none.

    `unit` is one of the plug-in guidelines: empty, s, ms, %, or c for a counter.
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
        """Return the number as text; amounts (`..._usd`) with four decimals, like all amounts."""
        if self.label.endswith("_usd"):
            return f"{self.value:.4f}"
        return f"{self.value}{self.unit}" if isinstance(self.value, int) else f"{self.value:g}{self.unit}"

    @property
    def verdict(self) -> Verdict:
        """Return the verdict of its own thresholds."""
        if self.crit and parse_range(self.crit).is_breached(self.value):
            return Verdict.CRITICAL
        if self.warn and parse_range(self.warn).is_breached(self.value):
            return Verdict.WARNING
        return Verdict.OK

    def breach(self, code: str, subject: str, value: str = "") -> tuple[Breach, ...]:
        """Return the violated threshold as a breach, if any; `value` is the text shown to the user."""
        verdict = self.verdict
        if verdict is Verdict.OK:
            return ()
        limit = self.crit if verdict is Verdict.CRITICAL else self.warn
        shown = value or f"{self.value:g}{self.unit}"
        return (breach(verdict.name.lower(), code, subject, shown, limit, self._counted_in),)

    @property
    def _counted_in(self) -> str:
        """Return its unit for display: `%`, `$`, or the words of its label."""
        words = {"_usd": "$", "_cents": "cents", "_gb": "GB", "_inodes": "inodes"}
        called = next((word for end, word in words.items() if self.label.endswith(end)), self.label.replace("_", " "))
        return called if self.unit in ("", "c") else self.unit


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check. `runbook` is what to read if it is not OK."""

    check: str
    verdict: Verdict
    summary: str
    breaches: tuple[Breach, ...] = ()
    measures: tuple[Measure, ...] = ()
    runbook: str = ""

    @property
    def first_line(self) -> str:
        """Return the line that monitoring systems parse: `KALSHI SCHEMA OK - 23 routes | routes=23;; missing=0;;0`."""
        line = f"KALSHI {self.check.upper()} {self.verdict.name} - {self.summary.replace('|', '/')}"
        return f"{line} | {' '.join(map(str, self.measures))}" if self.measures else line


def _runbook(lead: Breach) -> str:
    """Return the runbook of a breach: its own, or that of its code; of a repeated alert that of the alert."""
    alert = lead.repeats
    return lead.runbook or (alert in REMEDIES and REMEDIES[alert].runbook) or runbook_for(lead.code).runbook


def verdict_of(breaches: Sequence[Breach]) -> Verdict:
    """Return the verdict of breaches: CRITICAL, then UNKNOWN, WARNING and OK."""
    found = {breach.severity for breach in breaches}
    return next((verdict for severity, verdict in SEVERITIES.items() if severity in found), Verdict.OK)


def report(
    check: str, summary: str, breaches: Iterable[Breach] = (), measures: Sequence[Measure] = (), *, of: str = ""
) -> CheckReport:
    """Return the outcome of a check, the worst breaches first.

    If it is not OK, the summary starts with the worst breach or its cause, and the runbook is for that one. `of` names
    the check that found it, if there are several.
    """
    ordered = tuple(sort_by_severity(breaches))
    verdict, runbook = verdict_of(ordered), ""
    if verdict is not Verdict.OK:
        lead = cause_of(ordered)
        said = safe_text(f"{of}: {lead.text}" if of else lead.text, MAX_LEAD_LENGTH)
        is_all = summary in ("", lead.value, f"{lead.subject} {lead.value}")
        summary, runbook = said if is_all else f"{said}; {summary}", _runbook(lead)
    return CheckReport(
        check=check, verdict=verdict, summary=summary, breaches=ordered, measures=tuple(measures), runbook=runbook
    )


def sort_by_severity(breaches: Iterable[Breach]) -> list[Breach]:
    """Sort breaches by severity; among equals, causes come first."""
    ranks = list(SEVERITIES)
    return sorted(breaches, key=lambda breach: (ranks.index(breach.severity), _cause_rank(breach)))


def cause_of(ordered: Sequence[Breach]) -> Breach:
    """Return the worst breach, or the one that caused it."""
    worst = ordered[0]
    if worst.code not in FOLLOWS:
        return worst
    causes = [each for each in ordered if each.code in CAUSES and each.severity in ("critical", "unknown")]
    return min(causes, key=_cause_rank, default=worst)


def _cause_rank(breach: Breach) -> int:
    if breach.code in CAUSES:
        return CAUSES.index(breach.code)
    return len(CAUSES) + (breach.code == ECHO)


def each_cause_once(breaches: Sequence[Breach]) -> list[Breach]:
    """Return the breaches; of several UNKNOWN ones with the same cause only the first, and no repeated alert of one."""
    kept: dict[object, Breach] = {}
    codes = {each.code for each in breaches}
    for each in breaches:
        if each.repeats not in codes:
            kept.setdefault((each.code, each.value) if each.severity == "unknown" else each, each)
    return list(kept.values())


def without_repeated_causes(reports: Sequence[CheckReport]) -> list[CheckReport]:
    """Return the reports; one that is UNKNOWN for the same cause as an earlier one names that check instead.

    So does one that repeats an alert which another check reports.
    """
    first: dict[tuple[str, str], str] = {}
    for each in reports:
        for breach in each.breaches:
            first.setdefault((breach.code, ""), each.check)
    return [_referring(each, first) for each in reports]


def _referring(found: CheckReport, first: dict[tuple[str, str], str]) -> CheckReport:
    """Replace each cause that is in `first`, with the check that named it; add the others."""
    summary = found.summary
    for each in found.breaches:
        at = first.setdefault((each.code, each.value), found.check)
        said, code = safe_text(each.text, MAX_LEAD_LENGTH), each.repeats or each.code
        if each.severity == "unknown" and at != found.check:
            summary = summary.replace(said, f"{code}, the same cause as {at}")
        elif (at := first.get((each.repeats, ""), found.check)) != found.check:
            summary = summary.replace(said, f"{code}, the same as {at}")
    return msgspec.structs.replace(found, summary=summary)


def counts_by_verdict(parts: Sequence[CheckReport]) -> str:
    """Return the checks by result, the worst first, and how many are OK."""
    failed = [
        f"{verdict.name}: {', '.join(names)}"
        for verdict in SEVERITIES.values()
        if verdict is not Verdict.OK and (names := [part.check for part in parts if part.verdict is verdict])
    ]
    good = sum(part.verdict is Verdict.OK for part in parts)
    return "; ".join((*failed, f"{good} of {len(parts)} checks OK"))
