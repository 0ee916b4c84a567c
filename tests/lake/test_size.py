"""The size of a lake on disk: a limit behind the figures of `python -m bench lake`."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.lake import lake_of
from support.places import SHARED
from support.recordings import Tape

from kalshi_cli.lake.lake import Lake

TAPES = sorted((SHARED / "data" / "tapes").glob("*.jsonl.gz"))[:1] if SHARED.is_dir() else []
MOST_BYTES = 8
"""Bytes of an order book change on disk, at most; all recordings together have about 7."""


def size_of(lake: Lake) -> tuple[int, int]:
    """The order book changes of a lake, and the bytes of their files."""
    paths = list((lake.root / "table=book_changes").rglob("*.parquet"))
    return sum(pq.read_metadata(path).num_rows for path in paths), sum(path.stat().st_size for path in paths)


@pytest.mark.skipif(not TAPES, reason="no recordings beside the repository")
def test_a_change_of_a_real_recording_takes_few_bytes(tmp_path: Path) -> None:
    changes, size = size_of(lake_of(tmp_path, *TAPES))
    assert changes > 50_000
    assert size < MOST_BYTES * changes


def test_a_change_of_a_random_recording_takes_few_bytes(tmp_path: Path) -> None:
    """Random prices, counts and times compress worse than real ones."""
    dice, tape = random.Random(1), Tape()
    tape.snapshot(yes={"0.4000": "1.00"}, no={"0.5600": "1.00"})
    for _ in range(20_000):
        tape.delta(dice.randrange(30), price=f"0.{dice.randrange(10, 40)}00", by=f"{dice.randrange(1, 500)}.00")
    changes, size = size_of(lake_of(tmp_path, tape.write(tmp_path / "tape.jsonl")))
    assert changes == 20_000
    assert size < MOST_BYTES * changes
