"""`python -m proofs.machine --examples 5000 --steps 50`: the state machine at length, and what it really reached.

A failure is shrunk to its shortest form and printed as the calls that make it.
"""

from __future__ import annotations

import argparse
import sys
import time

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from proofs.machine.rules import LEAST, Machine


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.machine", description=__doc__)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--steps", type=int, default=50)
    asked = parser.parse_args()
    started = time.monotonic()
    run(asked.examples, asked.steps)
    for what, times in sorted(Machine.reached.items()):
        sys.stdout.write(f"{times:>7} {what}\n")
    rare = missed(asked.examples * asked.steps)
    sys.stdout.writelines(f"HARDLY REACHED: {what}\n" for what in rare)
    sys.stdout.write(
        f"{asked.examples} examples of {asked.steps} steps, 0 violations; {time.monotonic() - started:.0f} s\n"
    )
    return 1 if rare else 0


def run(examples: int, steps: int) -> None:
    """So many examples, at most so long each; raises what hypothesis found, shrunk."""
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def missed(steps: int) -> list[str]:
    """What was reached too seldom for a run of so many steps."""
    found = Machine.reached
    return [f"{what}: {found[what]} times" for what, every in LEAST.items() if found[what] < steps // every]


if __name__ == "__main__":
    sys.exit(main())
