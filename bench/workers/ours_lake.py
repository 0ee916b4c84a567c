"""The changes of order books of a lake: as arrays in the order of replay, and as tables of pyarrow."""

import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from bench.worker import serve
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.lake.arrays import arrays
from kalshi_cli.lake.lake import open_lake
from kalshi_cli.lake.reader import Selection
from kalshi_cli.services.research.lake_import import import_file

folder, *paths = sys.argv[1:]
lake = open_lake(Path(folder), is_new=True)
began = SystemClock().monotonic()
found = [import_file(lake, Path(path), SystemClock()).found for path in paths]
took = SystemClock().monotonic() - began
files = sorted((lake.root / "table=book_changes").rglob("*.parquet"))
size = sum(path.stat().st_size for path in files)
print(sum(each.rows for each in found) / took, size / sum(each.changes for each in found), flush=True)


def plain() -> int:
    return sum(pq.read_table(path).num_rows for path in files)


def ours() -> int:
    return len(arrays(lake, Selection()).ts_us)


def repeated(load: Callable[[], int]) -> Callable[[int], Callable[[], int]]:
    return lambda count: lambda: max(load() for _ in range(count))


serve({"ours": repeated(ours), "pyarrow": repeated(plain)}, str)
