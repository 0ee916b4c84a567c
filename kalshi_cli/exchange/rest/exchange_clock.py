"""The exchange's clock, measured by the `Date` headers of its responses against this machine's monotonic clock.

A cache on the way may repeat old responses with their old `Date`. Such a date is too early, never too late: dates may
move the measured clock forward, and only proof moves it back. Error pages of a gateway, which has its own clock, never
move it.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.wire.values import ts_of

MOVES_ON_S = 1.5
"""After this time a second response to the same request has a later date, in whole seconds, unless it was cached."""

STANDS_STILL_S = 2.5
"""After this time a cached response is older than its request, with the tolerance of whole seconds and `_APART_MS`."""

_APART_MS = 1_000
"""How far the clocks of the exchange's machines may be behind, including dates that are updated once a second. A larger
value would accept older cached responses. Machines further apart cost a second try of some reads, and refuse none."""
_DRIFT_MS = 1.0
"""Maximum drift of two clocks per second, also while one is being adjusted slowly."""
_FURTHEST_MS = 86_400_000
"""A date later than this machine's clock by more is invalid."""
_MAX_OLDER = 100

_DATE = re.compile(r"[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Bounds(NamedTuple):
    """Bounds of the exchange's clock minus the local monotonic clock in milliseconds; `since` is in seconds."""

    least: float
    most: float
    since: float

    def at(self, now_s: float) -> _Bounds:
        """Return the bounds at a later moment, widened by the drift since."""
        drift = _DRIFT_MS * (now_s - self.since)
        return _Bounds(self.least - drift, self.most + drift, now_s)

    def and_also(self, other: _Bounds) -> _Bounds | None:
        """Return the intersection of both; None if they contradict each other."""
        both = _Bounds(max(self.least, other.least), min(self.most, other.most), other.since)
        return both if both.least <= both.most else None


class ExchangeClock:
    """Tracks the date of every response, and detects cached responses to reads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead: _Bounds | None = None
        self._older: dict[str, _Bounds] = {}

    def take(self, target: str, date: str, sent_s: float, *, is_read: bool, is_theirs: bool = True) -> bool:
        """Take the date of a response; return False if the response to a read is older than its request.

        A write is never answered from a cache, so its date is accepted even if it contradicts earlier ones. The same
        read answered twice, with dates as far apart as on the local clock, proves that the exchange's clock was set
        back. A response that is not `is_theirs` comes from a gateway and proves nothing.
        """
        theirs, now = moment(date), self._clock.monotonic()
        if theirs is None or theirs > self._clock.now() + _FURTHEST_MS:
            return True
        found = _Bounds(theirs - now * 1000, theirs + 1000 - sent_s * 1000, now)
        old = self._ahead.at(now) if self._ahead is not None else found
        behind_ms = old.least - found.most
        if is_read and behind_ms > _APART_MS and not (is_theirs and self._has_moved_on(target, found, sent_s)):
            return False
        if not is_theirs:
            return True
        if behind_ms > _APART_MS:
            self._older.clear()
        self._ahead = old.and_also(found) or (old if 0 < behind_ms <= _APART_MS else found)
        return True

    def _has_moved_on(self, target: str, found: _Bounds, sent_s: float) -> bool:
        before = self._older.get(target)
        if before is None or before.at(found.since).and_also(found) is None:
            if len(self._older) >= _MAX_OLDER:
                self._older.clear()
            self._older[target] = found
            return False
        return sent_s - before.since >= MOVES_ON_S

    def latest(self, at_s: float) -> Ts:
        """Return the latest time that the exchange's clock can have shown at the monotonic time `at_s`.

        Each response was dated, in whole seconds, between its request and its arrival; together they bound the clock
        closely. Without any dated response the local wall clock is used.
        """
        if self._ahead is None:
            return Ts(int(self._clock.now() - (self._clock.monotonic() - at_s) * 1000))
        return Ts(math.ceil(at_s * 1000 + self._ahead.at(self._clock.monotonic()).most))

    @property
    def most_ahead_ms(self) -> int:
        """Return the maximum lead of the exchange's clock over the local wall clock; negative if it is behind."""
        return self.latest(self._clock.monotonic()) - self._clock.now()

    @property
    def skew_ms(self) -> int | None:
        """Return how far the local wall clock is ahead of the exchange's, to half a second at first, and soon closer.

        A slow response has wide bounds and does not widen those of others.
        """
        if self._ahead is None:
            return None
        there = self._clock.monotonic() * 1000 + (self._ahead.least + self._ahead.most) / 2
        return round(self._clock.now() - there)

    @property
    def max_skew_ms(self) -> int | None:
        """Return the largest difference between the two clocks that the dates allow; None before the first date."""
        if self._ahead is None:
            return None
        at_s = self._clock.monotonic()
        bounds, now = self._ahead.at(at_s), self._clock.now()
        return math.ceil(max(now - at_s * 1000 - bounds.least, at_s * 1000 + bounds.most - now))


@lru_cache(maxsize=4)
def moment(date: str) -> Ts | None:
    """Return the time of a `Date` header; None if it is not a valid one."""
    found = _DATE.fullmatch(date)
    if found is None or found[2] not in _MONTHS:
        return None
    day, month, *rest = found[1], _MONTHS.index(found[2]) + 1, *found.groups()[2:]
    year, hour, minute, second = map(int, rest)
    try:
        return ts_of(datetime(year, month, int(day), hour, minute, second, tzinfo=UTC))
    except ValueError:
        return None
