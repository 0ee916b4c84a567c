"""A SQLite file, opened safely. Only this module and `sqlite_store.py` import sqlite3.

Every write is one short `BEGIN IMMEDIATE` transaction (a transaction that reads first and then upgrades fails at once,
whatever the timeout). Use a database from the thread that opened it.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import OtherKindError, make_folder, refuse_other_kinds
from kalshi_cli.store import migrations
from kalshi_cli.store.lock import is_running

BUSY_TIMEOUT_MS = 5_000
"""The longest time that a write waits for another program to finish its own."""

SIDE_FILE = 64 * 1024
"""Bytes that the files beside a state file need: with less room, SQLite reports an I/O error on opening it."""

_STEP_MS = 5
"""The length of one wait within BUSY_TIMEOUT_MS.

Within one wait SQLite checks less and less often, down to ten times a second: a loop that writes without a pause would
starve a program that wants to write once.
"""

LARGE = 64 * 2**20
"""The size in bytes from which opening a file reads only the tables that do not grow with history.

A command would otherwise cost a second for each million of fills, and an order or a stop would wait for it. The tables
that decide what may be sent are still read whole: halts, locks, marks, open markets, sums. For the others:

- SQLite refuses a damaged page as soon as it reads one, and a value that does not fit is an error too. So a start stops
  at damage in what it reads: orders that are live or recent, and the fills of open markets.
- A page that no start reads changes no order and no limit. `check drift` reads all fills and orders of closed markets,
  a part in each run, and compares their results with the saved ones (RECOUNT).
- Neither this nor `quick_check` finds a changed number in a readable row; the comparison with the exchange does.
"""

GROWING = ("fills", "orders", "intents", "settlements", "closed_markets", "closed_totals")

PARTS = ("-wal", "-shm", "-journal", "")
"""The files of a database, by the end of the name; the file itself is last."""

_DRAFT = re.compile(r"\.([0-9]{1,9})(-journal)?")
"""The end of a draft's name: the process that writes it. SQLite keeps a journal beside each draft."""


def recover_rows(path: Path, sql: str) -> tuple[list[tuple[object, ...]], bool]:
    """Return the rows that can still be read from an unusable file, and whether these are all. Raises nothing."""
    found: list[tuple[object, ...]] = []
    try:
        _refuse_planted(path)
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found.extend(connection.execute(sql))
    except (sqlite3.Error, StateFileError):
        return found, False
    return found, True


class UnreadableRowError(sqlite3.DatabaseError):
    """A row that does not fit its struct: the file is damaged. Raised within a transaction, which explains it."""


class Database:
    """A SQLite file. Every failure is a StateFileError that names the file and says what to do."""

    is_read_through = True  # checked when opened; a cache may find its damage later

    def __init__(
        self,
        path: Path,
        steps: Sequence[migrations.Migration],
        *,
        create: bool = True,
        is_handed_over: bool = False,
        busy_ms: int | None = None,
    ) -> None:
        """Open, check and migrate the file. Without `create` a missing file is a StateFileError `state_missing`.

        Only the thread that opened it may use it, unless it `is_handed_over` to another one: never two at a time. A
        write waits at most `busy_ms`, by default BUSY_TIMEOUT_MS.

        On a file system that is mounted read-only, the file is only read; a write is a StateFileError.
        """
        self.path = path
        self.kept_copy: Path | None = None
        """The copy of a file of an older version that was migrated now; None for any other."""
        _ensure_file(path, create=create)
        self._busy_ms = BUSY_TIMEOUT_MS if busy_ms is None else busy_ms
        self._is_durable: bool | None = None
        self._is_grouped = False
        self._is_handed_over = is_handed_over
        self._is_mounted_read_only = _is_mounted_read_only(path)
        self._frozen: tuple[int, ...] | None = None
        self._connection = self._connect()
        try:
            self._identity = _identity(path)
            self._log_identity: tuple[int, int] | None = None
            with self._explained():
                self._prepare(steps)
                self._connection.execute(f"PRAGMA busy_timeout = {_STEP_MS}")
        except BaseException:
            self._connection.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        """Open the file. SQLite cannot create its -shm file on a read-only mount: without one, it reads the file alone.

        Then it does not notice a program that writes through another mount; see `_follow_writers`.
        """
        mode, self._frozen = "rw", None
        if self._is_mounted_read_only:
            has_log = os.path.lexists(f"{self.path}-wal")
            mode, self._frozen = ("ro", None) if has_log else ("ro&immutable=1", _stamp(self.path))
        with self._explained():
            return sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                timeout=self._busy_ms / 1000,
                check_same_thread=not self._is_handed_over,
            )

    def _follow_writers(self) -> None:
        """Open the file again if it was opened without its log, and a program has written to it since."""
        if self._frozen is not None and self._frozen != _stamp(self.path):
            self._connection.close()
            self._connection = self._connect()

    def _prepare(self, steps: Sequence[migrations.Migration]) -> None:
        """Check that the file is a valid state file and not newer than this program, before anything is written."""
        execute = self._connection.execute
        execute("BEGIN")  # one snapshot of both, or a file that another program is just creating looks foreign
        version, tables = self._version(), execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        execute("ROLLBACK")
        if version > len(steps):
            raise StateFileError(
                f"{self.path} was written by a newer version of kalshi (format {version}, known: {len(steps)})",
                hint="install the newer version again; the file is unchanged",
                code="state_newer",
            )
        if version == 0 and tables:
            raise StateFileError(f"{self.path} is not a kalshi state file", hint="move it away", code="state_unusable")
        if self.is_read_through and (found := self._damage()) != "ok":
            raise damaged(self.path, found)
        if self._is_mounted_read_only:
            if version < len(steps):
                raise StateFileError(
                    f"{self.path} has the format of an older version, and is mounted read-only",
                    hint="run `kalshi status` once where the directory can be written",
                    code="state_unwritable",
                )
            return
        self._switch_to_wal()
        execute("PRAGMA foreign_keys = ON")
        if 0 < version < len(steps):
            try:
                self._back_up(version)
                self.kept_copy = self._copy_of(version)
            except OSError as error:
                what = f"Cannot keep a copy of {self.path} as it was, {error.filename}: {error.strerror}"
                raise StateFileError(what, hint="check the file at this path", code="state_unwritable") from error
        if version < len(steps):
            self._migrate(steps)

    def _damage(self) -> str:
        """Return what is damaged, or "ok". Of a large file, only tables that do not grow with history are read."""
        execute = self._connection.execute
        if self.path.stat().st_size < LARGE:
            return str(execute("PRAGMA quick_check(1)").fetchone()[0])
        names = [str(name) for (name,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
        quoted = [name.replace("'", "''") for name in names if name not in GROWING]
        found = (str(execute(f"PRAGMA quick_check('{name}')").fetchone()[0]) for name in quoted)
        return next((answer for answer in found if answer != "ok"), "ok")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _switch_to_wal(self) -> None:
        """Switch to WAL mode, waiting for other programs.

        The switch itself does not wait for another program that switches; BEGIN IMMEDIATE does.
        """
        for _ in range(10):
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if _primary(error) != sqlite3.SQLITE_BUSY:
                    raise
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute("ROLLBACK")
        self._connection.execute("PRAGMA journal_mode = WAL")

    def _copy_of(self, version: int) -> Path:
        return self.path.with_name(f"{self.path.name}.format{version}")

    def _back_up(self, version: int) -> None:
        """Copy the unchanged file before a migration; the copy of any of several migrating programs is enough."""
        copy = self._copy_of(version)
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        for left in copy.parent.glob(f"{copy.name}.*"):
            named = _DRAFT.fullmatch(left.suffix)
            if named is None:  # a copy made by hand
                continue
            pid = int(named[1])
            if pid == os.getpid() or not is_running(pid):  # its program was killed
                left.unlink(missing_ok=True)
        _create_private(draft)
        try:
            self._connection.execute("VACUUM INTO ?", (str(draft),))
            if _format_of(draft) == version:  # otherwise another program was faster and has kept its own copy
                draft.replace(copy)
        finally:
            draft.unlink(missing_ok=True)

    def _migrate(self, steps: Sequence[migrations.Migration]) -> None:
        """Run every missing migration, all or none: no other program ever sees a half migrated file."""
        with self.writing(durable=True) as execute:
            version = self._version()
            for step in steps[version:]:
                step(execute)
            if version < len(steps):  # another program, even a newer one, may have been faster
                execute(f"PRAGMA user_version = {len(steps)}")

    def _patiently(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run a statement that begins a transaction, waiting for other programs."""
        for _ in range(self._busy_ms // _STEP_MS):
            try:
                return self._connection.execute(sql, values)
            except sqlite3.OperationalError as error:
                if _primary(error) != sqlite3.SQLITE_BUSY:
                    raise
        return self._connection.execute(sql, values)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a bug, such as a second thread; not a fault of the file
        except sqlite3.DatabaseError as error:
            raise _explain(self.path, error) from error
        except UnicodeDecodeError as error:  # in a name of the schema, or in SQLite's message about it
            raise damaged(self.path, "it contains invalid text") from error

    @contextmanager
    def together(self) -> Iterator[None]:
        """Combine all writes in the block into one durable transaction: each commit waits for the disk."""
        with self.writing(durable=True):
            self._is_grouped = True
            try:
                yield
            finally:
                self._is_grouped = False

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Run one transaction, all or nothing; `durable` waits for the disk. Yields `execute`."""
        connection = self._connection
        if self._is_grouped:
            yield connection.execute
            return
        try:
            self._refuse_if_gone()
            if durable is not self._is_durable:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._is_durable = durable
            self._patiently("BEGIN IMMEDIATE")
            yield connection.execute
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                with suppress(sqlite3.DatabaseError):
                    connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError):
                raise _explain(self.path, error) from error
            raise

    def _refuse_if_gone(self) -> None:
        """Raise StateFileError where the file or its log was deleted or replaced: every later write would be lost.

        SQLite keeps one log while any program has the file open, and goes on writing into a deleted one.
        """
        log = _identity(f"{self.path}-wal")
        self._log_identity = self._log_identity or log
        if _identity(self.path) != self._identity or log != self._log_identity:
            raise StateFileError(
                f"{self.path} was deleted or replaced while in use",
                hint="if it was deleted: `kalshi state rebuild` before any other command (`kalshi runbook state-file`)",
                code="state_gone",
            )

    @contextmanager
    def snapshot(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Let all reads in the block see the file at one moment; writers do not wait. Yields `execute`."""
        with self._explained():
            if self._connection.in_transaction:
                yield self._connection.execute
                return
            self._follow_writers()
            self._patiently("BEGIN")
            try:
                yield self._connection.execute
            finally:
                with suppress(sqlite3.OperationalError):  # a damaged file ends the transaction by itself
                    self._connection.execute("ROLLBACK")

    def read(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a SELECT."""
        with self._explained():
            self._follow_writers()
            return self._patiently(sql, values).fetchall()

    def close(self) -> None:
        """Close the file. Closing it twice is allowed."""
        with self._explained():
            self._connection.close()


# -- failures, in words -------------------------------------------------------------------------------------------

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, 0)
"""Result codes of a damaged file.

The last two: a column is gone, because our statements are constants; and text that is invalid (no code).
"""


def _is_mounted_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:  # SQLite says what is wrong
        return False


def _identity(path: Path | str) -> tuple[int, int] | None:
    """Return what stays the same while a file is neither deleted nor replaced; None without a file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what differs once a program has opened the file for writing: its log, its size, its time."""
    status = os.stat(path)
    return int(os.path.lexists(f"{path}-wal")), status.st_size, status.st_mtime_ns, status.st_ino


def _ensure_file(path: Path, *, create: bool) -> None:
    try:
        _refuse_planted(path)
        if os.path.lexists(path):
            if os.path.getsize(path) == 0:  # a new file is never empty: see `_create_state_file`
                raise damaged(path, "it is empty (0 bytes)")
            return
        if not create:
            raise StateFileError(f"No state file {path}", hint="nothing has run here yet", code="state_missing")
        make_folder(path.parent)
        with suppress(FileExistsError):  # another program was first
            _create_state_file(path)
    except OSError as error:
        raise StateFileError(
            f"Cannot create {path}: {error.strerror}",
            hint="choose a writable directory with --state or KALSHI_STATE",
            code="state_unwritable",
        ) from error
    except sqlite3.DatabaseError as error:  # such as a full disk
        raise _explain(path, error) from error


def _refuse_planted(path: Path) -> None:
    """Check every file that SQLite would open, before it does: a FIFO would block it forever."""
    for part in PARTS:
        each = path.with_name(path.name + part)
        try:
            refuse_other_kinds(each)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OtherKindError as error:
            raise StateFileError(
                f"{each} cannot be used: {error.strerror}",
                hint="the state file must be a regular file: check the path and move it away",
                code="state_unusable",
            ) from error


def _create_state_file(path: Path) -> None:
    """Create a private SQLite file that is never empty, so that an empty one is known to be damaged.

    FileExistsError if there is one.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.unlink(missing_ok=True)
    _create_private(draft)
    try:
        with closing(sqlite3.connect(draft)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # writes the first page
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _create_private(path: Path) -> None:
    """Create an empty file that only its owner can read. FileExistsError where it exists."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))


def _format_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _primary(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; extended codes carry more in the upper bits."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


_HEADING = re.compile(r"^\*\*\* in database \w+ \*\*\*\s*")
"""SQLite's heading of the problems that it found; a line of its own."""


def damaged(path: Path, detail: object) -> StateFileError:
    """Return the error for a damaged state file."""
    return StateFileError(
        f"The state file {path} is damaged: {_HEADING.sub('', str(detail))}",
        hint="the file is unchanged; `kalshi state rebuild` keeps a copy and reads the account from the exchange",
        code="state_damaged",
    )


def _explain(path: Path, error: sqlite3.DatabaseError) -> StateFileError:
    """Return a StateFileError with the file, the failure and what to do."""
    found = _primary(error)
    if found in _DAMAGED:
        return damaged(path, error)
    if found in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateFileError(
            f"{path} is locked: another program has been writing to it for more than {BUSY_TIMEOUT_MS // 1000} s",
            hint=f"close other programs that use it, such as a sqlite3 shell (`lsof {path}` lists them), and try again",
            code="state_locked",
        )
    if found == sqlite3.SQLITE_FULL or (
        found in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and is_full(path.parent)
    ):
        hint = "free some disk space: `kalshi runbook disk-full`"
        return StateFileError(f"No space left to write {path}", hint=hint, code="state_full")
    if found in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StateFileError(
            f"Cannot write {path}: {error}",
            hint="check who owns the file and its directory, or choose another with --state",
            code="state_unwritable",
        )
    hint = "run `kalshi health-check`"
    if found == sqlite3.SQLITE_IOERR:
        hint = "the disk has room: look for a quota, and with `dmesg` for a failing disk; `kalshi runbook disk-full`"
    return StateFileError(f"State file error in {path}: {error}", hint=hint)


def is_full(folder: Path) -> bool:
    """Return whether the disk has no room for the files that SQLite creates beside its file to open it."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < SIDE_FILE or (found.f_files > 0 and found.f_favail == 0)
