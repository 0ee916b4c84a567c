"""What a check found, in the words of a monitoring plug-in."""

from __future__ import annotations

import pytest

from kalshi_cli.core.checks import Breach, CheckReport, Measure, Verdict, counted, verdict_of


def breach(severity: str) -> Breach:
    return Breach(subject="s", value="v", limit="l", severity=severity, code="C")


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [
        ((), Verdict.OK),
        (("note", "note"), Verdict.OK),
        (("note", "warning"), Verdict.WARNING),
        (("warning", "unknown"), Verdict.UNKNOWN),
        (("unknown", "critical", "note"), Verdict.CRITICAL),
    ],
)
def test_the_worst_decides_and_not_having_been_able_to_look_is_worse_than_a_warning(severities, verdict) -> None:
    assert verdict_of([breach(severity) for severity in severities]) is verdict


def test_the_first_line_is_what_monitoring_systems_parse() -> None:
    report = CheckReport(
        check="schema",
        verdict=Verdict.CRITICAL,
        summary="2 routes | 1 critical",
        measures=(Measure(label="routes", value=2), Measure(label="missing", value=1, warn="", crit="0")),
    )
    # One bar only: what follows it are numbers.
    assert report.first_line == "KALSHI SCHEMA CRITICAL - 2 routes / 1 critical | routes=2;; missing=1;;0"


def test_without_numbers_there_is_no_bar() -> None:
    report = CheckReport(check="schema", verdict=Verdict.UNKNOWN, summary="no answer")
    assert report.first_line == "KALSHI SCHEMA UNKNOWN - no answer"


def test_one_is_told_from_many() -> None:
    assert [counted(number, "note") for number in (0, 1, 2)] == ["0 notes", "1 note", "2 notes"]
