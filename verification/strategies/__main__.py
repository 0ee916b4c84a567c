"""python -m verification.strategies [--seeds N] [--first N] [--minutes M] [--jobs N] [--only NAME,NAME | --only all]"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence

from kalshi_cli.strategies.registry import BUILT_IN
from verification.strategies import report
from verification.strategies.session import BASELINES, Result, Task, play


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.strategies", description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="these strategies alone, each by itself; `all`: all of them at once")
    given = parser.parse_args(arguments)
    seeds = range(given.first, given.first + given.seeds)
    tasks = [(names, seed, given.minutes) for seed in seeds for names in chosen(given.only)]
    began, results = time.monotonic(), []
    for result in _results(tasks, given.jobs):
        results.append(result)
        took = time.monotonic() - began
        print(f"{len(results)} of {len(tasks)}, {took:.0f} s: {report.line(result)}", file=sys.stderr, flush=True)
    results.sort(key=lambda result: ([task[0] for task in tasks].index(result.strategies), result.seed))
    return tell(results, given.minutes)


def chosen(only: str) -> list[tuple[str, ...]]:
    """What is run by itself: the baselines, each built-in strategy, and all of these together."""
    everything = tuple(BUILT_IN)
    alone: list[tuple[str, ...]] = [(name,) for name in (*BASELINES, *everything)]
    wanted = set(only.split(",")) if only else set()
    found = [names for names in alone if not wanted or names[0] in wanted]
    return [*found, everything] if not wanted or "all" in wanted else found


def tell(results: Sequence[Result], minutes: float) -> int:
    """The tables; 1 where something must not be."""
    print(f"\none session: {minutes:g} virtual minutes, default parameters and limits, fees included; dollars\n")
    print(report.table(results))
    if any(len(result.strategies) > 1 for result in results):
        print(f"\n{report.by_strategy(results)}")
    print("\ndenied:", *report.denials(results), sep="\n  ")
    cpu = [result.cpu_s for result in results]
    print(f"\n{len(results)} sessions, CPU {sum(cpu) / len(cpu):.1f} s each, {max(cpu):.1f} s at most")
    print(f"{sum(result.baskets for result in results)} complete baskets were held at an end")
    found = report.failures(results)
    print("every account agrees with the exchange to the micro-dollar" if not found else "\n".join(found))
    return 1 if found else 0


def _results(tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    if jobs <= 1:
        yield from map(play, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(play, tasks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
