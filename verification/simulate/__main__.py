"""python -m verification.simulate [--seeds N] [--jobs N] [--first N] [--until-one-fails]

or, to replay one: python -m verification.simulate --seed N [--only 0,3,7] [--verbose]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator

from verification.simulate import session
from verification.simulate.plan import draw
from verification.simulate.report import Result, Tally
from verification.simulate.shrink import shrink

MOST_SHRUNK = 3
"""Failing seeds that are shrunk at the end of a run; the others are named."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", default=None)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--until-one-fails", action="store_true", help="stop there, and explain nothing")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        only = None if given.only is None else {int(at) for at in given.only.split(",") if at}
        return one(given.seed, only, is_verbose=given.verbose)
    seeds = range(given.first, given.first + given.seeds)
    return until_one_fails(seeds, given.jobs) if given.until_one_fails else many(seeds, given.jobs)


def one(seed: int, only: set[int] | None, *, is_verbose: bool) -> int:
    """Replay one seed."""
    plan = draw(seed, only)
    print(f"seed {seed}: {', '.join(plan.strategies)}; ids {plan.client_ids}; reads lag {plan.read_lag_ms} ms")
    for at, fault in enumerate(plan.faults):
        print(f"  {at:2} {fault}")
    result, said = session.play(plan)
    if is_verbose:
        print("\n".join(said))
    print("\n".join(result.violations) or "every invariant held")
    print(f"{sum(result.fired.values())} faults fired, {result.events} events, {result.cpu_s * 1000:.0f} ms")
    return 1 if result.violations else 0


def many(seeds: Iterable[int], jobs: int) -> int:
    """Run them all; 1 where an invariant was broken, or a row barely reached."""
    tally, began = Tally(), time.monotonic()
    for result in _results(seeds, jobs):
        tally.add(result)
        if result.violations:
            print(f"seed {result.seed}: {result.violations[0]}", flush=True)
        if tally.sessions % 500 == 0:
            print(f"{tally.sessions} sessions, {time.monotonic() - began:.0f} s", flush=True)
    for failed in tally.failed[:MOST_SHRUNK]:
        _explain(failed)
    print("\n".join(tally.lines()))
    return 1 if tally.failed or tally.barely else 0


def until_one_fails(seeds: Iterable[int], jobs: int) -> int:
    """Run them until an invariant is broken; whether one was. For a program that was broken on purpose."""
    for result in _results(seeds, jobs):
        if result.violations:
            print(f"seed {result.seed}: {result.violations[0]}", flush=True)
            return 1
    return 0


def _results(seeds: Iterable[int], jobs: int) -> Iterator[Result]:
    if jobs <= 1:
        yield from map(session.run, seeds)
        return
    # Spawned, not forked: the sessions have threads, and a fork would copy what another thread holds.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(session.run, seeds, chunksize=5)


def _explain(failed: Result) -> None:
    """The fewest faults with which a seed still breaks the same invariant."""
    plan, what = draw(failed.seed), _name(failed.violations[0])
    needed = shrink(
        len(plan.faults), lambda only: any(_name(text) == what for text in session.run(failed.seed, only).violations)
    )
    print(f"\nseed {failed.seed} fails: {failed.violations[0]}\n  with these faults alone:")
    for at in sorted(needed):
        print(f"  {at:2} {plan.faults[at]}")
    only = ",".join(map(str, sorted(needed)))
    print(f"  python -m verification.simulate --seed {failed.seed} --only {only} --verbose\n")


def _name(violation: str) -> str:
    """Which invariant it is: the first word after the time."""
    return violation.partition(": ")[2].partition(" ")[0]


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # a seed replays only where sets have one order
        again = [sys.executable, "-m", "verification.simulate", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main(sys.argv[1:]))
