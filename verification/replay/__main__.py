"""python -m verification.replay [--jobs N] [--first N] [--only NAME,NAME] [--seeds N] [--books]

Replays every tape of ../shared/data, and recordings of the simulated exchange, with every built-in strategy: once with
the reference engine, once with the compiled loop. Fills, P&L, refusals, equity and calls must be the same.
With --books: imports each tape into a lake, and compares the books rebuilt from it with the ticker channel.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from verification.replay.books import Agreement, compare_tape
from verification.replay.compare import CASES
from verification.replay.tapes import DATA, recordings
from verification.replay.task import Line, Task, work


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.replay", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="only so many of the tapes")
    parser.add_argument("--seeds", type=int, default=2, help="recordings of the simulated exchange")
    parser.add_argument("--only", default="", help="these strategies")
    parser.add_argument("--books", action="store_true", help="compare order books of a lake with the tickers")
    given = parser.parse_args(arguments)
    names = tuple(given.only.split(",")) if given.only else tuple(CASES)
    paths = recordings()
    if not paths:
        print(f"skipped the real tapes: none in {DATA}", file=sys.stderr)
    if given.books:
        return tell_books(paths[: given.first or None], given.jobs)
    tasks: list[Task] = [(str(path), 0, names) for path in paths[: given.first or None]]
    tasks += [("", seed, names) for seed in range(1, given.seeds + 1)]
    lines: list[Line] = []
    for done, found in enumerate(_results(tasks, given.jobs), 1):
        lines += found
        print(f"{done} of {len(tasks)}: {found[0].tape}", file=sys.stderr, flush=True)
        for line in found:
            if line.difference:
                print(f"DIFFERENT {line.tape} {line.name}: {line.difference}", flush=True)
    return tell(lines)


def tell(lines: Sequence[Line]) -> int:
    """A row per strategy over all tapes; 1 where something differs."""
    by_name: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_name[line.name].append(line)
    print(f"{'strategy':16} tapes  changes  fills  refused  reference/s   compiled/s  different")
    for name, found in by_name.items():
        changes = sum(line.changes for line in found)
        slow, fast = sum(line.reference_s for line in found), sum(line.compiled_s for line in found)
        print(
            f"{name:16} {len(found):5} {changes:8} {sum(line.fills for line in found):6}"
            f" {sum(line.refused for line in found):8} {changes / slow:12,.0f} {changes / fast:12,.0f}"
            f" {sum(bool(line.difference) for line in found):10}"
        )
    return 1 if any(line.difference for line in lines) else 0


def tell_books(paths: Sequence[Path], jobs: int) -> int:
    """A row per tape, and the sum; 1 where a book differs from the ticker channel."""
    found: list[Agreement] = []
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=4) as pool:
        for each in pool.imap(compare_tape, map(str, paths)):
            found.append(each)
            print(f"{each.source:40} {each.tickers:7} tickers {each.equal:7} of {each.comparable:7} equal", flush=True)
    total, comparable, equal = (sum(getattr(each, name) for each in found) for name in Agreement._fields[1:])
    print(f"{len(found)} tapes: {total:,} tickers, {equal:,} of {comparable:,} comparable ones equal the rebuilt book")
    return 1 if equal < comparable else 0


def _results(tasks: Sequence[Task], jobs: int) -> Iterator[list[Line]]:
    if jobs <= 1:
        yield from map(work, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=4) as pool:
        yield from pool.imap_unordered(work, tasks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
