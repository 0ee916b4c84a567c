"""Dates as the exchange writes them: New York time, `26NOV21` in tickers, "Nov 21, 2026" in titles."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from kalshi_cli.base.units import Ts

NEW_YORK = ZoneInfo("America/New_York")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FAR = 1 << 62
"""The upper end of an open time window."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def local(ts: int) -> datetime:
    """Return the moment on a New York clock."""
    return datetime.fromtimestamp(ts / 1000, NEW_YORK)


def moment(day: date, hour: int, minute: int = 0) -> Ts:
    """Return a time of day in New York."""
    return Ts(int(datetime.combine(day, time(hour, minute), NEW_YORK).timestamp()) * 1000)


def day_code(ts: int) -> str:
    """Return a day as in tickers: `26NOV21`."""
    at = local(ts)
    return f"{at:%y}{_MONTHS[at.month - 1].upper()}{at:%d}"


def month_code(ts: int) -> str:
    """Return a month as in tickers: `26DEC`."""
    return day_code(ts)[:5]


def time_code(ts: int, form: str) -> str:
    """Return a time of day in a strftime format; the hour that autumn repeats gets an R, so tickers stay unique."""
    at = local(ts)
    return at.strftime(form) + ("R" if at.fold else "")


def day_words(ts: int) -> str:
    """Return a day as in titles: `Nov 21, 2026`."""
    at = local(ts)
    return f"{_MONTHS[at.month - 1]} {at.day}, {at.year}"


def hour_words(ts: int) -> str:
    """Return a time of day as in titles: `2 PM EST` or `2:15 PM EST`."""
    at = local(ts)
    minutes = f":{at:%M}" if at.minute else ""
    return f"{at.hour % 12 or 12}{minutes} {'PM' if at.hour >= 12 else 'AM'} {at.tzname()}"


def business_day(day: date) -> date:
    """Return the day, or the following Monday for a weekend. Holidays are ignored."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


def second_wednesday(year: int, month: int) -> date:
    """Return the day of a rate decision in a month; the real days are near it and follow no rule."""
    first = date(year, month, 1)
    return first + timedelta(days=(2 - first.weekday()) % 7 + 7)


def maintenance(now: int) -> tuple[Ts, Ts]:
    """Return the running or next weekly maintenance: Thursdays from 03:00 to 05:00 (API.md section 1)."""
    # Every request calls this; New York is whole hours from UTC, so one result per hour is enough.
    return _maintenance(now // HOUR)


@lru_cache(8)
def _maintenance(hour: int) -> tuple[Ts, Ts]:
    now = hour * HOUR
    today = local(now).date()
    thursday = today + timedelta(days=(3 - today.weekday()) % 7)
    if now >= moment(thursday, 5):
        thursday += timedelta(days=7)
    return moment(thursday, 3), moment(thursday, 5)
