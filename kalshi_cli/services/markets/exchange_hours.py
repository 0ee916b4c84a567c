"""Status, trading hours and maintenance of the exchange."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.status import Schedule
from kalshi_cli.views.exchange import ExchangeView, HoursRow, MaintenanceRow

EASTERN = ZoneInfo("America/New_York")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def read_exchange(client: KalshiClient, now: Ts) -> ExchangeView:
    """Return status and schedule. The weekly maintenance is known without an announcement (API.md section 1)."""
    schedule = client.schedule()
    today = DAYS[datetime.fromtimestamp(now / 1000, EASTERN).weekday()]
    hours, ahead = _hours(schedule, now), maintenance_of(schedule, now)
    return ExchangeView.of(
        client.exchange_status(),
        hours_today=dict(hours).get(today),
        next_maintenance=ahead[0].starts if ahead else None,
        maintenance_ends=ahead[0].ends if ahead else None,
        maintenance_kind=ahead[0].kind if ahead else None,
        maintenance=ahead,
        hours=tuple(HoursRow(day=day, hours=open_) for day, open_ in hours),
    )


def maintenance_of(schedule: Schedule, now: Ts) -> tuple[MaintenanceRow, ...]:
    """Return current and coming maintenance by start: announced windows, and the weekly one if none overlaps it."""
    found = [
        MaintenanceRow(kind="announced", starts=starts, ends=ends)
        for starts, ends in schedule.maintenance
        if ends > now
    ]
    weekly = weekly_maintenance(now)
    if all(window.ends <= weekly.starts or window.starts >= weekly.ends for window in found):
        found.append(weekly)
    return tuple(sorted(found, key=lambda window: window.starts))


def weekly_maintenance(now: Ts) -> MaintenanceRow:
    """Return the current or the next weekly maintenance: Thursdays from 03:00 to 05:00 Eastern time."""
    day = datetime.fromtimestamp(now / 1000, EASTERN).date()
    day += timedelta(days=(3 - day.weekday()) % 7)
    if now >= _moment(datetime(day.year, day.month, day.day, 5, tzinfo=EASTERN)):
        day += timedelta(days=7)
    starts, ends = (datetime(day.year, day.month, day.day, hour, tzinfo=EASTERN) for hour in (3, 5))
    return MaintenanceRow(kind="weekly", starts=_moment(starts), ends=_moment(ends))


def _moment(at: datetime) -> Ts:
    return Ts(int(at.timestamp()) * 1000)


def _hours(schedule: Schedule, now: Ts) -> tuple[tuple[str, str], ...]:
    """Return the hours of the week that is valid now; the exchange also lists coming ones."""
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
    """Return whether the schedule has the exchange open now; True without a schedule."""
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
    """Return the minute of the day; 0 if the text is not a time."""
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute[:2]) if hour.isdecimal() and minute[:2].isdecimal() else 0


def _is_valid(start: str, end: str, at: datetime) -> bool:
    """Return whether the week of these bounds is valid now; a missing or unreadable bound is ignored."""

    def bound(text: str) -> datetime | None:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=EASTERN)

    low, high = bound(start), bound(end)
    return (low is None or low <= at) and (high is None or at <= high)
