"""Size and speed of a lake: `python scripts/lake_figures.py FILE...`, with recordings."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.lake.arrays import arrays
from kalshi_cli.lake.lake import Lake, open_lake
from kalshi_cli.lake.reader import Selection
from kalshi_cli.services.research.lake_import import import_file

ROUNDS = 7


class Size(NamedTuple):
    """The order book changes of a lake, the bytes of their files, and those of all files."""

    changes: int
    book_bytes: int
    all_bytes: int


def size_of(lake: Lake) -> Size:
    """Return the size of a lake."""
    paths = change_files(lake)
    return Size(
        sum(pq.read_metadata(path).num_rows for path in paths),
        sum(path.stat().st_size for path in paths),
        sum(path.stat().st_size for path in lake.root.rglob("*.parquet")),
    )


def change_files(lake: Lake) -> list[Path]:
    """Return the files of order book changes."""
    return sorted((lake.root / "table=book_changes").rglob("*.parquet"))


def show(line: str) -> None:
    """Write a line."""
    sys.stdout.write(line + "\n")


def main(files: list[Path]) -> None:
    """Import the files and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        lake = open_lake(Path(folder) / "lake", is_new=True)
        started = time.perf_counter()
        found = [import_file(lake, path, SystemClock()).found for path in files]
        took = time.perf_counter() - started
        rows, paths = sum(each.rows for each in found), change_files(lake)
        changes, books, everything = size_of(lake)
        show(f"{changes:,} changes in {len(files)} recordings, {rows / took:,.0f} events a second imported")
        show(f"{books / changes:.2f} bytes a change, {everything / changes:.2f} with all other tables")
        ours, plain = [], []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            arrays(lake, Selection())
            ours.append(time.perf_counter() - started)
            started = time.perf_counter()
            for path in paths:
                pq.read_table(path)
            plain.append(time.perf_counter() - started)
        best, other = min(ours), min(plain)
        show(f"loading {best * 1e3:.0f} ms, pyarrow.read_table {other * 1e3:.0f} ms: {best / other:.2f} times")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
