"""Options that take a period: `--since` and `--until`, as a duration back from now, a date or a time."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from kalshi_cli.base.checked import check_period
from kalshi_cli.base.units import Ts, duration_from_user, format_ts, parse_ts
from kalshi_cli.cli.parameters import option, typed_by
from kalshi_cli.cli.screen.output import info

if TYPE_CHECKING:
    from kalshi_cli.app.kalshi import Kalshi
    from kalshi_cli.config.config import Config

When = float | datetime | Ts
"""Seconds before now, a local date or time, or a moment with its zone."""

SINCE = "Only this period: 24h, 7d or a date such as 2026-11-01, from its midnight in `day_zone` (New York)."
UNTIL = "Only before: 24h, 7d or a date such as 2026-11-01, its midnight in `day_zone` (New York)."


def when_from_user(text: str) -> When:
    """Read `24h`, `2026-11-01`, `2026-11-01T15:00` or `2026-11-01T15:00:00Z`. ValueError for anything else.

    ` UTC` at the end means the same as `Z`: the program prints times in that form.
    """
    typed = text.strip()
    if typed.upper().endswith(" UTC"):
        typed = f"{typed[:-4].rstrip()}Z"
    try:
        moment = datetime.fromisoformat(typed)
    except ValueError:
        if not typed[:4].isdigit() or "-" not in typed:
            return _duration(typed)
        raise ValueError(f"{typed[:40]!r} is not a date; use 2026-11-01 or 2026-11-01T15:00:00Z") from None
    if typed.isdigit():
        return duration_from_user(typed)  # 20261101 is a date to Python, and a number without a unit to the user
    return moment if moment.tzinfo is None else parse_ts(moment.isoformat())


def _duration(typed: str) -> float:
    """Read a duration. Any other text may be meant as a date, so its error names both."""
    if ":" in typed:
        raise ValueError(f"{typed[:40]!r} has no date; use 2026-11-01T15:00, 2026-11-01T15:00:00Z or 24h")
    try:
        return duration_from_user(typed)
    except ValueError as error:
        if not str(error).startswith("invalid"):
            raise
        raise ValueError(f"{typed[:40]!r} is not a time; use 24h, 7d or a date such as 2026-11-01") from None


def moment_of(when: When, now: Ts, zone: ZoneInfo) -> Ts:
    """Return the moment that was typed. A date is its midnight in `zone`."""
    if isinstance(when, datetime):
        return parse_ts(when.replace(tzinfo=zone).isoformat())
    return Ts(now - int(when * 1000)) if isinstance(when, float) else when


def when(kalshi: Kalshi, typed: Any) -> Ts | None:
    """Return the moment that was typed, None where none was; dates are days of the configuration's `day_zone`."""
    if typed is None:
        return None
    return moment_of(typed, kalshi.now, ZoneInfo(kalshi.resources.config.day_zone))


def note_realized_only(kalshi: Kalshi, until: Ts | None) -> bool:
    """Say that profit and loss up to a past time has no unrealized part; return whether it is past."""
    is_past = until is not None and until <= kalshi.now
    if is_past:
        info("Realized P&L and fees only: --until leaves out unrealized P&L, because past prices are not known")
    return is_past


def show_period(config: Config, since: Ts | None, until: Ts | None) -> list[str]:
    """Return the times to which recordings are cut, in UTC like a report, and the zone of a typed time without one.

    UsageError where the period is empty.
    """
    check_period(since, until)
    parts = [f"{word} {show_utc(ts)}" for word, ts in (("from", since), ("to before", until)) if ts is not None]
    zone = f"a time that was typed without a zone is in {config.day_zone} (day_zone)"
    return [f"Recordings are cut {' '.join(parts)}; {zone}"] if parts else []


def show_utc(ts: Ts) -> str:
    """Return a time as `2026-11-01 15:00:00 UTC`, in a form that no output converts to local time."""
    return format_ts(ts).replace("T", " ").replace("Z", " UTC")


def when_option(name: str, text: str = SINCE) -> Any:
    """Return an option that takes a duration back from now, a date or a time."""
    return option(name, "WHEN", text, parser=typed_by(when_from_user))


Since = Annotated[Any, when_option("--since")]
Until = Annotated[Any, when_option("--until", UNTIL)]


def year_of(year: int, zone: ZoneInfo) -> tuple[Ts, Ts]:
    """Return the first moment of a calendar year, and of the next one."""
    start, end = (date(each, 1, 1).isoformat() for each in (year, year + 1))
    return moment_of(datetime.fromisoformat(start), Ts(0), zone), moment_of(datetime.fromisoformat(end), Ts(0), zone)
