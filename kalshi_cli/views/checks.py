"""What checks print. Rules as in `rows`."""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_cli.core.monitoring.check_report import CheckReport
from kalshi_cli.views.formats import Prose, Verdict
from kalshi_cli.views.row import Row


class BreachRow(Row, frozen=True, kw_only=True):
    """One thing that is not as it should be."""

    subject: str
    value: Prose
    limit: Prose
    severity: str
    code: str

    shown = ("severity", "code", "subject", "value", "limit")


class MeasureRow(Row, frozen=True, kw_only=True):
    """A number with the ranges it is held against; empty where it is held against nothing. `text` is
    the number as it is to be read: money as everywhere, with four decimals."""

    label: str
    value: float
    text: str
    unit: str
    warn: str
    crit: str


class CheckLine(Row, frozen=True, kw_only=True):
    """The outcome of a check, for programs."""

    check: str
    status: Verdict
    exit_code: int
    summary: str
    breaches: tuple[BreachRow, ...]
    measures: tuple[MeasureRow, ...]
    runbook: str | None


class CheckView(CheckLine, frozen=True, kw_only=True):
    """The same; of `all` with the outcome of each in `checks`."""

    checks: tuple[CheckLine, ...]


def check_view(report: CheckReport, parts: Sequence[CheckReport] = ()) -> CheckView:
    return CheckView.of(_line(report), checks=tuple(map(_line, parts)))


def _line(report: CheckReport) -> CheckLine:
    return CheckLine(
        check=report.check,
        status=Verdict(report.verdict.name),
        exit_code=report.verdict.value,
        summary=report.summary,
        breaches=tuple(BreachRow.of(breach) for breach in report.breaches),
        measures=tuple(MeasureRow.of(measure) for measure in report.measures),
        runbook=report.runbook or None,
    )
