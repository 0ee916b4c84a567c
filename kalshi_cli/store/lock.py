"""One trade loop per account, and no resume while a kill switch runs: advisory locks that the kernel lets go of,
however their holder ends.
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
from kalshi_cli.base.units import Ts, format_ts

KILL_LOCK = "kill.lock"
_LONGEST = 4_000
"""Bytes of the file that says which kill switches run."""

_TRIES = 5
_BETWEEN_S = 0.02


class LockHolder(msgspec.Struct, frozen=True):
    """Who holds a lock, as far as they have written it down."""

    pid: int | None = None
    started: Ts | None = None

    def __str__(self) -> str:
        pid = f"pid {self.pid}" if self.pid is not None else "pid not known"
        return f"{pid}, since {format_ts(self.started)}" if self.started is not None else pid


@contextmanager
def lock(path: Path, clock: Clock) -> Iterator[None]:
    """Hold the lock. InstanceError, naming the holder, where another process (or this one) already does."""
    file = _open(path)
    try:
        if not _take(file, path, clock):
            raise AnotherInstanceError(
                f"another instance holds this account ({_written(file)})",
                hint="stop it first: kalshi stop, or Ctrl-C where it runs; kalshi status shows it",
            )
        os.ftruncate(file, 0)
        os.pwrite(file, msgspec.json.encode(LockHolder(os.getpid(), clock.now())), 0)
        yield
    finally:
        os.close(file)  # the file stays: removing it would let two processes lock two files of one name


def holder(path: Path) -> LockHolder | None:
    """Who holds the lock now, or None. Takes nothing but a shared lock, for an instant."""
    try:
        file = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateFileError(f"cannot read {path}: {error.strerror}") from error
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
    """Held by every kill switch that runs, each beside the others: meanwhile nobody lifts its halt.

    A kill switch waits for nobody: where the lock cannot be had at once it goes on without, and may try again.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / KILL_LOCK
        self._file: int | None = None

    def hold(self, now: Ts) -> None:
        """Take it and write down who holds it; nothing where it is held already or cannot be taken."""
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
        """Let go of it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextmanager
def no_kill(home: Path, clock: Clock) -> Iterator[None]:
    """Do what lifts a halt: RefusedError, naming its process, where a kill switch runs.

    One that begins meanwhile does not wait: it looks again, before it ends, whether its halt still holds.
    """
    if not os.path.isdir(home):  # nothing ran here, so that there is nothing to lift
        yield
        return
    path = home / KILL_LOCK
    file = _open(path)
    try:
        if not _take(file, path, clock):
            who = next((each for each in reversed(_all_written(file)) if is_running(each.pid or 0)), None)
            raise RefusedError(
                f"refused: a kill switch is running ({who or LockHolder()}), and its halt stays; nothing was changed",
                hint="wait until cancel-all has ended, then run this again"
                + (f"; if it hangs: kill -9 {who.pid}" if who is not None else ""),
                code="KILL_RUNS",
            )
        os.ftruncate(file, 0)
        yield
    finally:
        os.close(file)


def _all_written(file: int) -> list[LockHolder]:
    """Who wrote that they hold it, the last one last; they may have ended."""
    found = []
    for line in os.pread(file, 2 * _LONGEST, 0).splitlines():
        with suppress(msgspec.DecodeError, RecursionError):
            found.append(msgspec.json.decode(line, type=LockHolder))
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process; whose, does not matter."""
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
            f"cannot create {path}: {error.strerror}",
            hint="choose a writable directory with --state or KALSHI_STATE",
            code="state_unwritable",
        ) from error


def _take(file: int, path: Path, clock: Clock) -> bool:
    """A first refusal may be somebody's instant in `holder`: try again a few times."""
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
    """Some network drives have none: there nobody could tell whether another loop runs."""
    return StateFileError(
        f"{path} cannot be locked: {error.strerror}",
        hint="keep the state on a disk of this machine: choose another directory with --state or KALSHI_STATE",
        code="state_no_locks",
    )


def _written(file: int) -> LockHolder:
    try:
        return msgspec.json.decode(os.pread(file, 200, 0), type=LockHolder)
    except msgspec.DecodeError:
        return LockHolder()
