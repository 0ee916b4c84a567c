"""The contestant's side: a process of its own that does what it is asked and says what that cost.

Runs in a peer's environment too, so it knows nothing but the standard library. One line in, `work count clock`; one
line out, JSON.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any


def _children_ns() -> int:
    """The CPU of the processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1e9)


def _peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


CLOCKS: dict[str, Callable[[], int]] = {
    "cpu": time.process_time_ns,
    "wall": time.perf_counter_ns,
    "children": _children_ns,
    "memory": _peak_memory,
}

Work = Callable[[int], Callable[[], Any]]
"""`prepare(count)`, not measured, gives what is measured."""


def repeat(call: Callable[[], object]) -> Work:
    """A work that is one call, `count` times."""

    def prepare(count: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(count):
                call()

        return run

    return prepare


def serve(works: dict[str, Work], describe: Callable[[Any], str] = lambda outcome: "") -> None:
    """Answer until the input ends. `describe` says what came out, so that the contestants can be compared."""
    print("ready", flush=True)
    for line in sys.stdin:
        name, count, clock = line.split()
        run, now = works[name](int(count)), CLOCKS[clock]
        gc.collect()
        before = now()
        outcome = run()
        spent = now() - before
        print(json.dumps({"ns": spent, "outcome": describe(outcome)}), flush=True)
