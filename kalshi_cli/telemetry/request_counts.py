"""Counts of one program's requests and feed gaps, by minute."""

from __future__ import annotations

import threading
from collections import deque

from kalshi_cli.base.clock import Clock
from kalshi_cli.core.monitoring.request_traffic import RequestMinute, is_failure, p99

KEPT_S = 300.0
MAX_KEPT = 2_000
"""Requests in the percentile, at most."""

MOST_MINUTES = 120
"""Minutes kept until `take` is called; the oldest are dropped first."""


class RequestCounters:
    """The counts since the last `take`. Safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: deque[tuple[float, float]] = deque(maxlen=MAX_KEPT)
        self._counts: dict[int, list[int]] = {}

    def requested(self, status: int, seconds: float) -> None:
        """Count a request; status 0 means no response."""
        with self._lock:
            self._times.append((self._clock.monotonic(), seconds))
            counts = self._of_now()
            counts[0] += 1
            counts[1] += is_failure(status)

    def gap(self) -> None:
        """Count a gap: messages of the stream were missed."""
        with self._lock:
            self._of_now()[2] += 1

    def take(self) -> list[RequestMinute]:
        """Return the counts of each minute since the last call, oldest first, and reset them."""
        with self._lock:
            slowest = self._p99_ms()
            taken, self._counts = self._counts, {}
        return [
            RequestMinute(minute=minute, requests=counts[0], failures=counts[1], gaps=counts[2], p99_ms=slowest)
            for minute, counts in taken.items()
        ]

    @property
    def p99_ms(self) -> int | None:
        """Return the 99th percentile of the latencies of the last minutes; None without requests."""
        with self._lock:
            return self._p99_ms()

    @property
    def requests(self) -> int:
        """Return the requests counted since the last `take`."""
        with self._lock:
            return sum(counts[0] for counts in self._counts.values())

    def _p99_ms(self) -> int | None:
        since = self._clock.monotonic() - KEPT_S
        found = p99(seconds for at, seconds in self._times if at >= since)
        return None if found is None else round(found * 1000)

    def _of_now(self) -> list[int]:
        minute = self._clock.now() // 60_000
        if minute not in self._counts and len(self._counts) == MOST_MINUTES:
            del self._counts[next(iter(self._counts))]
        return self._counts.setdefault(minute, [0, 0, 0])
