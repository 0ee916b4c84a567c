"""A number of examples of the machine, in one process."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from verification.machine.rules import Machine


def run_share(job: tuple[int, int, int]) -> Counter[str]:
    """Examples, steps and seed of one process."""
    return run(*job)


def run(examples: int, steps: int, first: int = 1) -> Counter[str]:
    """So many examples, at most so long each; what they reached. Raises what hypothesis found, shrunk.

    `first` is the seed: the same one tries the same examples.
    """
    Machine.reached.clear()
    run_state_machine_as_test(
        seed(first)(Machine),
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    return Machine.reached
