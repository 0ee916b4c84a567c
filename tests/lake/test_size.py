"""The size of a lake on disk: a limit behind the figures of `scripts/lake_figures.py`."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest
from support.lake import lake_of
from support.places import ROOT, SHARED
from support.recordings import Tape

TAPES = sorted((SHARED / "data" / "tapes").glob("*.jsonl.gz"))[:1] if SHARED.is_dir() else []
MOST_BYTES = 8
"""Bytes of an order book change on disk, at most; all recordings together have about 7."""


@pytest.fixture(scope="module")
def size_of() -> Any:
    spec = importlib.util.spec_from_file_location("lake_figures", ROOT / "scripts/lake_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.size_of


@pytest.mark.skipif(not TAPES, reason="no recordings beside the repository")
def test_a_change_of_a_real_recording_takes_few_bytes(size_of: Any, tmp_path: Path) -> None:
    size = size_of(lake_of(tmp_path, *TAPES))
    assert size.changes > 50_000
    assert size.book_bytes < MOST_BYTES * size.changes


def test_a_change_of_a_random_recording_takes_few_bytes(size_of: Any, tmp_path: Path) -> None:
    """Random prices, counts and times compress worse than real ones."""
    dice, tape = random.Random(1), Tape()
    tape.snapshot(yes={"0.4000": "1.00"}, no={"0.5600": "1.00"})
    for _ in range(20_000):
        tape.delta(dice.randrange(30), price=f"0.{dice.randrange(10, 40)}00", by=f"{dice.randrange(1, 500)}.00")
    size = size_of(lake_of(tmp_path, tape.write(tmp_path / "tape.jsonl")))
    assert size.changes == 20_000
    assert size.book_bytes < MOST_BYTES * size.changes
    assert size.book_bytes < size.all_bytes
