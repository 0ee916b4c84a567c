"""A queue of timed events: a heap of (time, kind, name)."""

from __future__ import annotations

import heapq

from kalshi_cli.base.units import Ts


class EventQueue:
    """Timed entries that come out once, in the order of their time. An entry may be outdated; its reader must check."""

    def __init__(self) -> None:
        self._heap: list[tuple[Ts, str, str]] = []

    def put(self, ts: Ts | None, what: str, which: str) -> None:
        """Add an entry; a time of None adds nothing."""
        if ts is not None:
            heapq.heappush(self._heap, (ts, what, which))

    def due(self, now: Ts) -> Ts | None:
        """Return the time of the next entry that is due by `now`, or None."""
        return self._heap[0][0] if self._heap and self._heap[0][0] <= now else None

    def take(self, now: Ts) -> tuple[str, str] | None:
        """Remove and return the next entry that is due by `now`, or None."""
        if not self._heap or self._heap[0][0] > now:
            return None
        _, what, which = heapq.heappop(self._heap)
        return what, which
