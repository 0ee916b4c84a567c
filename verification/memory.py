"""python -m verification.memory [--tapes N] [--times N] [--strategy NAME]

Imports recordings into a lake, and repeats its days N times into another one. Runs the same backtest over both, each in
a process of its own, and prints the peak of its memory. Exit code 1 if the larger lake needs over a third more.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.lake.lake import Lake, open_lake
from kalshi_cli.lake.layout import DAY_US
from kalshi_cli.services.research.lake_import import import_file
from verification.replay.tapes import recordings

MOST = 1.33
"""Memory of the larger lake as a multiple, at most."""

_US = ("ts_us", "from_us", "to_us", "close_us")
_MS = ("recv_ms", "sent_ms", "recv_from_ms", "recv_to_ms", "until_ms")

_MEASURED = """
import resource, sys
from kalshi_cli.cli.main import main
code = main(sys.argv[1:])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def repeat(lake: Lake, other: Lake, times: int) -> int:
    """Copy a lake `times` times, each as many days later as it is long, and return the number of recordings."""
    sessions = lake.sessions()
    days = max(each.to_us for each in sessions) // DAY_US - min(each.from_us for each in sessions) // DAY_US + 1
    for number in range(times):
        with other.writing(SystemClock()) as changes:
            for path in sorted(lake.root.rglob("*.parquet")):
                table, series = (part.partition("=")[2] for part in path.relative_to(lake.root).parts[:2])
                for row in _later(pq.read_table(path), number, days).to_pylist():
                    at = row.get("ts_us", row.get("from_us"))
                    changes.add(table, series, at, tuple(row.values()))
    return len(other.sessions())


def _later(part: pa.Table, number: int, days: int) -> pa.Table:
    """Return rows that many days later, as those of another session and other markets."""
    for index, field in enumerate(part.schema):
        column: Any = part.column(index)
        if field.name in (*_US, *_MS):
            shift = number * days * DAY_US // (1 if field.name in _US else 1000)
            # A time of -1 stands for an unknown one.
            column = pc.if_else(pc.greater_equal(column, 0), pc.add(column, shift), column)
        elif field.name in ("session", "market", "digest"):
            column = pc.binary_join_element_wise(column.cast(pa.string()), f"R{number}", "-")
        else:
            continue
        part = part.set_column(index, field.name, column)
    return part


def peak_mb(lake: Path, strategy: str, home: Path) -> float:
    """Run a backtest over a lake in a process of its own, and return the peak of its memory in megabytes."""
    words = ["--env", "sim", "--state", str(home), "--json", "backtest", "--strategy", strategy, "--lake", str(lake)]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    code, peak = done.stderr.splitlines()[-1].split()
    if code != "0":
        raise RuntimeError(done.stderr)
    return int(peak) / 1024


def main(arguments: list[str]) -> int:
    """Print the figures; 1 if memory grows with the recordings."""
    parser = argparse.ArgumentParser(prog="python -m verification.memory", description=__doc__)
    parser.add_argument("--tapes", type=int, default=2, help="recordings to repeat")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--strategy", default="threshold")
    given = parser.parse_args(arguments)
    tapes = recordings()[: given.tapes]
    if not tapes:
        print("skipped: no recordings beside the repository", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        once, often = (open_lake(home / name, is_new=True) for name in ("once", "often"))
        for path in tapes:
            import_file(once, path, SystemClock())
        count = repeat(once, often, given.times)
        peaks = [peak_mb(lake.root, given.strategy, home / "state") for lake in (once, often)]
    print(f"{len(tapes)} recordings: {peaks[0]:.0f} MB at most; {count} recordings: {peaks[1]:.0f} MB")
    return 1 if peaks[1] > MOST * peaks[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
