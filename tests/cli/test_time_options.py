"""`--since` and `--until` take a duration back from now, a date or a time."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.cli.time_options import moment_of, when_from_user, year_of

NEW_YORK = ZoneInfo("America/New_York")
NOW = parse_ts("2026-11-22T15:00:00Z")


@pytest.mark.parametrize(
    ("typed", "moment"),
    [
        ("24h", "2026-11-21T15:00:00Z"),
        ("7d", "2026-11-15T15:00:00Z"),
        ("2026-11-01", "2026-11-01T04:00:00Z"),
        ("2026-11-03", "2026-11-03T05:00:00Z"),
        ("2026-11-03T09:30", "2026-11-03T14:30:00Z"),
        ("2026-11-03T09:30:00Z", "2026-11-03T09:30:00Z"),
        ("2026-11-03T09:30:00-05:00", "2026-11-03T14:30:00Z"),
    ],
)
def test_a_period_is_a_duration_a_date_or_a_time(typed: str, moment: str) -> None:
    assert moment_of(when_from_user(typed), NOW, NEW_YORK) == parse_ts(moment)


@pytest.mark.parametrize("typed", ["", "24", "20261101", "yesterday", "2026-13-01", "2026-11", "0h", "-1h"])
def test_anything_else_is_an_error(typed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        when_from_user(typed)


def test_the_error_of_a_word_names_durations_and_dates() -> None:
    with pytest.raises(ValueError, match="'yesterday' is not a time; use 24h, 7d or a date such as 2026-11-01"):
        when_from_user("yesterday")


def test_a_year_begins_and_ends_at_midnight_of_the_zone() -> None:
    assert year_of(2026, NEW_YORK) == (parse_ts("2026-01-01T05:00:00Z"), parse_ts("2027-01-01T05:00:00Z"))
    assert year_of(2026, ZoneInfo("UTC"))[0] == Ts(parse_ts("2026-01-01T00:00:00Z"))
