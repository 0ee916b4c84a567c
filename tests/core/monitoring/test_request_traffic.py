"""How failures are counted over two windows, what a percentile is, and that little says nothing."""

from __future__ import annotations

import pytest

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.request_traffic import (
    RequestMinute,
    failed_pct,
    failing,
    gaps,
    is_failure,
    only_failures,
    p99,
    readable,
)

NOW = Ts(100 * 60_000 + 30_000)


def minutes(*counts: tuple[int, int, int]) -> list[RequestMinute]:
    """(minutes ago, requests, failures)."""
    return [RequestMinute(minute=100 - ago, requests=requests, failures=failures) for ago, requests, failures in counts]


def test_what_got_no_usable_answer_or_a_rejected_key_failed_and_another_refusal_is_an_answer() -> None:
    statuses = (0, 200, 401, 403, 404, 429, 500, 503)
    assert [status for status in statuses if is_failure(status)] == [0, 401, 429, 500, 503]


@pytest.mark.parametrize(
    ("values", "expected"), [([], None), ([7.0], 7.0), (range(10), 9), (range(100), 98), (range(1000), 989)]
)
def test_the_99th_percentile_is_the_value_that_a_hundredth_is_beyond(values: range, expected: float | None) -> None:
    assert p99(values) == expected


def test_a_share_is_over_this_minute_and_the_whole_ones_of_the_window() -> None:
    seen = minutes((0, 10, 1), (2, 10, 9), (3, 80, 80))
    assert failed_pct(seen, NOW, 2) == 50
    assert failed_pct(seen, NOW, 3) == 90
    assert failed_pct(minutes((0, 9, 9)), NOW, 2) is None


def judged(*counts: tuple[int, int, int]) -> list[str]:
    return [breach.severity for breach in failing(minutes(*counts), NOW, "5", "20")[0]]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([(0, 50, 15), (5, 50, 15)], ["critical"]),
        ([(0, 50, 15), (5, 500, 0)], []),  # it has just begun: the long window does not have it yet
        ([(0, 50, 0), (5, 50, 50)], ["warning"]),  # it is over, and the last quarter of an hour was bad
        ([(0, 50, 5), (20, 50, 5)], ["warning"]),
        ([(0, 100, 0), (20, 100, 90)], []),  # it was bad, and is well for a quarter of an hour
        ([(0, 50, 1), (5, 50, 1)], []),
        ([(0, 5, 5)], []),
        ([], []),
    ],
)
def test_failures_count_only_where_both_windows_have_too_many(
    counts: list[tuple[int, int, int]], expected: list[str]
) -> None:
    assert judged(*counts) == expected


def test_the_measures_are_the_lesser_share_of_each_pair_of_windows() -> None:
    _, measures = failing(minutes((0, 10, 5), (5, 90, 0), (30, 100, 0)), NOW, "5", "20")
    assert [(measure.label, measure.value, measure.warn, measure.crit) for measure in measures] == [
        ("api_errors_pct", 5.0, "", "20"),
        ("api_errors_hour_pct", 2.5, "5", ""),
    ]
    assert failing(minutes((0, 5, 5)), NOW, "5", "20")[1] == []


def test_a_breach_names_its_windows_so_that_an_outage_that_is_over_is_not_taken_for_one_that_lasts() -> None:
    (now,), _ = failing(minutes((0, 50, 15)), NOW, "5", "20")
    (over,), _ = failing(minutes((0, 5, 0), (5, 50, 25)), NOW, "5", "20")
    assert (now.severity, now.value) == ("critical", "30% of requests failed, in the last 2 minutes and in the last 10")
    assert (over.severity, over.value.partition(", ")[2]) == ("warning", "in the last 15 minutes and in the last 60")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([(0, 1, 1)], True),
        ([(0, 3, 3), (2, 2, 2), (3, 500, 0)], True),
        ([(0, 3, 3), (2, 2, 1)], False),
        ([(3, 5, 5)], False),
        ([(0, 0, 0)], False),
        ([], False),
    ],
)
def test_only_failures_need_a_request_of_the_last_minutes_and_no_answer(
    counts: list[tuple[int, int, int]], expected: bool
) -> None:
    assert only_failures(minutes(*counts), NOW) is expected


def test_gaps_of_the_last_minutes_are_counted() -> None:
    seen = [RequestMinute(minute=100, gaps=1), RequestMinute(minute=90, gaps=2), RequestMinute(minute=89, gaps=4)]
    assert gaps(seen, NOW) == 3


@pytest.mark.parametrize(
    ("alerts", "left"),
    [
        ((), [8, 7, 6, 5, 4, 3]),
        (("SIGHTED", 5), [4, 3]),
        (("BLIND", 7, "SIGHTED", 5), [8, 4, 3]),
        (("BLIND", 8, "SIGHTED", 7, "BLIND", 4, "SIGHTED", 4), [6, 5, 3]),
        (("BLIND", 8, "SIGHTED", 7, "BLIND", 4), [6, 5, 4, 3]),
        (("API_SLOW", 5), [8, 7, 6, 5, 4, 3]),
    ],
)
def test_minutes_in_which_the_account_could_not_be_read_are_left_out_once_that_is_over(
    alerts: tuple[str | int, ...], left: list[int]
) -> None:
    raised = [
        AlertRaised(Ts((100 - int(ago)) * 60_000 + at), "critical", str(code), "account", "")
        for at, (code, ago) in enumerate(zip(alerts[::2], alerts[1::2], strict=True))
    ]
    seen = minutes(*((ago, 1, 1) for ago in range(8, 2, -1)))
    assert [100 - each.minute for each in readable(seen, reversed(raised))] == left
