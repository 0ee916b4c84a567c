"""Races for a row of the table: who takes part, how much is done, and the ratio."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from bench import peers
from bench.contest import Contestant, ContestError, Costs, Ratio, compare, race

OURS = "ours"


class Row(NamedTuple):
    """A line of the table. `target` is a limit from above, or from below for a share; None: for orientation only."""

    work: str
    peer: str
    ratio: Ratio | None
    target: float | None
    why_not: str = ""
    is_share: bool = False

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return f"skipped: {self.why_not}"
        if self.target is None:
            return ""
        got = round(self.ratio.median, 3)
        is_reached = got >= self.target if self.is_share else got <= self.target
        return "reached" if is_reached else "NOT reached"


class Scale(NamedTuple):
    """How much is done: rounds, the factor on the calls of each, and whether a round warms up first."""

    rounds: int
    factor: float
    has_peers: bool
    warms_up: bool = True

    @property
    def is_quick(self) -> bool:
        return self.factor < 1


FULL = Scale(15, 1.0, has_peers=True)
QUICK = Scale(1, 0.02, has_peers=True, warms_up=False)


class Entry(NamedTuple):
    """Who takes part, doing what. Without a requirement it runs in our own environment."""

    name: str
    module: str
    arguments: tuple[str, ...]
    requirement: str = ""


class Result(NamedTuple):
    """A race: what it cost whom, and why somebody was not there."""

    costs: Costs
    absent: dict[str, str]


def race_entries(scale: Scale, work: str, clock: str, count: int, entries: Sequence[Entry]) -> Result:
    """Start everybody, and race them at one work."""
    (result,) = race_works(scale, [(work, clock)], count, entries)
    return result


def race_works(scale: Scale, works: Sequence[tuple[str, str]], count: int, entries: Sequence[Entry]) -> list[Result]:
    """Start everybody once, and race them at each work by its clock, one after the other."""
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        present = []
        for entry in entries:
            try:
                if entry.requirement and not scale.has_peers:
                    raise ContestError("without peers")
                python = peers.python_with(entry.requirement) if entry.requirement else sys.executable
                each = stack.enter_context(Contestant(entry.name, entry.module, *entry.arguments, python=python))
                each.line()  # it is ready
                present.append(each)
            except ContestError as error:
                if not entry.requirement:  # ours, which must run
                    raise
                absent[entry.name] = str(error)
        calls = max(1, round(count * scale.factor))
        others = {entry.name for entry in entries if entry.requirement}
        results = []
        for work, clock in works:
            costs, stopped = race(
                present, work=work, clock=clock, count=calls, rounds=scale.rounds, peers=others, warms_up=scale.warms_up
            )
            results.append(Result(costs, absent | stopped))
        return results


def row(result: Result, title: str, peer: str, target: float | None = None, *, of: str = OURS) -> Row:
    """A line of the table: what one of ours needs over what the peer needs."""
    if absent := [result.absent[name] for name in (peer, of) if name in result.absent]:
        return Row(title, peer, None, target, absent[0])
    return Row(title, peer, compare(result.costs[of], result.costs[peer]), target)


def write_key(path: Path, *, is_fast: bool = False) -> str:
    """Make a key file, RSA-2048 or Ed25519, and return its path."""
    key = ed25519.Ed25519PrivateKey.generate() if is_fast else rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    return str(path)
