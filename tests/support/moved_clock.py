"""The machine's clock, moved by a test."""

from __future__ import annotations

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts


class MovedClock(SystemClock):
    """The machine's clock: `skipped_s` moves the monotonic time, `ahead_ms` the wall time."""

    ahead_ms = 0
    skipped_s = 0.0

    def now(self) -> Ts:
        return Ts(super().now() + self.ahead_ms)

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped_s

    def move(self, seconds: float) -> None:
        """Let this time pass on both."""
        self.skipped_s += seconds
        self.ahead_ms += int(seconds * 1000)
