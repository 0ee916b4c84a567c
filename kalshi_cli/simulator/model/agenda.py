"""What is due when: a heap of (time, what, which)."""

from __future__ import annotations

import heapq

from kalshi_cli.base.units import Ts


class EventQueue:
    """Entries come out once, in the order of their time. An entry may be out of date: whoever takes it checks."""

    def __init__(self) -> None:
        self._heap: list[tuple[Ts, str, str]] = []

    def put(self, ts: Ts | None, what: str, which: str) -> None:
        """Nothing is due at None."""
        if ts is not None:
            heapq.heappush(self._heap, (ts, what, which))

    def due(self, now: Ts) -> Ts | None:
        """When the next entry due by `now` is due, or None."""
        return self._heap[0][0] if self._heap and self._heap[0][0] <= now else None

    def take(self, now: Ts) -> tuple[str, str] | None:
        """The next entry due by `now`, or None."""
        if not self._heap or self._heap[0][0] > now:
            return None
        _, what, which = heapq.heappop(self._heap)
        return what, which
