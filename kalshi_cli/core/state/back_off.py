"""Exponential back-off of strategy orders and amends while API_GUARD is active, one for the account."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts

API_GUARD = "API_GUARD"
"""The code of the guard, of a halt that it caused, and of an order that waits because of it."""

MIN_DELAY_MS, MAX_DELAY_MS = 1_000, 60_000


class BackOff(msgspec.Struct):
    """The next order may be sent at `next_at`, and the one after it `wait_ms` later."""

    next_at: Ts
    wait_ms: int = 2 * MIN_DELAY_MS

    def left_ms(self, now: Ts) -> int:
        """Return how long an order still waits. If the clock was set back, the wait is never above the maximum."""
        left = self.next_at - now
        return left if 0 < left <= MAX_DELAY_MS else 0

    def sent(self, now: Ts) -> None:
        """Double the wait after each order."""
        self.next_at, self.wait_ms = Ts(now + self.wait_ms), min(2 * self.wait_ms, MAX_DELAY_MS)

    def succeeded(self, now: Ts) -> None:
        """Reset the back-off after the exchange accepted an order."""
        self.next_at, self.wait_ms = Ts(min(self.next_at, now + MIN_DELAY_MS)), 2 * MIN_DELAY_MS


def back_off_of(code: str, now: Ts) -> BackOff | None:
    """Return the back-off that a halt with this code starts, if any."""
    return BackOff(Ts(now + MIN_DELAY_MS)) if code == API_GUARD else None
