"""Seeds that once broke an invariant: each found a fault, and is replayed in the tests."""

from __future__ import annotations

from pathlib import Path


def seeds() -> list[int]:
    """The first word of each line of regressions.txt, but for those that begin with `#`."""
    lines = (Path(__file__).parent / "regressions.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]
