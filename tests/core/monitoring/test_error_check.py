"""What `check errors` makes of alerts: which count, how they are put together, what each breach says."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.check_report import Measure
from kalshi_cli.core.monitoring.error_check import ALL_CANCELED, OVER_MS, HaltState, disabled_strategy_breaches, errors

COUNT = Measure(label="errors", value=0, warn="0", crit="10")


def alert(code: str = "BLIND", subject: str = "account", ts: int = 0, tier: str = "critical") -> AlertRaised:
    return AlertRaised(Ts(ts), tier, code, subject, f"text {ts}")


@pytest.mark.parametrize(("count", "severity"), [(0, ""), (1, "warning"), (10, "warning"), (11, "critical")])
def test_errors_are_counted_all_together(count: int, severity: str) -> None:
    alerts = [alert(subject=f"s{number % 2}") for number in range(count)]
    breaches, measure = errors([*alerts, alert(tier="warning"), alert(tier="info")], COUNT, halt=HaltState(), now=Ts(1))
    assert measure.value == count
    assert {breach.severity for breach in breaches} == ({severity} if severity else set())


def test_each_cause_is_one_breach_with_its_number_and_its_last_words_and_the_most_are_first() -> None:
    breaches, _ = errors(
        [alert(ts=1000), alert("CLOCK", "host", 3000), alert("CLOCK", "host", 2000)], COUNT, halt=HaltState(), now=Ts(1)
    )
    assert [(breach.code, breach.subject, breach.value) for breach in breaches] == [
        ("RECENT_ERRORS", "CLOCK host", "2 times, last at 1970-01-01T00:00:03Z: text 3000"),
        ("RECENT_ERRORS", "BLIND account", "at 1970-01-01T00:00:01Z: text 1000"),
    ]


def test_what_is_over_says_so_without_its_old_words_and_comes_after_what_stands() -> None:
    alerts = [
        alert(ts=1000), alert(ts=2000), alert("SIGHTED", ts=4000, tier="info"), alert("SIGHTED", ts=9000, tier="info"),
        alert("CANCEL_ALL_RESULT", ts=3000), *[alert("CLOCK", "host", 7000)] * 11, alert("BLIND", "shard 1", 7000),
    ]  # fmt: skip
    breaches, _ = errors(alerts, COUNT, halt=HaltState(resumed=Ts(6000)), now=Ts(9000))
    assert [(each.severity, each.subject, each.value) for each in breaches] == [
        ("critical", "CLOCK host", "11 times, last at 1970-01-01T00:00:07Z: text 7000"),
        ("critical", "BLIND shard 1", "at 1970-01-01T00:00:07Z: text 7000"),
        (
            "warning", "BLIND account",
            "over since 1970-01-01T00:00:04Z; it happened 2 times, last at 1970-01-01T00:00:02Z",
        ),
        (
            "warning", "CANCEL_ALL_RESULT account",
            "over, trading was resumed since; it happened at 1970-01-01T00:00:03Z",
        ),
    ]  # fmt: skip
    assert [each.runbook for each in breaches] == ["", "", "recent-errors", "recent-errors"]


def test_the_end_that_a_check_saw_counts_until_the_alert_comes_again() -> None:
    alerts = [alert("EXCHANGE_PAUSED", ts=1_000)] * 11
    ended = {("EXCHANGE_PAUSED", "account"): Ts(5_000)}
    (over,), _ = errors(alerts, COUNT, halt=HaltState(), now=Ts(9_000), ended=ended)
    assert (over.severity, over.value[:30]) == ("warning", "over since 1970-01-01T00:00:05")
    again = [*alerts, alert("EXCHANGE_PAUSED", ts=6_000)]
    (standing,), _ = errors(again, COUNT, halt=HaltState(), now=Ts(9_000), ended=ended)
    assert standing.value.startswith("12 times, last at 1970-01-01T00:00:06Z: text")


def test_a_kill_switch_that_verified_nothing_is_over_with_a_later_one_that_did() -> None:
    failed = replace(alert("CANCEL_ALL_RESULT", ts=2_000), text="did NOT verify; orders may be live")
    verified = replace(alert("CANCEL_ALL_RESULT", ts=5_000), text=f"the kill switch canceled 3 orders, {ALL_CANCELED}")
    (over,), _ = errors([verified, failed], COUNT, halt=KILLED, now=Ts(9_000))
    assert (over.severity, over.value[:30]) == ("warning", "over since 1970-01-01T00:00:05")
    (standing,), _ = errors([replace(failed, ts=Ts(6_000)), verified], COUNT, halt=KILLED, now=Ts(9_000))
    assert standing.value.endswith("orders may be live")


KILLED = HaltState(code="CANCEL_ALL", since=Ts(1_000))


@pytest.mark.parametrize(
    ("found", "halt", "count"),
    [
        (alert("CANCEL_ALL", ts=1_000), KILLED, 0),
        (replace(alert("CANCEL_ALL_RESULT"), text=f"the kill switch canceled 1 order, {ALL_CANCELED}"), KILLED, 0),
        (replace(alert("CANCEL_ALL_RESULT"), text="orders may be live"), KILLED, 1),
        (alert("PAUSED", ts=1_000), HaltState(), 0),
        (alert("GROUP_TRIGGERED", "g", 1_500), KILLED, 0),
        (alert("GROUP_TRIGGERED", "g", 1_500), HaltState(code="DAILY_LOSS", since=Ts(1_000)), 1),
        (alert("GROUP_TRIGGERED", "g", 1_500), HaltState(resumed=Ts(1_501)), 0),
        (alert("GROUP_TRIGGERED", "g", 1_500), HaltState(resumed=Ts(1_500)), 1),
        (alert("GROUP_TRIGGERED", "g", 1_500), HaltState(code="PAUSED", since=Ts(1_600), resumed=Ts(1_501)), 0),
        (alert("CLOCK", ts=1_500), KILLED, 1),
    ],
)
def test_what_a_person_did_is_no_error(found: AlertRaised, halt: HaltState, count: int) -> None:
    assert errors([found], COUNT, halt=halt, now=Ts(2_000))[1].value == count


@pytest.mark.parametrize(("later_ms", "count"), [(OVER_MS, 1), (OVER_MS + 1, 0)])
def test_what_is_over_counts_for_ten_minutes_more(later_ms: int, count: int) -> None:
    now = Ts(1_000 + later_ms)
    sighted = alert("SIGHTED", ts=2_000, tier="info")
    assert errors([sighted, alert(ts=1_000)], COUNT, halt=HaltState(), now=now)[1].value == count
    resumed = HaltState(resumed=Ts(3_000))
    assert errors([alert("DAILY_LOSS", ts=1_000)], COUNT, halt=resumed, now=now)[1].value == count
    assert errors([alert(ts=1_000)], COUNT, halt=HaltState(), now=now)[1].value == 1
    assert errors([alert("DAILY_LOSS", ts=4_000)], COUNT, halt=resumed, now=now)[1].value == 1


def test_however_many_are_over_they_are_a_warning() -> None:
    many, only_crit = [alert("CLOCK", ts=1_000) for _ in range(11)], Measure(label="errors", value=0, crit="10")
    for measure in (COUNT, only_crit):
        breaches, _ = errors(many, measure, halt=HaltState(resumed=Ts(2_000)), now=Ts(3_000))
        assert [breach.severity for breach in breaches] == ["warning"]
    breaches, _ = errors(many, COUNT, halt=HaltState(), now=Ts(3_000))
    assert [breach.severity for breach in breaches] == ["critical"]


def test_a_strategy_that_failed_is_out_and_one_that_was_only_loud_is_not() -> None:
    alerts = [alert("STRATEGY_FAILED", "spike"), alert("STRATEGY_HUNG", "slow"), alert("STRATEGY_FLOOD", "loud")]
    assert [(breach.subject, breach.severity) for breach in disabled_strategy_breaches(alerts)] == [
        ("slow", "critical"),
        ("spike", "critical"),
    ]
