"""The work of one process: a tape with every strategy."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from kalshi_cli.compiled.rows import pack
from verification.replay.compare import compare
from verification.replay.tapes import DATA, read_tape, record_world


class Line(NamedTuple):
    """One tape with one strategy."""

    tape: str
    name: str
    difference: str
    changes: int
    reference_s: float
    compiled_s: float
    fills: int
    refused: int


Task = tuple[str, int, tuple[str, ...]]
"""The path of a tape, or none and the seed of a world; the names of the cases."""


def work(task: Task) -> list[Line]:
    """Importable, for a process of its own."""
    path, seed, names = task
    if path:
        spots = DATA / "tapes" / "spot-btcusd-20260513-14.csv.gz"
        messages = read_tape(Path(path), spots if spots.is_file() else None)
    else:
        with tempfile.TemporaryDirectory() as home:
            record_world(Path(home) / "world.jsonl.gz", seed, 10.0)
            messages = read_tape(Path(home) / "world.jsonl.gz")
    tape, found = list(pack(messages)), []
    for name in names:
        made = compare(messages, tape, name)
        refused = sum(count for _, count in made.reference.refused)
        found.append(
            Line(
                tape=Path(path).name or f"simulated, seed {seed}",
                name=name,
                difference=made.difference,
                changes=made.changes,
                reference_s=made.reference_s,
                compiled_s=made.compiled_s,
                fills=len(made.reference.fills),
                refused=refused,
            )
        )
    return found
