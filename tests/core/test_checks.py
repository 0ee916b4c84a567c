"""What a check found, in the words of a monitoring plug-in."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kalshi_cli.core.checks import Breach, CheckReport, Measure, Verdict, counted, report, verdict_of


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


@pytest.mark.parametrize(
    ("value", "verdict", "limit"),
    [(5, Verdict.OK, ""), (15, Verdict.WARNING, "10"), (25, Verdict.CRITICAL, "20")],
)
def test_a_measure_is_held_against_its_own_thresholds(value: int, verdict: Verdict, limit: str) -> None:
    measure = Measure(label="age", value=value, unit="s", warn="10", crit="20")
    assert measure.verdict is verdict
    assert [(b.limit, b.value, b.severity, b.code) for b in measure.breach("OLD", "loop")] == (
        [] if verdict is Verdict.OK else [(limit, f"{value}s", verdict.name.lower(), "OLD")]
    )


def test_a_measure_without_thresholds_is_never_a_breach() -> None:
    assert Measure(label="age", value=1e9).breach("OLD", "loop") == ()


def test_numbers_are_written_as_graphs_read_them() -> None:
    measures = (
        Measure(label="a", value=0.1 + 0.2, unit="s"),
        Measure(label="b", value=1e6),
        Measure(label="c", value=7),
    )
    assert [str(measure) for measure in measures] == ["a=0.3s;;", "b=1000000;;", "c=7;;"]


def test_a_report_puts_the_worst_first_and_names_its_runbook() -> None:
    found = report("x", "s", [breach("note"), breach("warning"), replace(breach("critical"), code="DAILY_LOSS")])
    assert [each.severity for each in found.breaches] == ["critical", "warning", "note"]
    assert (found.verdict, found.runbook) == (Verdict.CRITICAL, "daily-loss")


def test_a_report_of_what_is_fine_names_no_runbook() -> None:
    assert report("x", "s", [breach("note")]).runbook == ""
    assert report("x", "s") == CheckReport(check="x", verdict=Verdict.OK, summary="s")
