"""A lake changes as a whole or not at all, by one writer, in a format that this program knows."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.lake import NOW, add, content, lake_of
from support.places import ROOT
from support.recordings import Tape

from kalshi_cli.base.clock import ManualClock, SystemClock
from kalshi_cli.base.errors import ExitCode, StateFileError, UsageError
from kalshi_cli.lake.lake import open_lake, unwritable
from kalshi_cli.lake.layout import DAY_US, data_files
from kalshi_cli.lake.tables import FORMAT
from kalshi_cli.lake.transaction import STAGING, Transaction, recover

BOOK: dict[str, Any] = {"yes": {"0.4000": "5.00"}, "no": {"0.5600": "5.00"}}


def small(folder: Path, name: str = "a.jsonl", after_ms: int = 0) -> Path:
    tape = Tape()
    tape.now = type(tape.now)(tape.now + after_ms)
    return tape.snapshot(**BOOK).delta().delta(40).quote().write(folder / name)


def test_a_lake_of_a_later_format_is_refused_and_not_changed(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, small(tmp_path))
    (lake.root / "lake.json").write_text(json.dumps({"format": FORMAT + 1}))
    before = content(lake)
    with pytest.raises(StateFileError, match=f"has format {FORMAT + 1}; this kalshi knows up to {FORMAT}") as caught:
        open_lake(lake.root, is_new=True)
    assert (caught.value.exit_code, caught.value.code) == (ExitCode.STATE, "lake_newer")
    assert content(lake) == before


def test_a_folder_with_other_files_does_not_become_a_lake(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="has other files and is no lake"):
        open_lake(tmp_path, is_new=True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_reading_does_not_create_a_lake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No lake at"):
        open_lake(tmp_path / "lake")
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, small(tmp_path))
    code = (
        "import sys, pathlib\nfrom kalshi_cli.lake.lake import open_lake\n"
        "from kalshi_cli.base.clock import SystemClock\n"
        "with open_lake(pathlib.Path(sys.argv[1])).writing(SystemClock()):\n  print('held', flush=True)\n  input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lake.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        before = content(lake)
        with pytest.raises(StateFileError, match=rf"\(pid {holder.pid}\); nothing was changed") as caught:
            add(lake, small(tmp_path, "b.jsonl", 60_000))
        assert caught.value.code == "lake_busy"
        assert content(lake) == before
    finally:
        holder.communicate("\n", timeout=20)
    assert add(lake, tmp_path / "b.jsonl").changes == 2


def test_a_writer_waits_for_another_one_as_long_as_it_is_told(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, small(tmp_path))
    clock = ManualClock(NOW)
    with lake.writing(SystemClock()), pytest.raises(StateFileError), lake.writing(clock, wait_s=5):
        pass
    assert clock.monotonic() >= 5


def test_a_full_disk_leaves_the_lake_as_it_was(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the write fails in the middle."""
    lake = lake_of(tmp_path, small(tmp_path))
    tape = Tape().snapshot(**BOOK)
    tape.now = type(tape.now)(tape.now + 60_000)
    for number in range(3_000):
        tape.delta(7 + number * number % 13, price=f"0.{1000 + number % 77 * 100}", by=f"{number * number % 997}.00")
    path = tape.write(tmp_path / "big.jsonl")
    before = content(lake)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
    try:
        with pytest.raises(StateFileError, match=r"Cannot write to the lake .*; nothing was changed") as caught:
            add(lake, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == ExitCode.STATE
    assert content(lake) == before
    assert add(lake, path).changes == 3_000


@pytest.mark.parametrize(
    ("number", "step"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "make it writable"), (errno.EACCES, "make it")],
)
def test_the_next_step_fits_the_reason(tmp_path: Path, number: int, step: str) -> None:
    assert (unwritable(tmp_path, OSError(number, os.strerror(number))).hint or "").startswith(step)


def test_changes_that_were_decided_are_completed_by_the_next_writer(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, small(tmp_path))
    whole = content(lake)
    changes = Transaction(lake.root)
    changes.add("trades", "KXA", 5, (5, "KXA-1", "t", 4000, 100, 0, False, "s", 0, 1))
    staged = lake.root / STAGING / "import"
    for key, file in changes._staged.items():
        file.finish([])
        target = key.folder(lake.root) / "000000.000005-000000.000005.parquet"
    moves = [[str((staged / "0.parquet").relative_to(lake.root)), str(target.relative_to(lake.root))]]
    deletes = [name for name in whole if "table=tickers" in name]
    (staged / "commit.json").write_text(json.dumps({"moves": moves, "deletes": deletes}))
    (lake.root / deletes[0]).unlink()  # the writer was killed in the middle
    recover(lake.root)
    added = {str(target.relative_to(lake.root)), ".files/trades/KXA.json"}
    assert set(content(lake)) == ({*whole} | added) - {*deletes, ".files/tickers/KXA.json"}
    assert not (lake.root / STAGING / "import").exists()


def test_what_was_staged_without_a_decision_is_removed(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, small(tmp_path))
    whole = content(lake)
    changes = Transaction(lake.root)
    changes.add("trades", "KXA", 5, (5, "KXA-1", "t", 4000, 100, 0, False, "s", 0, 1))
    (lake.root / STAGING / "import" / "0.parquet").write_bytes(b"PAR")
    with lake.writing(ManualClock(NOW)):
        pass
    assert content(lake) == whole


def trades(lake_rows: list[tuple[int, str]], changes: Transaction) -> None:
    for number, (at, name) in enumerate(lake_rows):
        changes.add("trades", "KXA", at, (at, "KXA-1", name, 4000, 100, 0, False, name[:1], number, 1))


def test_files_of_a_day_have_disjoint_times_whatever_is_added(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    day = 20_000 * DAY_US
    batches = [[(10, "a1"), (20, "a2")], [(30, "b1"), (40, "b2")], [(15, "c1"), (35, "c2")], [(50, "d1")], [(5, "e1")]]
    for batch in batches:
        with lake.writing(ManualClock(NOW)) as changes:
            trades([(day + at, name) for at, name in batch], changes)
    folder = next(lake.root.glob("table=trades/*/*"))
    files = data_files(folder)
    assert [(each.first - day, each.last - day) for each in files] == [(5, 5), (10, 40), (50, 50)]
    assert len(list(folder.iterdir())) == 3
    found = [name for each in files for name in pq.read_table(each.path).column("trade_id").to_pylist()]
    assert sorted(found) == ["a1", "a2", "b1", "b2", "c1", "c2", "d1", "e1"]


def test_a_file_within_the_range_of_another_was_superseded_by_it(tmp_path: Path) -> None:
    """A reader between the two steps of a change does not count rows twice."""
    for name in ("000010.000000-000020.000000", "000010.000000-000030.000000", "000040.000000-000050.000000"):
        (tmp_path / "day=2026-05-13").mkdir(exist_ok=True)
        (tmp_path / "day=2026-05-13" / f"{name}.parquet").touch()
    names = [each.path.stem for each in data_files(tmp_path / "day=2026-05-13")]
    assert names == ["000010.000000-000030.000000", "000040.000000-000050.000000"]


def test_a_name_of_a_series_cannot_leave_the_lake(tmp_path: Path) -> None:
    tape = Tape().snapshot(**BOOK, ticker="../../X/Y-1").delta(ticker="../../X/Y-1")
    lake = lake_of(tmp_path, tape.write(tmp_path / "a.jsonl"))
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl", "lake"}
    assert lake.coverage("book")[0].market == "../../X/Y-1"


def test_files_of_the_lake_are_the_owners(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, small(tmp_path))
    assert {oct(path.stat().st_mode & 0o077) for path in lake.root.rglob("*") if path.is_dir()} == {"0o0"}
    assert os.access(lake.root, os.W_OK)
