"""Checks that only this user and root can have changed a file or folder.

A file is judged by its open descriptor and by every folder on its path: a user who may write one of those folders can
replace the file. Links are followed, and their targets are judged.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from kalshi_cli.base.errors import Distrust, KalshiError, refuse
from kalshi_cli.base.files import OtherKindError, open_regular

MAX_LINKS = 40


class Doubt(NamedTuple):
    """Why a file is not trusted, and the command that fixes it."""

    why: str
    remedy: str


def doubt_file(path: Path, descriptor: int) -> Doubt | None:
    """Return why the open file is not trusted; None if only this user and root can have written it.

    `path` is the name under which it was opened.
    """
    return _doubt(descriptor, "", path) or next(_doubts_of_way(path.absolute()), None)


def read_secret(
    path: Path, most: int, refused: Callable[[str, str], KalshiError], distrust: Distrust = refuse, *, instead: str
) -> bytes:
    """Return the first `most` bytes of a file that only this user may access, under the rules by which ssh reads a key.

    `refused` makes the error from a reason and a hint. `distrust` decides about a file that other users can access or
    write. `instead` is the hint for a path that is not a file.
    """
    try:
        descriptor = open_regular(path)
    except OtherKindError as error:
        raise refused("not a file", instead) from error
    except OSError as error:
        raise refused(f"cannot be opened ({error.strerror})", "check the path and its permissions") from error
    try:
        # Check the open descriptor and not the name, so that the file cannot be swapped after the check.
        doubt = _doubt_secret(path, descriptor)
        if doubt is not None:
            distrust(refused(doubt.why, doubt.remedy))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    except OSError as error:
        raise refused(f"cannot be read ({error.strerror})", "check the file") from error
    finally:
        os.close(descriptor)


def _doubt_secret(path: Path, descriptor: int) -> Doubt | None:
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        return Doubt("owned by another user", "copy it to your home directory and restrict it to yourself")
    if status.st_mode & 0o077:
        return Doubt(f"accessible by other users (mode {stat.S_IMODE(status.st_mode):04o})", f"chmod 600 {path}")
    return doubt_file(path, descriptor)


def doubt_folder(path: Path) -> Doubt | None:
    """Return why the contents of a folder are not trusted; of a missing folder, why it should not be created there."""
    path = path.absolute()
    try:
        if os.path.isdir(path):
            doubt = _doubt(path, "", path)
        else:
            path = next(each for each in path.parents if os.path.isdir(each))
            doubt = _doubt(path, f"the folder {path}", path, is_parent=True)
        return doubt or next(_doubts_of_way(path), None)
    except OSError as error:
        return Doubt(f"{error.filename or path} cannot be read ({error.strerror})", f"see: ls -ld {_quoted(path)}")


def _doubts_of_way(path: Path) -> Iterator[Doubt]:
    """Yield the doubts about the folders and links of a path, and about those that its links lead through."""
    folder, parts, links = Path("/"), list(reversed(path.parts[1:])), 0
    while parts:
        name = folder / parts.pop()
        if doubt := _doubt(folder, f"the folder {folder}", folder, is_parent=True):
            yield doubt
        if name.name == "..":
            folder = folder.parent
        elif not name.is_symlink():
            folder = name
        elif links := links + 1 if links < MAX_LINKS else 0:
            if is_anothers(name.lstat()):
                yield Doubt(f"the link {name} is owned by another user", f"check who made it, then: rm {_quoted(name)}")
            target = Path(os.readlink(name))
            folder = Path("/") if target.is_absolute() else folder
            parts += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        else:
            yield Doubt(f"the link {name} leads through more than {MAX_LINKS} links", f"see: ls -ld {_quoted(name)}")
            return


def _doubt(target: int | Path, what: str, path: Path, *, is_parent: bool = False) -> Doubt | None:
    """Judge owner and mode. A sticky parent may be writable by all: there no user can replace the file of another."""
    status = os.stat(target)
    mode = stat.S_IMODE(status.st_mode)
    if is_anothers(status):
        return Doubt(
            f"{what and what + ' is '}owned by another user (uid {status.st_uid})",
            f"if you trust its contents: sudo chown {os.geteuid()} {_quoted(path)}",
        )
    if is_parent and mode & stat.S_ISVTX:
        return None
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and (_has_list(target) or not _is_private(status.st_gid))):
        return Doubt(
            f"{what and what + ' is '}writable by other users (mode {mode:04o})",
            f"if you trust its contents: chmod go-w {_quoted(path)}",
        )
    return None


def is_anothers(status: os.stat_result) -> bool:
    """Return whether the file with this status belongs to neither this user nor root."""
    return status.st_uid not in (os.geteuid(), 0)


def _has_list(target: int | Path) -> bool:
    """Return whether an access control list names more users; the group bits are then only its mask."""
    try:
        return "system.posix_acl_access" in os.listxattr(target)
    except (AttributeError, OSError):  # macOS has no listxattr; some file systems have no attributes
        return False


def _is_private(gid: int) -> bool:
    """Return whether the group contains this user only: its primary group, of the same name, without other members."""
    import grp
    import pwd

    try:
        me, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    # A directory service may not list the users of a primary group; there only its name shows that it is private.
    is_mine = gid == me.pw_gid and group.gr_name == me.pw_name and not set(group.gr_mem) - {me.pw_name}
    return is_mine and all(user.pw_gid != gid or user.pw_uid == me.pw_uid for user in pwd.getpwall())


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
