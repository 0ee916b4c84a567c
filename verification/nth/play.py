"""One session with one fault at one place, from the start to the result."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple

from support.simulation import Simulation

from kalshi_cli.simulator.model.listing import ExchangeOptions
from verification.nth import ending
from verification.nth.faults import KINDS, Kind, Wires
from verification.nth.person import Person, Told
from verification.nth.sessions import SESSIONS, Session, begin

PAGE = 2
"""Orders, fills, ... in a page of a list."""

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Thousands of state files, each written durably: in memory that costs nothing."""

MOST_PLACES = 200
"""Requests of one session; more is a session that never ends."""


class Rules(NamedTuple):
    """How the exchange behaves where that is not certain."""

    client_ids: Literal["forever", "open_only"]
    read_lag_ms: int

    @property
    def options(self) -> ExchangeOptions:
        # What is delivered late must not be refused for its age alone: that would hide the fault.
        return ExchangeOptions(
            read_rate=0, write_rate=0, client_ids=self.client_ids, read_lag_ms=self.read_lag_ms,
            clock_past_ms=60_000, clock_future_ms=60_000,
        )  # fmt: skip

    def __str__(self) -> str:
        return f"client ids {self.client_ids}, reads {self.read_lag_ms} ms behind"


ALL_RULES = *(Rules("forever", lag) for lag in (0, 2_000)), *(Rules("open_only", lag) for lag in (0, 2_000))


class Ended(NamedTuple):
    """One run: the request that was hit (None: the session completed untouched), what was told, what is wrong."""

    session: str
    kind: str
    nth: int
    rules: Rules
    hit: str
    step: str
    told: tuple[Told, ...]
    requests: int
    problems: tuple[str, ...]


def play(session: Session, kind: Kind | None, nth: int, rules: Rules, folder: Path) -> Ended:
    """Run it and judge it."""
    sim = Simulation(folder, options=rules.options)
    try:
        wires = Wires(sim, None, nth, PAGE)
        person = Person(sim, wires)
        begin(sim, session, person)
        wires.arm(kind)
        session.play(person)
        fired, requests = wires.fired, len(wires.attempts)
        ending.settle(sim, wires)
        found = tuple(ending.problems(sim, wires, person))
        hit = f"{fired.method} {fired.path.removeprefix('/trade-api/v2')}" if fired else ""
        return Ended(
            session.name, kind.name if kind else "none", nth, rules, hit, fired.step if fired else "",
            tuple(person.told), requests, found,
        )  # fmt: skip
    finally:
        sim.close()


def loop(session: Session, kind: Kind, rules: Rules, verbs: tuple[str, ...] = ()) -> Iterator[Ended]:
    """The fault on the 1st, 2nd, 3rd ... request that it is for, until the session completes untouched."""
    if verbs:
        kind = kind._replace(verbs=tuple(verb for verb in kind.verbs if verb in verbs))
    if not kind.verbs:
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY) as home:
        for nth in count(1):
            folder = Path(home) / str(nth)
            folder.mkdir()
            ended = play(session, kind, nth, rules, folder)
            yield ended
            if not ended.hit:
                return
            assert nth < MOST_PLACES, f"{session.name} never completes"


def every_loop(rules: Rules) -> Iterator[tuple[Session, Kind, tuple[str, ...]]]:
    """Which loops are played: under the first rules all, under the others what sends something and depends on them."""
    is_all = rules == ALL_RULES[0]
    verbs = () if is_all else ("POST", "PUT", "DELETE")
    for session in SESSIONS:
        if is_all or session.name != "reads":
            yield from ((session, kind, verbs) for kind in KINDS if is_all or kind.is_looked_up)
