"""Opening files by name: only regular ones, and never waiting for one.

Opening a FIFO that somebody planted in the place of a file waits for its other end, for ever; opening a device may do
anything. What must not hang, above all the kill switch, opens its files here.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class OtherKindError(OSError):
    """The name stands for something else than a regular file; `strerror` says for what."""


def open_regular(path: Path | str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open a regular file and return its descriptor; OtherKindError for anything else.

    It never waits, and the name is never followed to a device: the kind is checked before and after it is opened.
    Symbolic links are followed unless `flags` has O_NOFOLLOW.
    """
    with suppress(FileNotFoundError):
        refuse_other_kinds(path, follow=not flags & os.O_NOFOLLOW)
    file = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode)
    try:
        _refuse(path, os.fstat(file))
        os.set_blocking(file, True)
    except BaseException:
        os.close(file)
        raise
    return file


def open_own(path: Path | str, flags: int, mode: int = 0o600) -> int:
    """Open a regular file of this user, and follow no link to it.

    For files that are written again and again in a folder where another user may have planted a file. OtherKindError
    for anything else.
    """
    file = open_regular(path, flags & ~os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        if os.fstat(file).st_uid != os.geteuid():
            raise OtherKindError(errno.EPERM, "it belongs to another user", str(path))
        if flags & os.O_TRUNC:
            os.ftruncate(file, 0)
    except BaseException:
        os.close(file)
        raise
    return file


def refuse_other_kinds(path: Path | str, *, follow: bool = False) -> None:
    """Raise OtherKindError where this is no regular file, and FileNotFoundError where there is nothing."""
    _refuse(path, os.stat(path, follow_symlinks=follow))


def read_regular(path: Path | str, most: int = -1) -> bytes:
    """Return the first `most` bytes of a regular file, or all of it. OSError where it is none or cannot be read."""
    with open(open_regular(path), "rb") as file:
        return file.read(most)


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, all for their owner alone; OSError where it cannot be made.

    `PricePath.mkdir` gives its mode to the last one only.
    """
    if not os.path.lexists(path.parent):
        make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def _refuse(path: Path | str, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise OtherKindError(errno.EINVAL, f"it is {_KINDS.get(kind, 'something else')}, not a regular file", str(path))
