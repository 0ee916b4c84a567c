"""A halt is saved twice: in the state file, and in a file `.halted` beside it.

So a halt survives a state file that is deleted, restored from an older copy, damaged, or on a full disk: either one is
enough to halt trading. `Store` writes and reads both. Only `kalshi resume` removes it.

A full disk still takes empty files. So where the content of `.halted` is lost, the name of an empty file keeps the code
of the halt, and another one keeps that an order group was triggered: the exchange does not say so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import make_folder, open_regular, read_regular
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.text import safe_text
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.pause import marked_since, read_pause, remove_pause_file, sync_directory
from kalshi_cli.store.records import Halt, RunGroup

FILE = ".halted"
_CODE, _TRIGGERED = ".halted-by.", ".triggered-group."
"""The beginnings of the names of empty files; the code and the id of the order group follow."""

_LONGEST = 2_000


def read_halt_file(home: Path) -> Halt | None:
    """Return the halt beside the state file of this directory; None without a file.

    Any file with the name is a halt, even an unreadable one. StateFileError where its existence cannot be checked.
    """
    path = f"{home}/{FILE}"
    if (since := marked_since(path)) is None:
        return None
    unread = Halt(TradingState.HALTED, "HALTED", f"see {path}", since)
    with suppress(OSError, msgspec.DecodeError, RecursionError):
        content = read_regular(path, _LONGEST, os.O_RDONLY | os.O_NOFOLLOW)
        if not content:
            reason = f"the reason was not saved: {path} is empty, as on a full disk"
            return Halt(TradingState.HALTED, next(iter(_names(home, _CODE)), "HALTED"), reason, since)
        found = msgspec.json.decode(content, type=prepared(Halt))
        reason = safe_text(found.reason, _LONGEST)
        return Halt(TradingState.HALTED, safe_text(found.code, 40) or unread.code, reason, found.since)
    return unread


def read_marker_files(home: Path) -> Halt | None:
    """Return the halt of the marker files beside a state file: the halt, else the pause, else None."""
    return read_halt_file(home) or read_pause(home)


def write_halt_file(home: Path, halt: Halt) -> None:
    """Save the halt durably. On a full disk the file is empty: its existence is enough, and a name keeps the code."""
    try:
        make_folder(home)
        file = open_regular(home / FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW)
    except OSError as error:
        raise StateFileError(f"Cannot write {home / FILE}: {error.strerror}", code="state_unwritable") from error
    try:
        os.write(file, msgspec.json.encode(halt)[:_LONGEST])
        os.fsync(file)
    except OSError:
        _add_name(home, _CODE, halt.code)
    finally:
        os.close(file)
    sync_directory(home)


def remove_halt_file(home: Path, *, with_pause: bool = False) -> None:
    """Remove the halt after a resume, and then the pause: until that is gone, trading stays paused."""
    try:
        (home / FILE).unlink(missing_ok=True)
        for code in _names(home, _CODE):
            (home / f"{_CODE}{code}").unlink(missing_ok=True)
    except OSError as error:
        raise StateFileError(f"Cannot remove {home / FILE}: {error.strerror}", code="state_unwritable") from error
    sync_directory(home)
    if with_pause:
        remove_pause_file(home)


@contextmanager
def keep_trigger(home: Path, group_id: str, *, is_triggered: bool) -> Iterator[None]:
    """Keep that a group is triggered in a file name if the body cannot write it; forget that once the group is reset.

    The error of the body is raised in any case.
    """
    try:
        yield
    except StateFileError:
        if is_triggered:
            _add_name(home, _TRIGGERED, group_id)
        raise
    if not is_triggered:
        with suppress(OSError):
            (home / f"{_TRIGGERED}{group_id}").unlink(missing_ok=True)


def with_triggers(home: Path, groups: Iterable[RunGroup]) -> tuple[RunGroup, ...]:
    """Return the groups; those that a file name shows as triggered are triggered."""
    kept = {*_names(home, _TRIGGERED)}
    return tuple(msgspec.structs.replace(each, is_triggered=True) if each.group_id in kept else each for each in groups)


def _add_name(home: Path, beginning: str, name: str) -> None:
    """Create an empty file whose name holds `name`; a failure is the second one, and is left to the first."""
    with suppress(OSError, ValueError):
        os.close(open_regular(home / f"{beginning}{name}", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW))


def _names(home: Path | str, beginning: str) -> list[str]:
    """Return what such file names hold."""
    with suppress(OSError):
        found = sorted(name.removeprefix(beginning) for name in os.listdir(home) if name.startswith(beginning))
        return [safe_text(name, 40) for name in found]
    return []
