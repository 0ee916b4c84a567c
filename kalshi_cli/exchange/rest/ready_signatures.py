"""Signatures of the order path that were made while the program was idle (`exchange.presign`).

A signature covers timestamp, method and path, not the body, and an RSA one costs more than the rest of a create. Each
is used at most once and is younger than two seconds when the request is written. Where anything is in doubt, None makes
the caller sign at once: no signature is ready, a clock was set, or the exchange's clock may differ by a second or more.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.rest.signing import SignedHeaders

READY = 3
"""Signatures that are kept ready: a strategy rarely sends more orders in one step."""

MAX_AGE_S = 2.0
"""A ready signature is never used at this age or later."""

RENEW_S = 1.0
"""A signature of this age is replaced by a new one at the next idle moment."""

MAX_SKEW_MS = 1_000
"""With a larger difference of the clocks, as far as response dates tell, nothing is signed ahead or used."""

NEVER = math.inf
"""A monotonic time that does not come."""

_MAX_STEP_MS = 100
"""The wall clock and the monotonic clock differ by less over two seconds unless one of them was set."""


class _Ready(NamedTuple):
    """A signature, and the monotonic time at which it was begun."""

    since: float
    signed: SignedHeaders


class ReadySignatures:
    """Signatures of one method and path, made ahead. Threads may share it.

    `sign` makes one with the time of `clock`. `skew_ms` returns how far that clock can differ from the exchange's, in
    either direction, or None while that is unknown.
    """

    def __init__(self, clock: Clock, sign: Callable[[], SignedHeaders], skew_ms: Callable[[], int | None]) -> None:
        self._clock = clock
        self._sign = sign
        self._skew_ms = skew_ms
        self._ready: deque[_Ready] = deque()
        self._lock = threading.Lock()

    def make(self) -> float:
        """Make at most one signature; return the monotonic time at which the next one is due."""
        now = self._clock.monotonic()
        if not self._is_in_step():
            return now + RENEW_S
        with self._lock:
            due = self._ready[0].since + RENEW_S if len(self._ready) >= READY else now
        if due > now:
            return due
        made = _Ready(now, self._sign())
        with self._lock:
            self._ready.append(made)
            while len(self._ready) > READY:
                self._ready.popleft()
        return now

    def take(self) -> tuple[SignedHeaders | None, float]:
        """Return a signature that no other call gets, and the monotonic time at which it is too old.

        Return (None, NEVER) where no good one is left, or with any doubt about the clocks.
        """
        is_in_step = self._is_in_step()
        with self._lock:
            while self._ready:
                since, signed = self._ready.popleft()
                if is_in_step and self._is_good(since, signed.ts):
                    return signed, since + MAX_AGE_S
        return None, NEVER

    def _is_good(self, since: float, ts: Ts) -> bool:
        """Return whether a signature is young by both clocks, and neither was set since it was made."""
        age_ms, wall_age_ms = (self._clock.monotonic() - since) * 1000, self._clock.now() - ts
        is_young = 0 <= age_ms < MAX_AGE_S * 1000 and 0 <= wall_age_ms < MAX_AGE_S * 1000
        return is_young and abs(age_ms - wall_age_ms) <= _MAX_STEP_MS

    def _is_in_step(self) -> bool:
        skew_ms = self._skew_ms()
        return skew_ms is not None and skew_ms <= MAX_SKEW_MS
