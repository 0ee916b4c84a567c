"""What checks print. Rules as in `rows`."""

from __future__ import annotations

from kalshi_cli.cli.rows.base import Row
from kalshi_cli.cli.screen.cells import Prose, Verdict
from kalshi_cli.core.checks import CheckReport


class BreachRow(Row, frozen=True, kw_only=True):
    """One thing that is not as it should be."""

    subject: str
    value: Prose
    limit: Prose
    severity: str
    code: str

    shown = ("severity", "code", "subject", "value", "limit")


class CheckView(Row, frozen=True, kw_only=True):
    """The outcome of a check, for programs."""

    check: str
    status: Verdict
    exit_code: int
    summary: str
    breaches: tuple[BreachRow, ...]
    runbook: str


def check_view(report: CheckReport) -> CheckView:
    return CheckView(
        check=report.check,
        status=Verdict(report.verdict.name),
        exit_code=report.verdict.value,
        summary=report.summary,
        breaches=tuple(BreachRow.of(breach) for breach in report.breaches),
        runbook=report.runbook,
    )
