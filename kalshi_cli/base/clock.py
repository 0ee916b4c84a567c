"""Time, handed in. Nothing else in the package asks the machine what time it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from kalshi_cli.base.units import Ts


class Clock(Protocol):
    """Two clocks in one: wall time for the exchange, monotonic time for ages, limits and timeouts."""

    def now(self) -> Ts:
        """Wall time, milliseconds since 1970 UTC. May step; never use it for durations."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back, and goes on while the process or the host is suspended."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; a manual clock moves itself instead."""
        ...


_NEVER_STOPS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux the clock called monotonic stands still while the host sleeps; elsewhere it does not."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Ts:
        return Ts(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        return time.clock_gettime(_NEVER_STOPS)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class ShiftedClock:
    """Another clock, its wall time moved by `offset_ms`, which may change at any moment. Durations are the other's."""

    def __init__(self, base: Clock, offset_ms: Callable[[], int]) -> None:
        self._base = base
        self._offset_ms = offset_ms

    def now(self) -> Ts:
        return Ts(self._base.now() + self._offset_ms())

    def monotonic(self) -> float:
        return self._base.monotonic()

    def sleep(self, seconds: float) -> None:
        self._base.sleep(seconds)


class ManualClock:
    """A clock that a test or a recording owns: it moves only when told, and sleeping moves it."""

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
        """Move both clocks forward."""
        with self._lock:
            self._now_ms += seconds * 1000
            self._monotonic += seconds

    def set(self, now: Ts) -> None:
        """Move the wall clock to `now`; the monotonic clock follows only forward."""
        with self._lock:
            self._monotonic += max(0.0, now - self._now_ms) / 1000
            self._now_ms = float(now)
