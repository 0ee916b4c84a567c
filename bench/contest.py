"""Contestants and races: each round asks everybody, in turns, so that a slow minute of the machine hits all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Container, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class ContestError(Exception):
    """A contestant could not take part; the text says why."""


class Contestant:
    """A process that works on demand; see `worker`."""

    def __init__(self, name: str, module: str, *arguments: str, python: str = sys.executable) -> None:
        self.name = name
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        # Loopback must stay loopback: no proxy from the environment for anybody.
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        self._child = subprocess.Popen(
            [python, "-m", module, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        assert self._child.stdin
        assert self._child.stdout
        with suppress(BrokenPipeError):
            self._child.stdin.close()
        self._child.wait(timeout=20)
        self._child.stdout.close()
        self._said.close()

    def line(self) -> str:
        """The next line it says."""
        assert self._child.stdout
        line = self._child.stdout.readline()
        if not line:
            self._said.seek(0)
            why = self._said.read().decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise ContestError(f"{self.name} stopped: {why[0][:200]}")
        return line.strip()

    def ask(self, work: str, count: int, clock: str) -> tuple[float, str]:
        """Nanoseconds a call, and what came out."""
        assert self._child.stdin
        try:
            self._child.stdin.write(f"{work} {count} {clock}\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # it stopped; `line` says why
        reply = json.loads(self.line())
        return reply["ns"] / count, reply["outcome"]


class Ratio(NamedTuple):
    """Ours over the peer's, round by round."""

    median: float
    least: float
    most: float
    best: float | None = None
    """The least cost of ours over the least of the peer: on a busy machine the fairest single figure."""


Costs = dict[str, list[float]]
"""Of each contestant, nanoseconds a call, round by round."""


def race(
    contestants: Sequence[Contestant],
    *,
    work: str,
    clock: str,
    count: int,
    rounds: int,
    peers: Container[str] = (),
    warms_up: bool = True,
) -> tuple[Costs, dict[str, str]]:
    """What the work costs everybody, and why each of the `peers` that stopped did: the others race on without it.

    ContestError where they did not do the same work, or one that is no peer stopped.
    """
    costs: Costs = {each.name: [] for each in contestants}
    stopped: dict[str, str] = {}
    for number in range(-1 if warms_up else 0, rounds):  # a round that warms up does not count
        outcomes = set()
        racing = [each for each in contestants if each.name not in stopped]
        for place in range(len(racing)):
            each = racing[(place + number) % len(racing)]
            try:
                cost, outcome = each.ask(work, count, clock)
            except ContestError as error:
                if each.name not in peers:
                    raise
                stopped[each.name] = str(error)
                continue
            outcomes.add(outcome)
            if number >= 0:
                costs[each.name].append(cost)
        if len(outcomes) > 1:
            raise ContestError(f"{work}: the contestants came to different ends: {sorted(outcomes)}")
    return costs, stopped


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Paired: each round against the same round."""
    ratios = [mine / their for mine, their in zip(ours, theirs, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios), min(ours) / min(theirs))
