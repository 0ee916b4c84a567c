"""Changes of a lake that happen as a whole or not at all.

Files are first written below `.staging`, then a list of moves and deletions is written, then it is carried out. A
process that ends before the list leaves nothing; after it, the next writer completes the list.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import make_folder, read_regular, refuse_other_kinds, sync
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.lake.layout import DAY_US, DataFile, Partition, file_name
from kalshi_cli.lake.listing import files_of, note_files
from kalshi_cli.lake.tables import ROW_GROUP, open_writer, row_groups, table_of

STAGING = ".staging"
_LIST = "commit.json"


class _Changes(msgspec.Struct):
    """Files to move (from the staging folder, to the lake), then files to delete, all relative to the lake."""

    moves: list[tuple[str, str]]
    deletes: list[str]


class _StagedFile:
    """The new rows of a partition, in the order added."""

    def __init__(self, path: Path, table: str) -> None:
        self.path = path
        self.table = table
        self.first = self.last = -1
        self.count = 0
        self._rows: list[tuple[Any, ...]] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, us: int, values: tuple[Any, ...]) -> None:
        """Add a row at this time."""
        self.first = us if self.first < 0 else min(self.first, us)
        self.last = max(self.last, us)
        self.count += 1
        self._rows.append(values)
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def finish(self, older: Sequence[DataFile]) -> None:
        """Write the file, with the rows of the `older` ones before its own."""
        self._flush()
        self.close()
        if not older:
            return
        new = self.path.with_suffix(".new")
        os.replace(self.path, new)
        with open_writer(self.path, self.table) as writer:
            for path in (*(each.path for each in older), new):
                for group in row_groups(path):
                    writer.write_table(group.cast(writer.schema))
        new.unlink()
        self.first = min(self.first, *(each.first for each in older))
        self.last = max(self.last, *(each.last for each in older))

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = open_writer(self.path, self.table)
        self._writer.write_table(table_of(self.table, self._rows))
        self._rows = []


class Transaction:
    """Rows to add to a lake, and files to delete from it. Only the holder of the lake's lock may use it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / STAGING / "import"
        self._staged: dict[Partition, _StagedFile] = {}
        self._deletes: list[Path] = []
        make_folder(self._folder)

    @property
    def rows(self) -> int:
        """Return the number of rows added."""
        return sum(each.count for each in self._staged.values())

    def add(self, table: str, series: str, us: int, values: tuple[Any, ...]) -> None:
        """Add a row to the partition of this table, series and time."""
        key = Partition(table, series, us // DAY_US)
        staged = self._staged.get(key)
        if staged is None:
            staged = self._staged[key] = _StagedFile(self._folder / f"{len(self._staged)}.parquet", table)
        staged.add(us, values)

    def delete(self, path: Path) -> None:
        """Delete a file of the lake."""
        self._deletes.append(path)

    def commit(self) -> None:
        """Make all changes. Raises OSError if the disk fails before any of them was made."""
        moves: list[tuple[str, str]] = []
        deletes = [str(path.relative_to(self._root)) for path in self._deletes]
        for key, staged in self._staged.items():
            folder = key.folder(self._root)
            older = _touched(self._root, key, staged)
            staged.finish(older)
            target = folder / file_name(staged.first, staged.last)
            with suppress(FileNotFoundError):  # before the decision, which could then never be carried out
                refuse_other_kinds(target, follow=True)
            moves.append((str(staged.path.relative_to(self._root)), str(target.relative_to(self._root))))
            deletes += [str(each.path.relative_to(self._root)) for each in older if each.path != target]
            sync(staged.path)
        written = self._folder / f"{_LIST}.new"
        written.write_bytes(msgspec.json.encode(_Changes(moves, deletes)))
        sync(written)
        os.replace(written, self._folder / _LIST)
        sync(self._folder)
        recover(self._root)

    def cancel(self) -> None:
        """Remove what was staged."""
        for staged in self._staged.values():
            staged.close()
        if not (self._folder / _LIST).exists():
            shutil.rmtree(self._folder, ignore_errors=True)


def _touched(root: Path, key: Partition, staged: _StagedFile) -> list[DataFile]:
    """Return the files whose range touches the new one, also by way of each other."""
    first, last = staged.first, staged.last
    found: list[DataFile] = []
    while True:
        grown = list(files_of(root, key.table, [key.series], first, last))
        if len(grown) == len(found):
            return found
        found = grown
        first, last = min(first, found[0].first), max(last, *(each.last for each in found))


def recover(root: Path) -> None:
    """Complete the changes that were decided, and remove what was staged without a decision.

    Raises StateFileError if their list is damaged, and OtherKindError if it is no file.
    """
    folder = root / STAGING / "import"
    if not folder.is_dir():
        return
    try:
        changes = msgspec.json.decode(read_regular(folder / _LIST), type=prepared(_Changes))
    except FileNotFoundError:
        shutil.rmtree(folder)
        return
    except msgspec.MsgspecError as error:
        raise StateFileError(
            f"Unreadable list of changes of the lake: {folder / _LIST}: {error}",
            hint=f"delete it, then run `kalshi data check --lake {root}` and import again what is missing",
            code="lake_broken",
        ) from error
    for staged, target in changes.moves:
        if (root / staged).exists():
            make_folder((root / target).parent)
            os.replace(root / staged, root / target)
    for parent in {(root / target).parent for _, target in changes.moves}:
        sync(parent)
    note_files(root, (root / target for _, target in changes.moves), map(root.joinpath, changes.deletes))
    for path in changes.deletes:
        (root / path).unlink(missing_ok=True)
    shutil.rmtree(folder)
