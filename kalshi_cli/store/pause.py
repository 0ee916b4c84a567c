"""A pause: a file `.pause` beside the state file, empty or with the reason. It lasts until the file is removed.

It is a file, not a row, so that anything can pause: `kalshi pause`, a signal handler, `touch`, a user without this
program, on a full disk and beside a broken state file. `Store` checks it together with the halt.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import make_folder, read_regular, sync
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.records import PAUSED, Halt

FILE = ".pause"
_MAX_REASON_LENGTH = 200


def read_pause(home: Path) -> Halt | None:
    """Return the pause of this state directory as a halt with the code PAUSED; None without a file.

    Any file with the name is a pause, even an unreadable one. StateFileError where its existence cannot be checked.
    """
    path = f"{home}/{FILE}"
    if (since := marked_since(path)) is None:
        return None
    reason = b""
    with suppress(OSError):
        reason = read_regular(path, 4 * _MAX_REASON_LENGTH, os.O_RDONLY | os.O_NOFOLLOW)
    text = safe_text(reason.decode(errors="replace").strip(), _MAX_REASON_LENGTH)
    return Halt(TradingState.HALTED, PAUSED, text, since)


def marked_since(path: str) -> Ts | None:
    """Return the time of a marker file; None without one. StateFileError where its existence cannot be checked.

    The path is text: it is asked before each order, and pathlib takes 5 us longer.
    """
    try:
        return Ts(os.lstat(path).st_mtime_ns // 1_000_000)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(f"Cannot check {path}: {error.strerror}", code="state_unusable") from error


def pause(home: Path, reason: str) -> None:
    """Save a pause durably; an existing one stays unchanged. Safe in a signal handler."""
    path = home / FILE
    try:
        make_folder(home)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if isinstance(error, FileExistsError) and home.is_dir():
            return
        raise StateFileError(f"Cannot create {path}: {error.strerror}", code="state_unwritable") from error
    try:
        with suppress(OSError):  # a full disk: the existence of the file is enough
            os.write(file, reason.encode())
            os.fsync(file)
        sync_directory(home)
    finally:
        os.close(file)


def remove_pause_file(home: Path) -> bool:
    """End the pause and return whether there was one. It lifts no halt. Safe in a signal handler."""
    path = home / FILE
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StateFileError(f"Cannot remove {path}: {error.strerror}", code="state_unwritable") from error
    sync_directory(home)
    return True


def sync_directory(home: Path) -> None:
    """Make created and removed files durable against a power cut, as far as the file system can."""
    with suppress(OSError):
        sync(home)
