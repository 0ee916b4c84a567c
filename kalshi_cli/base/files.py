"""Opening files by name: only regular ones, without ever blocking.

Opening a FIFO that was planted in place of a file blocks until its other end opens, and opening a device can have any
effect. Code that must not hang, above all the kill switch, opens its files here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """The path is not a regular file; `strerror` says what it is."""


def open_regular(path: Path | str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open a regular file and return its descriptor; raise OtherKindError for anything else.

    It never blocks and never opens a device: the kind is checked before and after opening. Symbolic links are followed
    unless `flags` has O_NOFOLLOW.
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
    """Open a regular file of this user without following a link to it; raise OtherKindError for anything else.

    For files that are rewritten in a folder where another user may have planted a file.
    """
    file = open_regular(path, flags & ~os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        if os.fstat(file).st_uid != os.geteuid():
            raise OtherKindError(errno.EPERM, "owned by another user", str(path))
        if flags & os.O_TRUNC:
            os.ftruncate(file, 0)
    except BaseException:
        os.close(file)
        raise
    return file


def refuse_other_kinds(path: Path | str, *, follow: bool = False) -> None:
    """Raise OtherKindError if the path is not a regular file, and FileNotFoundError if it does not exist."""
    _refuse(path, os.stat(path, follow_symlinks=follow))


def read_regular(path: Path | str, most: int = -1, flags: int = os.O_RDONLY) -> bytes:
    """Return the first `most` bytes of a regular file, or all of it; raise OSError if it cannot be read."""
    with open(open_regular(path, flags), "rb") as file:
        return file.read(most)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the path to an OSError without one, such as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, all accessible to their owner only; raise OSError where that fails.

    `Path.mkdir(parents=True)` applies its mode to the last one only.
    """
    if path != path.parent and not os.path.lexists(path.parent):  # "." cannot be seen where it cannot be read
        make_folder(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def _refuse(path: Path | str, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise OtherKindError(errno.EINVAL, f"it is {_KINDS.get(kind, 'something else')}, not a regular file", str(path))


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file durably: a reader, or a crash, finds the whole old or the whole new content.

    Its folder is created. Raise OSError where that fails; the old file then stays as it is.
    """
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    file = open_own(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with open(file, "wb") as writer:
            writer.write(content)
            writer.flush()
            os.fsync(writer.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def sync(path: Path) -> None:
    """Make a file, or the creation and removal of files in a folder, durable against a power cut."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
