"""`python -m verification.nth`: play every fault at every place of every session; options select a part.

Under the first rules of the exchange (ids refused forever, reads at once) every request gets the fault; under the
other three rules only requests that send something. Prints how often each fault occurred, and for every wrong end how
to play it again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator

from verification.nth.faults import KINDS, Kind
from verification.nth.play import ALL_RULES, Ended, Rules, every_loop, loop
from verification.nth.sessions import SESSIONS, Session

LEAST = 4
"""Hits of each fault; fewer is a proof that hardly looked."""

Task = tuple[str, str, int, tuple[str, ...]]
"""Names of a session and a fault, the number of the rules, the methods."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.nth", description=__doc__)
    parser.add_argument("--session", choices=[session.name for session in SESSIONS])
    parser.add_argument("--fault", choices=[kind.name for kind in KINDS])
    parser.add_argument("--rules", type=int, choices=range(len(ALL_RULES)))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--told", action="store_true", help="what each run told, too")
    asked = parser.parse_args()
    tasks = [task for task in _tasks() if _is_asked(asked, task)]
    started = time.monotonic()
    with multiprocessing.Pool(asked.jobs) as pool:
        runs = [run for found in pool.imap_unordered(_play, tasks, chunksize=4) for run in found]
    _print(runs, time.monotonic() - started, is_wordy=asked.told)
    wrong = [run for run in runs if run.problems]
    is_part = asked.session or asked.fault or asked.rules is not None
    rare = [] if is_part else [kind.name for kind in KINDS if _hits(runs)[kind.name] < LEAST]
    for name in rare:
        sys.stdout.write(f"NEVER REALLY TRIED: {name}\n")
    return 1 if wrong or rare or not runs else 0


def _tasks() -> Iterator[Task]:
    for number, rules in enumerate(ALL_RULES):
        for session, kind, verbs in every_loop(rules):
            yield session.name, kind.name, number, verbs


def _is_asked(asked: argparse.Namespace, task: Task) -> bool:
    return asked.session in (None, task[0]) and asked.fault in (None, task[1]) and asked.rules in (None, task[2])


def _play(task: Task) -> list[Ended]:
    session, kind, rules = _named(task)
    return list(loop(session, kind, rules, task[3]))


def _named(task: Task) -> tuple[Session, Kind, Rules]:
    session = next(each for each in SESSIONS if each.name == task[0])
    return session, next(each for each in KINDS if each.name == task[1]), ALL_RULES[task[2]]


def _hits(runs: list[Ended]) -> Counter[str]:
    """How often each fault hit something."""
    return Counter(run.kind for run in runs if run.hit)


def _print(runs: list[Ended], seconds: float, *, is_wordy: bool) -> None:
    hits = _hits(runs)
    reads = Counter(run.kind for run in runs if run.hit.startswith("GET"))
    codes = Counter((run.kind, told.code) for run in runs for told in run.told if run.hit and told.step == run.step)
    sys.stdout.write(f"{'fault':<22} {'rows':<12} {'hits':>5} {'reads':>6} {'writes':>7}   exit codes told\n")
    for kind in KINDS:
        said = ", ".join(f"{code}: {count}" for (name, code), count in sorted(codes.items()) if name == kind.name)
        count, read = hits[kind.name], reads[kind.name]
        sys.stdout.write(f"{kind.name:<22} {kind.rows:<12} {count:>5} {read:>6} {count - read:>7}   {said}\n")
    for run in runs:
        if run.problems or is_wordy:
            again = f"--session {run.session!r} --fault {run.kind!r} --rules {ALL_RULES.index(run.rules)}"
            sys.stdout.write(f"\n{'WRONG' if run.problems else 'right'}: {again}, place {run.nth}\n")
            sys.stdout.write(f"  {run.rules}; hit {run.hit or 'nothing'} in {run.step or 'no step'}\n")
            sys.stdout.writelines(f"  {problem}\n" for problem in run.problems)
            sys.stdout.writelines(f"  {told.step}: {told.code} {told.words[:100]}\n" for told in run.told)
    wrong = sum(1 for run in runs if run.problems)
    least = min((run.requests for run in runs if not run.hit), default=0)
    most = max((run.requests for run in runs if not run.hit), default=0)
    sys.stdout.write(
        f"\n{len(runs)} runs of {len(SESSIONS)} sessions ({least} to {most} requests each): "
        f"{sum(hits.values())} faults hit, {wrong} ended wrong; {seconds:.0f} s\n"
    )


if __name__ == "__main__":
    sys.exit(main())
