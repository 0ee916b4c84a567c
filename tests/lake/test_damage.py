"""A file of a lake that was damaged or replaced is named; nothing waits for it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from support.lake import NOW, add, content, lake_of, play_lake
from support.recordings import Tape

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import ExitCode, StateFileError
from kalshi_cli.lake.lake import Lake, open_lake
from kalshi_cli.lake.layout import DAY_US
from kalshi_cli.lake.reader import Selection
from kalshi_cli.lake.transaction import STAGING
from kalshi_cli.lake.upkeep import check, export, old_files, statistics, unlisted


def tape(folder: Path, name: str = "a.jsonl", after_ms: int = 0) -> Path:
    made = Tape()
    made.now = type(made.now)(made.now + after_ms)
    return made.snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "5.00"}).delta().delta(40).write(folder / name)


def changes_of(lake: Lake) -> Path:
    return next((lake.root / "table=book_changes").rglob("*.parquet"))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def change_a_byte(path: Path) -> None:
    """Change a time in a page, so that the page still can be decoded."""
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(file.schema_arrow.names.index("ts_us"))
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 10] ^= 1
    path.write_bytes(content)


def become_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def merge(lake: Lake, path: Path, row: dict[str, Any]) -> None:
    """Add a row at the time of another one, so that their files become one."""
    series = path.parents[1].name.removeprefix("series=")
    with lake.writing(ManualClock(NOW)) as changes:
        changes.add("book_changes", series, row["ts_us"], tuple(row.values()))


DAMAGES = pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "Parquet magic bytes not found in footer"),
        (empty, "Parquet file size is 0 bytes"),
        (become_fifo, "it is a FIFO, not a regular file"),
        (become_folder, "it is a directory, not a regular file"),
    ],
)


@DAMAGES
def test_whatever_reads_a_damaged_file_names_it(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    lake = lake_of(tmp_path, tape(tmp_path))
    path, row = changes_of(lake), lake.rows("book_changes")[0]
    damage(path)
    target = tmp_path / "out.csv"
    reads: list[Callable[[], object]] = [
        lambda: statistics(lake),
        lambda: play_lake(lake),
        lambda: export(lake, "book_changes", Selection(), target),
        lambda: merge(lake, path, row),
    ]
    for read in reads:
        with pytest.raises(StateFileError, match=rf"Unreadable file in the lake: {path}: {said}") as caught:
            read()
        assert (caught.value.exit_code, caught.value.code) == (ExitCode.STATE, "lake_broken")
    assert not [each for each in tmp_path.iterdir() if "out.csv" in each.name]
    (problem,) = check(lake)
    assert problem.path == path
    assert problem.text.startswith(f"unreadable: {said}")


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, tape(tmp_path))
    assert check(lake) == []
    change_a_byte(path := changes_of(lake))
    with pytest.raises(StateFileError, match=f"Unreadable file in the lake: {path}: .*CRC checksum"):
        play_lake(lake)
    assert [each.path for each in check(lake)] == [path]


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, tape(tmp_path))
    path, said = changes_of(lake), play_lake(lake)
    pq.write_table(pq.read_table(path, partitioning=None), path)
    assert play_lake(lake) == said
    assert check(lake) == []


@pytest.mark.parametrize(
    ("make", "said", "hint"),
    [
        (os.mkfifo, r"Cannot write to the lake .*: {}: it is a FIFO, not a regular file", "remove it"),
        (Path.mkdir, r"Cannot write to the lake .*: {}: it is a directory, not a regular file", "remove it"),
        (lambda path: path.write_text("{"), r"Unreadable list of changes of the lake: {}: ", "delete it, then run"),
    ],
)
def test_a_list_of_changes_that_is_no_list_is_named(
    tmp_path: Path, make: Callable[[Path], object], said: str, hint: str
) -> None:
    lake = lake_of(tmp_path, tape(tmp_path))
    before, row = content(lake), lake.rows("book_changes")[0]
    changes = lake.root / STAGING / "import" / "commit.json"
    changes.parent.mkdir(parents=True)
    make(changes)
    with pytest.raises(StateFileError, match=said.format(changes)) as caught:
        merge(lake, changes_of(lake), row)
    assert (caught.value.hint or "").startswith(hint)
    shutil.rmtree(lake.root / STAGING)
    assert content(lake) == before


def test_a_folder_with_the_name_of_a_new_file_is_named_and_no_change_is_decided(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, tape(tmp_path))
    row = {**lake.rows("book_changes")[0], "ts_us": 5}
    series = changes_of(lake).parents[1]
    folder = series / "day=1970-01-01" / "000000.000005-000000.000005.parquet"
    folder.mkdir(parents=True)
    with pytest.raises(StateFileError, match=f"{folder}: it is a directory, not a regular file; nothing was changed"):
        merge(lake, series / "day" / "name", row)
    folder.rmdir()
    merge(lake, series / "day" / "name", row)
    assert folder.is_file()


@pytest.mark.parametrize("table", ["book_changes", "sessions", "coverage"])
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_missing_file_is_named(tmp_path: Path, table: str, is_whole: bool) -> None:
    lake = lake_of(tmp_path, tape(tmp_path))
    path = next((lake.root / f"table={table}").rglob("*.parquet"))
    shutil.rmtree(lake.root / f"table={table}") if is_whole else path.unlink()
    reads: list[Callable[[], object]] = [lambda: statistics(lake), lambda: lake.rows(table)]
    if table != "coverage":  # a replay of one recording does not read it
        reads.append(lambda: play_lake(lake))
    for read in reads:
        with pytest.raises(StateFileError, match=f"Missing file in the lake: {path}") as caught:
            read()
        assert caught.value.code == "lake_broken"
    assert [tuple(each) for each in check(lake)] == [(path, "missing")]


def test_a_lake_without_lists_is_read_until_an_import_lists_its_files(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, tape(tmp_path))
    said, count = play_lake(lake), len([*lake.root.rglob("*.parquet")])
    shutil.rmtree(lake.root / ".files")
    assert play_lake(lake) == said
    assert check(lake) == []
    assert unlisted(lake) == count
    add(lake, tape(tmp_path, "b.jsonl", 60_000))
    assert unlisted(lake) == 0
    changes_of(lake).unlink()
    assert [each.text for each in check(lake)] == ["missing"]


def test_what_was_pruned_is_not_missing_and_what_is_missing_can_be_pruned(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, tape(tmp_path))
    said = play_lake(lake)
    changes_of(lake).unlink()
    with lake.writing(ManualClock(NOW)) as changes:
        for path in old_files(lake, 40_000 * DAY_US):
            changes.delete(path)
    assert check(lake) == []
    assert not statistics(lake)
    assert add(lake, tmp_path / "a.jsonl").changes == 2
    assert play_lake(lake) == said


@pytest.mark.parametrize("name", ["copy of {}", "000000.000000-235959.999999.parquet"])
def test_a_copied_file_is_not_read_and_is_named(tmp_path: Path, name: str) -> None:
    lake = lake_of(tmp_path, tape(tmp_path))
    said, path = play_lake(lake), changes_of(lake)
    copy = path.with_name(name.format(path.name))
    shutil.copy(path, copy)
    assert play_lake(lake) == said
    assert [tuple(each) for each in check(lake)] == [(copy, "not a file of the lake, which does not read it")]


class Killed(BaseException):
    """The process ended here."""


class Import(NamedTuple):
    """A lake before and after the import of a recording."""

    before: Lake
    added: Path
    after: Lake


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Import:
    folder = tmp_path_factory.mktemp("whole")
    first, second = tape(folder), tape(folder, "b.jsonl", 2)
    return Import(lake_of(folder / "before", first), second, lake_of(folder / "after", first, second))


@pytest.mark.parametrize("step", range(18))
def test_an_import_that_was_killed_at_any_step_is_seen_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, whole: Import
) -> None:
    lake, second = open_lake(shutil.copytree(whole.before.root, tmp_path / "lake")), whole.added
    steps = itertools.count()

    def ending(call: Callable[..., Any]) -> Callable[..., Any]:
        def ended(*arguments: Any, **options: Any) -> Any:
            if next(steps) >= step:
                raise Killed
            return call(*arguments, **options)

        return ended

    with monkeypatch.context() as patched:
        for place, name in ((os, "replace"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
            patched.setattr(place, name, ending(getattr(place, name)))
        with contextlib.suppress(Killed):
            add(lake, second)
    assert play_lake(lake) in (play_lake(whole.before), play_lake(whole.after))
    assert check(lake) == []
    add(lake, second)
    with lake.writing(ManualClock(NOW)):
        pass  # the next writer removes what is left
    assert content(lake) == content(whole.after)
