"""Shrink a failing session to the fewest faults of its plan that still fail."""

from __future__ import annotations

from collections.abc import Callable

MOST_RUNS = 120


def shrink(count: int, fails: Callable[[set[int]], bool]) -> set[int]:
    """Places of faults that are needed, of `count`: halves first, then one by one; at most MOST_RUNS tries."""
    needed = set(range(count))
    runs = 0
    size = max(1, count // 2)
    while size and runs < MOST_RUNS:
        for at in range(0, count, size):
            fewer = needed - set(range(at, at + size))
            if fewer == needed:
                continue
            runs += 1
            if fails(fewer):
                needed = fewer
        size //= 2
    return needed
