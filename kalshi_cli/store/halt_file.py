"""A halt is written twice: in the state file, and as a file `.halted` beside it.

So a halt outlives a state file that is deleted, put back from an older copy, damaged, or on a disk that is full; and
whoever finds either is halted. `Store` writes and reads both. Only `kalshi resume` takes it away.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import make_folder, open_regular
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.pause import read_pause, sync_directory
from kalshi_cli.store.records import Halt

FILE = ".halted"
_LONGEST = 2_000


def read_halt_file(home: Path) -> Halt | None:
    """The halt that is kept beside the state file of this directory; None where there is none.

    Whatever has the name is a halt, also what cannot be read. StateError where not even that can be found out.
    """
    path = home / FILE
    try:
        since = path.lstat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(f"cannot look for {path}: {error.strerror}", code="state_unusable") from error
    unread = Halt(TradingState.HALTED, "HALTED", f"see {path}", Ts(since))
    with suppress(OSError, msgspec.DecodeError, RecursionError):
        file = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            found = msgspec.json.decode(os.read(file, _LONGEST), type=Halt)
        finally:
            os.close(file)
        reason = safe_text(found.reason, _LONGEST)
        return Halt(TradingState.HALTED, safe_text(found.code, 40) or unread.code, reason, found.since)
    return unread


def read_marker_files(home: Path) -> Halt | None:
    """What the files beside a state file say: the halt, else the pause, else nothing."""
    return read_halt_file(home) or read_pause(home)


def write_halt_file(home: Path, halt: Halt) -> None:
    """On the disk when it returns. Where there is no room for its text it is empty: what counts is that it is there."""
    try:
        make_folder(home)
        file = open_regular(home / FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW)
    except OSError as error:
        raise StateFileError(f"cannot write {home / FILE}: {error.strerror}", code="state_unwritable") from error
    try:
        with suppress(OSError):
            os.write(file, msgspec.json.encode(halt)[:_LONGEST])
            os.fsync(file)
    finally:
        os.close(file)
    sync_directory(home)


def remove_halt_file(home: Path) -> None:
    """It is over: a person said so."""
    try:
        (home / FILE).unlink(missing_ok=True)
    except OSError as error:
        raise StateFileError(f"cannot remove {home / FILE}: {error.strerror}", code="state_unwritable") from error
    sync_directory(home)
