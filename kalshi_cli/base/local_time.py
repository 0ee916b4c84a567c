"""Times for people, in the time zone of `display.time_zone`. Values for programs stay in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from kalshi_cli.base.units import Ts, format_ts, parse_ts

_zone: tzinfo | None = UTC
"""The time zone of tables, screens and messages; None is the machine's."""


_is_asked = False
"""True if plain text has this zone too, because an option of the command asked for it."""


def set_time_zone(name: str, *, is_asked: bool = False) -> None:
    """Set the time zone of tables, screens and messages: `local`, or a name of the time zone database.

    Plain text stays in UTC, unless the user asked this command for the zone.
    """
    global _zone, _is_asked
    from zoneinfo import ZoneInfo

    _zone, _is_asked = None if name == "local" else ZoneInfo(name), is_asked


def plain_time(ts: Ts) -> str:
    """Return a time for plain text: in UTC, or with the offset of the zone that the user asked for."""
    if not _is_asked:
        return format_ts(ts)
    moment = datetime.fromtimestamp(ts / 1000, UTC).astimezone(_zone)
    return moment.isoformat(timespec="milliseconds" if ts % 1000 else "seconds")


def local_time(ts: Ts) -> datetime:
    """Return the time, to the second, in the time zone of tables and screens."""
    return datetime.fromtimestamp(ts // 1000, UTC).astimezone(_zone)


_TIME_OR_COMMAND = re.compile(
    r"`[^`]*`|(?<=: )kalshi [^)]*$"  # a command may be copied, so it stays as it is; not one in parentheses
    r"|(?<![^\s(])(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?Z)(?![\w-])"
)


def show_times(text: str) -> str:
    """Return a sentence with its UTC times as a person reads them: `2026-11-23 00:52:04 EST`.

    `2026-11-23T05:52:04.891Z` stands in the same sentence for programs. A time without seconds stays without them.
    """
    return _TIME_OR_COMMAND.sub(_shown, text) if "Z" in text else text


def _shown(found: re.Match[str]) -> str:
    if not (written := found[1]):
        return found[0]
    try:
        moment = local_time(parse_ts(written))
    except (ValueError, OverflowError):  # quoted text from outside, such as the month 13
        return written
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}" if written.count(":") > 1 else f"{moment:%Y-%m-%d %H:%M %Z}"
