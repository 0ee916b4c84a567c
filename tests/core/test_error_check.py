"""What `check errors` makes of alerts: which count, how they are put together, what each breach says."""

from __future__ import annotations

import pytest

from kalshi_cli.core.checks import Measure
from kalshi_cli.core.error_check import errors, strategies_out
from kalshi_cli.core.messages import Alert
from kalshi_cli.units import Ts

COUNT = Measure(label="errors", value=0, warn="0", crit="10")


def alert(code: str = "BLIND", subject: str = "account", ts: int = 0, tier: str = "critical") -> Alert:
    return Alert(Ts(ts), tier, code, subject, f"text {ts}")


@pytest.mark.parametrize(("count", "severity"), [(0, ""), (1, "warning"), (10, "warning"), (11, "critical")])
def test_errors_are_counted_all_together(count: int, severity: str) -> None:
    alerts = [alert(subject=f"s{number % 2}") for number in range(count)]
    breaches, measure = errors([*alerts, alert(tier="warning"), alert(tier="info")], COUNT)
    assert measure.value == count
    assert {breach.severity for breach in breaches} == ({severity} if severity else set())


def test_each_cause_is_one_breach_with_its_number_and_its_last_words_and_the_most_are_first() -> None:
    breaches, _ = errors([alert(ts=1000), alert("CLOCK", "host", 3000), alert("CLOCK", "host", 2000)], COUNT)
    assert [(breach.code, breach.subject, breach.value) for breach in breaches] == [
        ("RECENT_ERRORS", "CLOCK host", "2 times, last at 1970-01-01T00:00:03Z: text 3000"),
        ("RECENT_ERRORS", "BLIND account", "at 1970-01-01T00:00:01Z: text 1000"),
    ]


def test_a_strategy_that_failed_is_out_and_one_that_was_only_loud_is_not() -> None:
    alerts = [alert("STRATEGY_FAILED", "spike"), alert("STRATEGY_HUNG", "slow"), alert("STRATEGY_FLOOD", "loud")]
    assert [(breach.subject, breach.severity) for breach in strategies_out(alerts)] == [
        ("slow", "critical"),
        ("spike", "critical"),
    ]
