"""Whether the exchange is open, when it is, and when it will not be."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import ExchangeStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.status import Schedule

EASTERN = ZoneInfo("America/New_York")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Maintenance(msgspec.Struct, frozen=True):
    """A time in which the exchange may be closed: announced in its schedule, or the weekly one of its rules."""

    kind: str
    starts: Ts
    ends: Ts


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange as of now. `hours` is (day, hours) of the week that is valid, `maintenance` what is to come."""

    status: ExchangeStatus
    today: str
    hours: tuple[tuple[str, str], ...]
    maintenance: tuple[Maintenance, ...]


def read_standing(client: KalshiClient, now: Ts) -> Standing:
    """Status and schedule. The weekly maintenance is known without an announcement (API.md section 1)."""
    schedule = client.schedule()
    return Standing(
        status=client.exchange_status(),
        today=DAYS[datetime.fromtimestamp(now / 1000, EASTERN).weekday()],
        hours=_hours(schedule, now),
        maintenance=maintenance_of(schedule, now),
    )


def maintenance_of(schedule: Schedule, now: Ts) -> tuple[Maintenance, ...]:
    """What runs now and what is to come, by its begin: as announced, and the weekly one where none meets it."""
    found = [Maintenance("announced", *window) for window in schedule.maintenance if window[1] > now]
    weekly = weekly_maintenance(now)
    if all(window.ends <= weekly.starts or window.starts >= weekly.ends for window in found):
        found.append(weekly)
    return tuple(sorted(found, key=lambda window: window.starts))


def weekly_maintenance(now: Ts) -> Maintenance:
    """The one that runs now, else the next: Thursdays from 03:00 to 05:00 Eastern time."""
    day = datetime.fromtimestamp(now / 1000, EASTERN).date()
    day += timedelta(days=(3 - day.weekday()) % 7)
    if now >= _moment(datetime(day.year, day.month, day.day, 5, tzinfo=EASTERN)):
        day += timedelta(days=7)
    starts, ends = (datetime(day.year, day.month, day.day, hour, tzinfo=EASTERN) for hour in (3, 5))
    return Maintenance("weekly", _moment(starts), _moment(ends))


def _moment(at: datetime) -> Ts:
    return Ts(int(at.timestamp()) * 1000)


def _hours(schedule: Schedule, now: Ts) -> tuple[tuple[str, str], ...]:
    """Of the week that is valid now; the exchange lists the coming ones beside it."""
    at = datetime.fromtimestamp(now / 1000, EASTERN)
    for week in schedule.weeks:
        if _is_valid(week.start_time, week.end_time, at):
            sessions = ((day, getattr(week, day)) for day in DAYS)
            return tuple(
                (day, ", ".join(f"{one.open_time}-{one.close_time}" for one in open_) + " ET" if open_ else "closed")
                for day, open_ in sessions
            )
    return ()


def is_within_hours(schedule: Schedule, now: Ts) -> bool:
    """Whether the exchange should be open by the hours of its week; where they say nothing, it should."""
    at = datetime.fromtimestamp(now / 1000, EASTERN)
    minute = at.hour * 60 + at.minute
    for week in schedule.weeks:
        if _is_valid(week.start_time, week.end_time, at):
            today, before = (getattr(week, DAYS[(at.weekday() - back) % 7]) for back in (0, 1))
            spans = [(_minute(one.open_time), _minute(one.close_time) or 1_440) for one in today]
            late = [_minute(one.close_time) for one in before if _minute(one.close_time) < _minute(one.open_time)]
            return any(opens <= minute and (minute <= closes or closes < opens) for opens, closes in spans) or any(
                minute <= closes for closes in late
            )
    return True


def _minute(text: str) -> int:
    """Of the day; 0 where it cannot be read."""
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute[:2]) if hour.isdecimal() and minute[:2].isdecimal() else 0


def _is_valid(start: str, end: str, at: datetime) -> bool:
    """Whether the week of these bounds is valid; a bound that is missing or cannot be read does not bind."""

    def bound(text: str) -> datetime | None:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=EASTERN)

    low, high = bound(start), bound(end)
    return (low is None or low <= at) and (high is None or at <= high)
