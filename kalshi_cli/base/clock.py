"""Clocks that are passed in. No other module asks the machine for the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from kalshi_cli.base.units import Ts

stopwatch = time.perf_counter
"""Seconds of the machine, to measure how long our own code takes; never the time of an event."""


class Clock(Protocol):
    """Wall time for the exchange, and monotonic time for ages, limits and timeouts."""

    def now(self) -> Ts:
        """Return the wall time in milliseconds since 1970 UTC. It may step; never use it for durations."""

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back and keeps counting while the host is suspended."""

    def sleep(self, seconds: float) -> None:
        """Wait this long; a manual clock advances instead."""


_NEVER_STOPS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux's CLOCK_MONOTONIC stops while the host sleeps, and CLOCK_BOOTTIME does not. Other systems need no
substitute."""


class SystemClock(Clock):
    """The machine's clocks."""

    def now(self) -> Ts:
        return Ts(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        return time.clock_gettime(_NEVER_STOPS)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class ShiftedClock(Clock):
    """A clock with its wall time shifted by `offset_ms`, which may change at any time; durations are unshifted."""

    def __init__(self, base: Clock, offset_ms: Callable[[], int]) -> None:
        self._base = base
        self._offset_ms = offset_ms

    def now(self) -> Ts:
        return Ts(self._base.now() + self._offset_ms())

    def monotonic(self) -> float:
        return self._base.monotonic()

    def sleep(self, seconds: float) -> None:
        self._base.sleep(seconds)


class ManualClock(Clock):
    """A clock for tests and recordings: only its owner moves it, and sleeping advances it."""

    def __init__(self, now: Ts) -> None:
        self._now_ms = float(now)
        self._monotonic = 0.0
        self._lock = threading.Lock()

    def now(self) -> Ts:
        return Ts(int(self._now_ms))

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Advance both clocks."""
        with self._lock:
            self._now_ms += seconds * 1000
            self._monotonic += seconds

    def set(self, now: Ts) -> None:
        """Set the wall clock to `now`; the monotonic clock follows forward moves only."""
        with self._lock:
            self._monotonic += max(0.0, now - self._now_ms) / 1000
            self._now_ms = float(now)
