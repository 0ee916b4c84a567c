"""A halt is saved twice: in the state file, and in a file `.halted` beside it.

So a halt survives a state file that is deleted, restored from an older copy, damaged, or on a full disk: either one is
enough to halt trading. `Store` writes and reads both. Only `kalshi resume` removes it.
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
    """Return the halt beside the state file of this directory; None without a file.

    Any file with the name is a halt, even an unreadable one. StateFileError where its existence cannot be checked.
    """
    path = f"{home}/{FILE}"  # joined as text: it is asked before each order, and pathlib takes 5 us longer
    try:
        since = os.lstat(path).st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(f"Cannot check {path}: {error.strerror}", code="state_unusable") from error
    unread = Halt(TradingState.HALTED, "HALTED", f"see {path}", Ts(since))
    with suppress(OSError, msgspec.DecodeError, RecursionError):
        file = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            content = os.read(file, _LONGEST)
            if not content:
                reason = f"the reason was not saved: {path} is empty, as on a full disk"
                return Halt(TradingState.HALTED, "HALTED", reason, Ts(since))
            found = msgspec.json.decode(content, type=Halt)
        finally:
            os.close(file)
        reason = safe_text(found.reason, _LONGEST)
        return Halt(TradingState.HALTED, safe_text(found.code, 40) or unread.code, reason, found.since)
    return unread


def read_marker_files(home: Path) -> Halt | None:
    """Return the halt of the marker files beside a state file: the halt, else the pause, else None."""
    return read_halt_file(home) or read_pause(home)


def write_halt_file(home: Path, halt: Halt) -> None:
    """Save the halt durably. On a full disk the file is empty: its existence is enough."""
    try:
        make_folder(home)
        file = open_regular(home / FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW)
    except OSError as error:
        raise StateFileError(f"Cannot write {home / FILE}: {error.strerror}", code="state_unwritable") from error
    try:
        with suppress(OSError):
            os.write(file, msgspec.json.encode(halt)[:_LONGEST])
            os.fsync(file)
    finally:
        os.close(file)
    sync_directory(home)


def remove_halt_file(home: Path) -> None:
    """Remove the halt after a resume."""
    try:
        (home / FILE).unlink(missing_ok=True)
    except OSError as error:
        raise StateFileError(f"Cannot remove {home / FILE}: {error.strerror}", code="state_unwritable") from error
    sync_directory(home)
