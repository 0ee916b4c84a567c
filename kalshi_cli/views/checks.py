"""Views of checks. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.views.formats import TruncatableText, Verdict
from kalshi_cli.views.row import OutputRow, names


class BreachRow(OutputRow, frozen=True, kw_only=True):
    """A finding of a check."""

    subject: str
    value: TruncatableText
    limit: TruncatableText
    severity: str
    code: str

    shown = ("severity", "code", "subject", "value", "limit")


class MeasureRow(OutputRow, frozen=True, kw_only=True):
    """A number and the ranges that it is checked against; empty without ranges.

    `text` is the number as displayed, money with four decimals.
    """

    label: str
    value: float
    text: str
    unit: str
    warn: str
    crit: str


class CheckLine(OutputRow, frozen=True, kw_only=True):
    """The outcome of a check, for programs."""

    check: str
    status: Verdict
    exit_code: int
    summary: TruncatableText
    breaches: tuple[BreachRow, ...]
    measures: tuple[MeasureRow, ...]
    runbook: str | None

    named = names(status="verdict.name", exit_code="verdict.value")
    shown = ("check", "status", "summary")
    wraps = True


class CheckView(CheckLine, frozen=True, kw_only=True):
    """The outcome of a check; for `all`, `checks` has the outcome of each."""

    checks: tuple[CheckLine, ...]


class HealthRow(OutputRow, frozen=True, kw_only=True):
    """The result of one part of the health check. A narrow terminal shows hints below the table."""

    check: str
    status: Verdict
    latency_ms: float | None
    detail: TruncatableText
    hint: TruncatableText | None

    named = names(status="verdict.name")
    wraps = True
