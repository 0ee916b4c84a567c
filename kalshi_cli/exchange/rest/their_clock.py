"""The exchange's clock as the `Date` headers of its replies show it, measured against our monotonic clock.

Something between us and the exchange may keep replies and give them out again, with their `Date`. Such a reply is dated
too early, never too late: dates may move the measured clock forward, and only proof moves it back. The pages of a
gateway, whose clock is its own, move it nowhere.
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
"""After so long a second reply to the same request bears a later date, which has whole seconds, unless it was kept."""

STANDS_STILL_S = 2.5
"""After so long a reply that was kept is older than its request, whatever its date and `_APART_MS` leave open."""

_APART_MS = 1_000
"""How far the clocks of the exchange's own machines, or a date that is set once a second, may be behind.

More would believe older kept replies. Machines further apart cost a second try of some reads, and refuse none.
"""
_DRIFT_MS = 1.0
"""How much two clocks may drift apart in a second, at most: also while one of them is being set slowly."""
_FURTHEST_MS = 86_400_000
"""A date that is later than our own clock by more is no date."""
_MAX_OLDER = 100

_DATE = re.compile(r"[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Bounds(NamedTuple):
    """The exchange's clock less our monotonic one, in milliseconds: at least, at most; and since when (seconds)."""

    least: float
    most: float
    since: float

    def at(self, now_s: float) -> _Bounds:
        """Return what is left of them at a later moment, with the drift since."""
        drift = _DRIFT_MS * (now_s - self.since)
        return _Bounds(self.least - drift, self.most + drift, now_s)

    def and_also(self, other: _Bounds) -> _Bounds | None:
        """Return what both allow; None where they contradict each other."""
        both = _Bounds(max(self.least, other.least), min(self.most, other.most), other.since)
        return both if both.least <= both.most else None


class TheirClock:
    """Takes the date of every reply, and judges by it whether a read was kept and given out again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead: _Bounds | None = None
        self._older: dict[str, _Bounds] = {}

    def take(self, target: str, date: str, sent_s: float, *, is_read: bool, is_theirs: bool = True) -> bool:
        """Take the date of a reply; return False where the reply to a read is older than its request.

        A reply to a write is never kept by anything, and so is believed whatever it contradicts. The same read answered
        twice, its date moved on as our own clock did, shows that the exchange's clock was set back. What is not
        `is_theirs`, but of a gateway, proves nothing of the exchange's clock.
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
        """Return what the exchange's clock showed at most when our monotonic one showed `at_s`.

        Each reply was dated, in whole seconds, between its request and its arrival: together they tell it closely. Our
        own wall clock stands in where no reply was ever dated.
        """
        if self._ahead is None:
            return Ts(int(self._clock.now() - (self._clock.monotonic() - at_s) * 1000))
        return Ts(math.ceil(at_s * 1000 + self._ahead.at(self._clock.monotonic()).most))

    @property
    def most_ahead_ms(self) -> int:
        """How far the exchange's clock is ahead of our wall clock at most; less than none where it is behind."""
        return self.latest(self._clock.monotonic()) - self._clock.now()

    @property
    def skew_ms(self) -> int | None:
        """How far our wall clock is ahead of the exchange's, to half a second at the first reply, and soon to less.

        A reply that took long leaves it open by as much, and so takes nothing away from what others tell.
        """
        if self._ahead is None:
            return None
        there = self._clock.monotonic() * 1000 + (self._ahead.least + self._ahead.most) / 2
        return round(self._clock.now() - there)


@lru_cache(maxsize=4)
def moment(date: str) -> Ts | None:
    """Return the time of a `Date` header; None for whatever is not exactly one, or no time at all."""
    found = _DATE.fullmatch(date)
    if found is None or found[2] not in _MONTHS:
        return None
    day, month, *rest = found[1], _MONTHS.index(found[2]) + 1, *found.groups()[2:]
    year, hour, minute, second = map(int, rest)
    try:
        return ts_of(datetime(year, month, int(day), hour, minute, second, tzinfo=UTC))
    except ValueError:
        return None
