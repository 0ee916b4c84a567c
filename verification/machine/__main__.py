"""`python -m verification.machine --examples 5000 --steps 50`: run the state machine at length, with its coverage.

Each process has its own seeds. A failure is shrunk to its shortest form and printed as calls.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter

from verification.machine.examples import run_share
from verification.machine.rules import LEAST


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.machine", description=__doc__)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    started = time.monotonic()
    shares = [asked.examples // asked.jobs + (job < asked.examples % asked.jobs) for job in range(asked.jobs)]
    jobs = [(share, asked.steps, asked.seed + job) for job, share in enumerate(shares)]
    with multiprocessing.get_context("spawn").Pool(asked.jobs) as pool:  # the first that fails ends the others
        reached = sum(pool.imap_unordered(run_share, jobs), Counter[str]())
    for what, times in sorted(reached.items()):
        sys.stdout.write(f"{times:>7} {what}\n")
    rare = missed(reached, asked.examples * asked.steps)
    sys.stdout.writelines(f"HARDLY REACHED: {what}\n" for what in rare)
    sys.stdout.write(
        f"{asked.examples} examples of {asked.steps} steps, 0 violations; {time.monotonic() - started:.0f} s\n"
    )
    return 1 if rare else 0


def missed(reached: Counter[str], steps: int) -> list[str]:
    """What was reached too seldom for a run of so many steps."""
    return [f"{what}: {reached[what]} times" for what, every in LEAST.items() if reached[what] < steps // every]


if __name__ == "__main__":
    sys.exit(main())
