"""A lake: a folder of Parquet files, its format, its lock, and what is in it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import StateFileError, UsageError
from kalshi_cli.base.files import OtherKindError, make_folder, open_regular, read_regular
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.lake.coverage import Covered
from kalshi_cli.lake.layout import MAX_US
from kalshi_cli.lake.listing import files_of, series_in
from kalshi_cli.lake.tables import FORMAT, open_file, reason_of, unreadable
from kalshi_cli.lake.transaction import STAGING, Transaction, recover

_FILE = "lake.json"
_LOCK = ".lock"
_RETRY_S = 0.2


class LakeFormat(msgspec.Struct, frozen=True):
    """The content of `lake.json`."""

    format: int
    program: str = "kalshi"


class LakeSession(msgspec.Struct, frozen=True, kw_only=True):
    """An import: a recording, a file of prices or results, or a download.

    `from_us` to `to_us` are exchange times, `recv_from_ms` to `recv_to_ms` times of receipt (-1 if unknown). `series`
    are those of its markets, `inputs` the tables and series of its external inputs, such as `spot/BTC`.
    """

    session: str
    kind: str
    source: str
    digest: str
    from_us: int
    to_us: int
    recv_from_ms: int
    recv_to_ms: int
    series: tuple[str, ...]
    inputs: tuple[str, ...]
    rows: int


class Lake:
    """A lake that was opened by `open_lake`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def parts(
        self, table: str, series: str, session: LakeSession, columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """Yield the rows of a table that this import added to a series."""
        times = session.from_us, session.to_us
        return self.tables(table, [series], *times, session=session.session, columns=columns)

    @contextmanager
    def writing(self, clock: Clock, wait_s: float = 0.0) -> Iterator[Transaction]:
        """Hold the lake's lock and collect changes; they are made at the end of the block, all or none.

        Waits at most `wait_s` for another writer. Raises StateFileError if that one holds the lock for longer, or if
        the disk fails; then nothing was changed.
        """
        try:
            file = open_regular(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        except OSError as error:
            raise unwritable(self.root, error) from error
        try:
            self._lock(file, clock, wait_s)
            try:
                recover(self.root)
                changes = Transaction(self.root)
                try:
                    yield changes
                    changes.commit()
                finally:
                    changes.cancel()
            except OSError as error:
                raise unwritable(self.root, error) from error
        finally:
            os.close(file)

    def _lock(self, file: int, clock: Clock, wait_s: float) -> None:
        until = clock.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock.monotonic() < until:
                    clock.sleep(_RETRY_S)
                    continue
                holder = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
                raise StateFileError(
                    f"Another process is writing to the lake {self.root} (pid {holder}); nothing was changed",
                    hint="wait until it has ended, then run this again",
                    code="lake_busy",
                ) from None
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
            return

    def tables(
        self,
        table: str,
        series: Iterable[str] | None = None,
        first: int = 0,
        last: int = MAX_US,
        *,
        session: str = "",
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.Table]:
        """Yield the rows of a table, a row group at a time: of these series, times and session, or of all.

        Only whole files are left out by time; a session is exact. `columns` are those to read, all if None.
        """
        chosen = series_in(self.root, table) if series is None else series
        path = self.root
        try:
            for each in files_of(self.root, table, chosen, first, last):
                path = each.path
                yield from _groups(path, session, columns)
        except FileNotFoundError as error:
            raise StateFileError(
                f"The lake {self.root} changed while it was read", hint="run this again", code="lake_busy"
            ) from error
        except (OSError, pa.ArrowException) as error:
            raise unreadable(path, error) from error

    def rows(self, table: str, series: Iterable[str] | None = None, session: str = "") -> list[dict[str, Any]]:
        """Return the rows of a small table: sessions, coverage, markets."""
        return [row for part in self.tables(table, series, session=session) for row in part.to_pylist()]

    def sessions(self) -> list[LakeSession]:
        """Return the imports of the lake, each once, by time."""
        found = {row["session"]: msgspec.convert(row, prepared(LakeSession)) for row in self.rows("sessions")}
        return sorted(found.values(), key=lambda each: (each.from_us, each.session))

    def coverage(self, kind: str, series: Iterable[str] | None = None) -> list[Covered]:
        """Return the coverage of this kind (book, trades, spot, candles), by market and time."""
        found = [
            Covered(row["market"], row["from_us"], row["to_us"], row["ended"])
            for row in self.rows("coverage", series)
            if row["kind"] == kind
        ]
        return sorted(found)

    def add_session(self, changes: Transaction, session: LakeSession) -> None:
        """Add the row of an import, to each of its series."""
        row = msgspec.structs.astuple(session)
        for series in (*session.series, *(each.partition("/")[2] for each in session.inputs)):
            changes.add("sessions", series, session.from_us, row)


def _groups(path: Path, session: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    with open_file(path) as file:
        leaf = next(index for index in range(file.metadata.num_columns) if file.schema.column(index).path == "session")
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            stats = group.column(leaf).statistics
            lowest, highest = (stats.min, stats.max) if stats is not None and stats.has_min_max else ("", chr(0x10FFFF))
            if not group.num_rows or (session and not lowest <= session <= highest):
                continue
            if not session or lowest == highest:
                yield file.read_row_group(number, columns, use_threads=False)
                continue
            found = file.read_row_group(number, None if columns is None else [*columns, "session"], use_threads=False)
            found = found.filter(pc.equal(found.column("session"), session))
            if found.num_rows:
                yield found


def open_lake(root: Path, *, is_new: bool = False) -> Lake:
    """Open a lake; with `is_new`, create it if it does not exist.

    Raises UsageError if there is no lake, StateFileError if it has a later format or cannot be read.
    """
    path = root / _FILE
    try:
        found = msgspec.json.decode(read_regular(path), type=prepared(LakeFormat))
    except FileNotFoundError:
        if not is_new:
            raise UsageError(
                f"No lake at {root}",
                hint="`kalshi record TICKER` or `kalshi data import FILE` creates it",
                code="no_lake",
            ) from None
        return _create(root)
    except (OSError, msgspec.DecodeError) as error:
        raise StateFileError(f"Cannot read {path}: {reason_of(error)}", code="lake_broken") from error
    if found.format > FORMAT:
        raise StateFileError(
            f"The lake {root} has format {found.format}; this kalshi knows up to {FORMAT}. Nothing was changed",
            hint="update kalshi, or choose another folder with --lake",
            code="lake_newer",
        )
    return Lake(root)


def _create(root: Path) -> Lake:
    """Create a lake in a new or empty folder. Raises UsageError if there are other files."""
    try:
        make_folder(root)
        if any(not each.name.startswith(".") for each in root.iterdir()):
            raise UsageError(f"{root} has other files and is no lake", hint="name an empty folder", code="no_lake")
        new = root / f".{_FILE}.new"
        new.write_bytes(msgspec.json.encode(LakeFormat(FORMAT)) + b"\n")
        os.replace(new, root / _FILE)
    except OSError as error:
        raise unwritable(root, error) from error
    return Lake(root)


def unwritable(root: Path, error: OSError) -> StateFileError:
    """Return the error for a lake that cannot be written."""
    if isinstance(error, OtherKindError):
        said = f"{error.filename}: {error.strerror}; nothing was changed"
        return StateFileError(f"Cannot write to the lake {root}: {said}", hint="remove it", code="lake_unwritable")
    step = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "make it writable"
    return StateFileError(
        f"Cannot write to the lake {root}: {error.strerror or error}; nothing was changed",
        hint=f"{step}, or choose another folder with --lake",
        code="lake_unwritable",
    )


def has_pending_changes(root: Path) -> bool:
    """Return whether a writer works on the lake, or ended within its changes."""
    with suppress(OSError):
        return any((root / STAGING).iterdir())
    return False
