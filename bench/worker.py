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
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple


def _children_ns() -> int:
    """The CPU of the processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1e9)


def _resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


CLOCKS: dict[str, Callable[[], int]] = {
    "cpu": time.process_time_ns,
    "wall": time.perf_counter_ns,
    "children": _children_ns,
}

Work = Callable[[int], Callable[[], Any]]
"""`prepare(count)`, not measured, gives what is measured."""


class Each(NamedTuple):
    """A work whose calls are timed one by one, of which the median counts; `between` them is not measured.

    A call gets the clock, and returns when its measured part ended.
    """

    call: Callable[[Callable[[], int]], int]
    between: Callable[[], object]


def repeat(call: Callable[[], object]) -> Work:
    """A work that is one call, `count` times."""

    def prepare(count: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(count):
                call()

        return run

    return prepare


def _median_ns(each: Each, count: int, now: Callable[[], int]) -> float:
    spent = []
    for _ in range(count):
        each.between()
        before = now()
        spent.append(each.call(now) - before)
    return median(spent) * count


def serve(works: dict[str, Any], describe: Callable[[Any], str] = lambda outcome: "") -> None:
    """Answer until the input ends. Each of `works` is a `Work` or an `Each`.

    `describe` says what came out, so that the contestants can be compared.
    """
    print("ready", flush=True)
    for line in sys.stdin:
        name, count, clock = line.split()
        work, now = works[name], CLOCKS.get(clock, time.perf_counter_ns)
        if isinstance(work, Each):
            print(json.dumps({"ns": _median_ns(work, int(count), now), "outcome": ""}), flush=True)
            continue
        run = work(int(count))
        gc.collect()
        if clock == "memory":  # at most, of what Python allocates for it
            tracemalloc.start()
            outcome, (_, spent) = run(), tracemalloc.get_traced_memory()
            tracemalloc.stop()
            print(json.dumps({"ns": spent, "outcome": describe(outcome)}), flush=True)
            continue
        if clock == "resident":
            print(json.dumps({"ns": _resident_bytes(), "outcome": ""}), flush=True)
            continue
        before = now()
        outcome = run()
        spent = now() - before
        print(json.dumps({"ns": spent, "outcome": describe(outcome)}), flush=True)
