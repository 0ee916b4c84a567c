"""What a check found, in the words of a monitoring plug-in."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kalshi_cli.base.units import pluralize
from kalshi_cli.core.monitoring.check_report import (
    ECHO,
    Breach,
    CheckReport,
    Measure,
    Verdict,
    counts_by_verdict,
    each_cause_once,
    report,
    verdict_of,
    without_repeated_causes,
)


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


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        ("50", "DAY_LOSS account: x (limit 50)"),
        ("-2:", "DAY_LOSS account: x (limit -2:)"),
        ("$1.00", "DAY_LOSS account: x (limit $1.00)"),
        ("canceled after 90 s", "DAY_LOSS account: x (expected: canceled after 90 s)"),
        ("active", "DAY_LOSS account: x (expected: active)"),
        ("", "DAY_LOSS account: x"),
    ],
)
def test_a_limit_is_a_number_and_words_are_expected(limit: str, shown: str) -> None:
    assert Breach(subject="account", value="x", limit=limit, severity="critical", code="DAY_LOSS").text == shown


@pytest.mark.parametrize(
    ("limit", "unit", "shown"),
    [
        ("100", "%", "(limit 100 %)"),
        ("30", "s", "(limit 30 s)"),
        ("50", "$", "(limit $50)"),
        ("5000:", "$", "(limit 5000:)"),
    ],
)
def test_a_limit_names_its_unit_and_a_range_stays_in_its_notation(limit: str, unit: str, shown: str) -> None:
    breach = Breach(subject="account", value="x", limit=limit, severity="critical", code="DAY_LOSS", unit=unit)
    assert breach.text == f"DAY_LOSS account: x {shown}"


def test_a_repeated_alert_of_a_group_names_it_by_the_short_id_too() -> None:
    breach = Breach(subject="GROUP_TRIGGERED 0123456789", value="x", limit="0", severity="warning", code=ECHO)
    assert breach.text == f"{ECHO} GROUP_TRIGGERED 01234567: x"


def test_without_numbers_there_is_no_bar() -> None:
    report = CheckReport(check="schema", verdict=Verdict.UNKNOWN, summary="no answer")
    assert report.first_line == "KALSHI SCHEMA UNKNOWN - no answer"


def test_one_is_told_from_many() -> None:
    assert [pluralize(number, "note") for number in (0, 1, 2)] == ["0 notes", "1 note", "2 notes"]


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


def test_what_is_not_ok_says_first_what_is_worst_in_words_and_the_rest_after_it() -> None:
    halted = Breach(subject="the loop", value="halted by CANCEL_ALL", limit="active", severity="critical", code="STOP")
    found = report("x", "a cycle 2 s ago", [breach("warning"), halted])
    assert found.summary == "STOP the loop: halted by CANCEL_ALL (expected: active); a cycle 2 s ago"
    assert report("x", "a cycle 2 s ago", [breach("note")]).summary == "a cycle 2 s ago"
    assert report("x", "v", [breach("warning")], of="part").summary == "part: C s: v (expected: l)"


def test_however_much_there_is_to_say_the_rest_is_seen_too() -> None:
    found = report("x", "rest", [replace(breach("critical"), value="v" * 5_000)])
    assert len(found.summary) < 260
    assert found.summary.endswith("…; rest")


def test_one_cause_is_named_before_what_follows_from_it() -> None:
    lost, key = replace(breach("critical"), code="HEARTBEAT_LOST"), replace(breach("unknown"), code="CREDENTIALS")
    assert report("all", "s", [lost, key]).runbook == "credentials-refused"
    assert report("all", "s", [lost, replace(key, severity="critical")]).runbook == "credentials-refused"
    assert report("all", "s", [lost]).runbook == "heartbeat-lost"
    assert report("all", "s", [replace(lost, code="DAILY_LOSS"), key]).runbook == "daily-loss"
    assert report("all", "s", [replace(lost, code="PAUSED", runbook="daily-loss")]).runbook == "daily-loss"


def test_money_is_also_a_text_that_nothing_rounds() -> None:
    assert Measure(label="cash_usd", value=979.2698).text == "979.2698"
    assert Measure(label="age", value=1.5, unit="s").text == "1.5s"
    assert Measure(label="disk_free_inodes", value=16_222_629).text == "16222629", "not 1.62226e+07"
    (low,) = Measure(label="disk_free_gb", value=0.5, warn="1:").breach("DISK_SPACE", "/var", "0.50 GB free")
    assert low.wanted == "1 GB or more"


@pytest.mark.parametrize(
    ("limit", "unit", "bound"),
    [("20", "%", "limit 20 %"), ("$50.00", "", "limit $50.00"), ("a running loop", "", "expected a running loop"),
     ("5000:", "$", "expected $5000 or more"), ("~:3", "cents", "expected 3 cents or less"), ("12", "$", "limit $12")],
)  # fmt: skip
def test_a_sentence_calls_a_number_a_limit_and_words_an_expectation(limit: str, unit: str, bound: str) -> None:
    assert replace(breach("critical"), limit=limit, unit=unit).bound == bound


def test_a_breach_without_a_limit_has_no_bound() -> None:
    assert replace(breach("critical"), limit="").bound == ""


def test_a_cause_of_several_unknown_checks_is_said_once() -> None:
    def found(check: str, severity: str, summary: str) -> CheckReport:
        each = replace(breach(severity), subject=check, code="STATE_UNUSABLE", value="damaged", limit="")
        return report(check, summary, [each])

    parts = [found("heartbeat", "unknown", "s"), found("pnl", "unknown", "today $1.00"), found("api", "critical", "s")]
    assert [each.summary for each in without_repeated_causes(parts)] == [
        "STATE_UNUSABLE heartbeat: damaged; s",
        "STATE_UNUSABLE, the same cause as heartbeat; today $1.00",
        "STATE_UNUSABLE api: damaged; s",
    ]
    breaches = [each for part in parts for each in part.breaches]
    assert [each.subject for each in each_cause_once(breaches)] == ["heartbeat", "api"]


def test_an_alert_of_before_is_said_once_where_another_check_reports_it() -> None:
    stopped = replace(breach("critical"), subject="the loop", code="DAILY_LOSS", value="lost $3", limit="")
    before = Breach(subject="DAILY_LOSS account", value="lost $3", limit="0", severity="warning", code="RECENT_ERRORS")
    other = replace(before, subject="DRIFT account")
    parts = [report("heartbeat", "s", [stopped]), report("errors", "1 error", [before])]
    for ordered in (parts, parts[::-1]):
        said = {each.check: each.summary for each in without_repeated_causes(ordered)}
        assert said == {
            "heartbeat": "DAILY_LOSS the loop: lost $3; s",
            "errors": "DAILY_LOSS, the same as heartbeat; 1 error",
        }
    assert each_cause_once([before, stopped, other]) == [stopped, other]
    (alone,) = without_repeated_causes(parts[1:])
    assert alone.summary == "RECENT_ERRORS DAILY_LOSS account: lost $3; 1 error"


def test_an_alert_of_before_comes_after_what_is_found_now_and_has_its_own_runbook() -> None:
    before = Breach(subject="API_GUARD orders", value="v", limit="0", severity="warning", code="RECENT_ERRORS")
    now = replace(before, subject="g1", limit="reset", code="GROUP_TRIGGERED")
    assert report("all", "", [before, now]).runbook == "group-triggered"
    assert (report("errors", "", [before]).runbook, before.text) == ("api-guard", "RECENT_ERRORS API_GUARD orders: v")
    assert report("errors", "", [replace(before, subject="NEWS a")]).runbook == "recent-errors"


def test_the_checks_are_counted_by_result_the_worst_first() -> None:
    severities = ("warning", "critical", "unknown", "note", "critical")
    parts = [report(f"c{number}", "", [breach(severity)]) for number, severity in enumerate(severities)]
    assert counts_by_verdict(parts) == "CRITICAL: c1, c4; UNKNOWN: c2; WARNING: c0; 1 of 5 checks OK"
    assert counts_by_verdict(parts[3:4]) == "1 of 1 checks OK"


def test_a_halt_by_an_alert_that_was_sent_reaches_alert_channels_as_a_warning_of_that_alert() -> None:
    halt = replace(breach("critical"), sent_as="FEED_DOWN")
    assert halt.as_sent == replace(halt, severity="warning", code="FEED_DOWN", sent_as="")
    assert breach("critical").as_sent == breach("critical")
