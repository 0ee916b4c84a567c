"""Dates as the exchange writes them: New York time, `26NOV21` in tickers, "Nov 21, 2026" in titles."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from kalshi_cli.base.units import Ts

NEW_YORK = ZoneInfo("America/New_York")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FAR = 1 << 62
"""No upper end of a window of time."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def local(ts: int) -> datetime:
    """The moment on a clock in New York."""
    return datetime.fromtimestamp(ts / 1000, NEW_YORK)


def moment(day: date, hour: int, minute: int = 0) -> Ts:
    """That time of day in New York."""
    return Ts(int(datetime.combine(day, time(hour, minute), NEW_YORK).timestamp()) * 1000)


def day_code(ts: int) -> str:
    """`26NOV21`."""
    at = local(ts)
    return f"{at:%y}{_MONTHS[at.month - 1].upper()}{at:%d}"


def month_code(ts: int) -> str:
    """`26DEC`."""
    return day_code(ts)[:5]


def time_code(ts: int, form: str) -> str:
    """The time of day by a strftime form, with an R in the hour that autumn repeats: no two events share a ticker."""
    at = local(ts)
    return at.strftime(form) + ("R" if at.fold else "")


def day_words(ts: int) -> str:
    """`Nov 21, 2026`."""
    at = local(ts)
    return f"{_MONTHS[at.month - 1]} {at.day}, {at.year}"


def hour_words(ts: int) -> str:
    """`2 PM EST`, or `2:15 PM EST`."""
    at = local(ts)
    minutes = f":{at:%M}" if at.minute else ""
    return f"{at.hour % 12 or 12}{minutes} {'PM' if at.hour >= 12 else 'AM'} {at.tzname()}"


def business_day(day: date) -> date:
    """That day, or the Monday after where it is on a weekend. Holidays are not known here."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


def second_wednesday(year: int, month: int) -> date:
    """Where the rate decisions of this exchange are: near the real ones, which have no rule."""
    first = date(year, month, 1)
    return first + timedelta(days=(2 - first.weekday()) % 7 + 7)


def maintenance(now: int) -> tuple[Ts, Ts]:
    """The weekly maintenance that runs now, else the next one: Thursdays from 03:00 to 05:00 (API.md section 1)."""
    return _maintenance(now // HOUR)  # asked for at every request, and New York is whole hours from UTC


@lru_cache(8)
def _maintenance(hour: int) -> tuple[Ts, Ts]:
    now = hour * HOUR
    today = local(now).date()
    thursday = today + timedelta(days=(3 - today.weekday()) % 7)
    if now >= moment(thursday, 5):
        thursday += timedelta(days=7)
    return moment(thursday, 3), moment(thursday, 5)
