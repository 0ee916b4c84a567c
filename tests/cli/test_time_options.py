"""`--since` and `--until` take a duration back from now, a date or a time."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.cli.time_options import moment_of, show_period, when_from_user, year_of
from kalshi_cli.config.config import Config

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
        ("2026-11-03 09:30:00 UTC", "2026-11-03T09:30:00Z"),
        ("2026-11-03 09:30 utc", "2026-11-03T09:30:00Z"),
        ("2026-11-03T09:30:00-05:00", "2026-11-03T14:30:00Z"),
    ],
)
def test_a_period_is_a_duration_a_date_or_a_time(typed: str, moment: str) -> None:
    assert moment_of(when_from_user(typed), NOW, NEW_YORK) == parse_ts(moment)


@pytest.mark.parametrize(
    "typed", ["", "24", "20261101", "yesterday", "2026-13-01", "2026-11", "0h", "-1h", "24h UTC", "UTC"]
)
def test_anything_else_is_an_error(typed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        when_from_user(typed)


@pytest.mark.parametrize("typed", ["yesterday", "13.5.2026", "11/13/2026", "5m20"])
def test_the_error_of_a_text_names_durations_and_dates(typed: str) -> None:
    with pytest.raises(ValueError, match=f"'{typed}' is not a time; use 24h, 7d or a date such as 2026-11-01"):
        when_from_user(typed)


def test_a_time_of_day_names_the_forms_with_a_date() -> None:
    with pytest.raises(ValueError, match="'20:56' has no date; use 2026-11-01T15:00, 2026-11-01T15:00:00Z or 24h"):
        when_from_user("20:56")


def test_a_cut_names_its_times_in_utc_and_the_zone_of_typed_times() -> None:
    since, until = parse_ts("2026-11-23T20:55:00Z"), parse_ts("2026-11-23T21:00:00.5Z")
    zone = "a time that was typed without a zone is in America/New_York (day_zone)"
    both = "Recordings are cut from 2026-11-23 20:55:00 UTC to before 2026-11-23 21:00:00.500 UTC"
    assert show_period(Config(), since, until) == [f"{both}; {zone}"]
    assert show_period(Config(), None, since) == [f"Recordings are cut to before 2026-11-23 20:55:00 UTC; {zone}"]
    assert show_period(Config(), None, None) == []


def test_a_year_begins_and_ends_at_midnight_of_the_zone() -> None:
    assert year_of(2026, NEW_YORK) == (parse_ts("2026-01-01T05:00:00Z"), parse_ts("2027-01-01T05:00:00Z"))
    assert year_of(2026, ZoneInfo("UTC"))[0] == Ts(parse_ts("2026-01-01T00:00:00Z"))
