"""One trade loop per account: an advisory lock that the kernel lets go of, however its holder ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from kalshi_cli.clock import Clock
from kalshi_cli.errors import InstanceError, StateError
from kalshi_cli.units import Ts, format_ts

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
            raise InstanceError(
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
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from error
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


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(
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


def _no_locks(path: Path, error: OSError) -> StateError:
    """Some network drives have none: there nobody could tell whether another loop runs."""
    return StateError(
        f"{path} cannot be locked: {error.strerror}",
        hint="keep the state on a disk of this machine: choose another directory with --state or KALSHI_STATE",
        code="state_no_locks",
    )


def _written(file: int) -> LockHolder:
    try:
        return msgspec.json.decode(os.pread(file, 200, 0), type=LockHolder)
    except msgspec.DecodeError:
        return LockHolder()
