"""Advisory locks: one trade loop per account, and no resume while a kill switch runs.

The kernel releases them however their holder ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import AnotherInstanceError, RefusedError, StateFileError
from kalshi_cli.base.files import make_folder, open_regular
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts, format_ts

KILL_LOCK = "kill.lock"
_LONGEST = 4_000
"""The most bytes of the file that lists the running kill switches."""

_TRIES = 5
_BETWEEN_S = 0.02


class LockHolder(msgspec.Struct, frozen=True):
    """The holder of a lock, as far as it has written itself down."""

    pid: int | None = None
    started: Ts | None = None

    def __str__(self) -> str:
        pid = f"pid {self.pid}" if self.pid is not None else "pid unknown"
        return f"{pid}, since {format_ts(self.started)}" if self.started is not None else pid


@contextmanager
def lock(path: Path, clock: Clock) -> Iterator[None]:
    """Hold the lock. AnotherInstanceError, naming the holder, where this or another process already holds it."""
    file = _open(path)
    try:
        if not _take(file, path, clock):
            raise AnotherInstanceError(
                f"Another instance is using this account ({_written(file)})",
                hint="stop it first with `kalshi stop`, or Ctrl-C where it runs; `kalshi status` shows it",
            )
        _write_down(file, path, LockHolder(os.getpid(), clock.now()))
        yield
    finally:
        os.close(file)  # the file stays: removing it would let two processes lock two files of one name


def _write_down(file: int, path: Path, who: LockHolder) -> None:
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, msgspec.json.encode(who), 0)
    except OSError as error:
        raise StateFileError(
            f"Cannot write {path}: {error.strerror}",
            hint="run `kalshi check disk`; if the disk is full: `kalshi runbook disk-full`",
            code="state_unwritable",
        ) from error


def holder(path: Path) -> LockHolder | None:
    """Return the current holder of the lock, or None. Takes only a shared lock, for an instant."""
    try:
        file = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateFileError(f"Cannot read {path}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(file)
    except OSError as error:
        raise _no_locks(path, error) from error
    else:
        return None
    finally:
        os.close(file)


class KillLock:
    """The lock that every running kill switch shares, so that no halt is lifted meanwhile.

    A kill switch never waits: where the lock cannot be taken at once it goes on without it, and may try again.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / KILL_LOCK
        self._file: int | None = None

    def hold(self, now: Ts) -> None:
        """Take the lock and write down its holder; do nothing where it is already held or cannot be taken."""
        if self._file is not None:
            return
        with suppress(OSError):
            file = open_regular(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW)
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                raise
            self._file = file
            if os.fstat(file).st_size > _LONGEST:
                os.ftruncate(file, 0)
            os.write(file, msgspec.json.encode(LockHolder(os.getpid(), now)) + b"\n")

    def release(self) -> None:
        """Release the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextmanager
def no_kill(home: Path, clock: Clock) -> Iterator[None]:
    """Run code that lifts a halt. RefusedError, naming the process, where a kill switch runs.

    A kill switch that starts meanwhile does not wait: before it ends it checks that its halt is still on file.
    """
    if not os.path.isdir(home):  # nothing has run here, so there is no halt to lift
        yield
        return
    path = home / KILL_LOCK
    file = _open(path)
    try:
        if not _take(file, path, clock):
            who = next((each for each in reversed(_all_written(file)) if is_running(each.pid or 0)), None)
            raise RefusedError(
                f"Refused: a kill switch is running ({who or LockHolder()}), and its halt stays; nothing was changed",
                hint="wait until `kalshi cancel-all` has ended, then run this again"
                + (f"; if it hangs: kill -9 {who.pid}" if who is not None else ""),
                code="KILL_RUNS",
            )
        os.ftruncate(file, 0)
        yield
    finally:
        os.close(file)


def _all_written(file: int) -> list[LockHolder]:
    """Return the holders that wrote themselves down, the latest last; they may have ended."""
    found = []
    for line in os.pread(file, 2 * _LONGEST, 0).splitlines():
        with suppress(msgspec.DecodeError, RecursionError):
            found.append(msgspec.json.decode(line, type=prepared(LockHolder)))
    return found


def is_running(pid: int) -> bool:
    """Return whether a process with this id exists, of any user."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0


def _open(path: Path) -> int:
    try:
        make_folder(path.parent)
        return open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    except OSError as error:
        raise StateFileError(
            f"Cannot create {path}: {error.strerror}",
            hint="choose a writable directory with --state or KALSHI_STATE",
            code="state_unwritable",
        ) from error


def _take(file: int, path: Path, clock: Clock) -> bool:
    """Try a few times: a first failure may come from the instant in which `holder` reads the lock."""
    for attempt in range(_TRIES):
        if attempt:
            clock.sleep(_BETWEEN_S)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError as error:
            raise _no_locks(path, error) from error
        return True
    return False


def _no_locks(path: Path, error: OSError) -> StateFileError:
    """Return the error for a drive without locks, such as some network drives.

    Without locks a second loop could not be detected.
    """
    return StateFileError(
        f"{path} cannot be locked: {error.strerror}",
        hint="keep the state on a local disk: choose another directory with --state or KALSHI_STATE",
        code="state_no_locks",
    )


def _written(file: int) -> LockHolder:
    try:
        return msgspec.json.decode(os.pread(file, 200, 0), type=prepared(LockHolder))
    except msgspec.DecodeError:
        return LockHolder()
