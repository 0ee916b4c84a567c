"""Size and speed of a lake: `python scripts/lake_figures.py FILE...`, with recordings."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.lake.arrays import arrays
from kalshi_cli.lake.lake import open_lake
from kalshi_cli.lake.reader import Selection
from kalshi_cli.services.research.lake_import import import_file

ROUNDS = 7


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
        changes, rows = sum(each.changes for each in found), sum(each.rows for each in found)
        paths = sorted((lake.root / "table=book_changes").rglob("*.parquet"))
        everything = sum(path.stat().st_size for path in lake.root.rglob("*.parquet"))
        size = sum(path.stat().st_size for path in paths)
        show(f"{changes:,} changes in {len(files)} recordings, {rows / took:,.0f} events a second imported")
        show(f"{size / changes:.2f} bytes a change, {everything / changes:.2f} with all other tables")
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
