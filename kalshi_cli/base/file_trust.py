"""The files and folders that are obeyed: only those that no user but this one and root can have written.

A file is judged by its open descriptor, and by every folder through which its name leads: a user who may write one of
those may put another file in its place. Links are followed, and what they name is judged.
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
    """Why a file is not obeyed, and the command that changes it."""

    why: str
    remedy: str


def doubt_file(path: Path, descriptor: int) -> Doubt | None:
    """Return why the open file should not be obeyed; None where only this user and root can have written it.

    `path` is the name under which it was opened.
    """
    if not hasattr(os, "geteuid"):
        return None  # Windows: its permissions are not these
    return _doubt(descriptor, "it", path) or next(_doubts_of_way(path.absolute()), None)


def read_secret(
    path: Path, most: int, refused: Callable[[str, str], KalshiError], distrust: Distrust = refuse, *, instead: str
) -> bytes:
    """Return the first `most` bytes of a file that only this user may use, as ssh reads a key.

    `refused` makes the error of a reason and a hint, `distrust` decides about a file that others may use or write;
    `instead` is the hint where the name stands for something else than a file.
    """
    try:
        descriptor = open_regular(path)
    except OtherKindError as error:
        raise refused("it is not a file", instead) from error
    except OSError as error:
        raise refused(f"it cannot be opened ({error.strerror})", "check the path and who may read it") from error
    try:
        # The open file is asked, not the name: a link is followed first, and nothing can be swapped in between.
        doubt = _doubt_secret(path, descriptor)
        if doubt is not None:
            distrust(refused(doubt.why, doubt.remedy))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    except OSError as error:
        raise refused(f"it cannot be read ({error.strerror})", "check the file") from error
    finally:
        os.close(descriptor)


def _doubt_secret(path: Path, descriptor: int) -> Doubt | None:
    if not hasattr(os, "geteuid"):
        return None
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        return Doubt("it belongs to another user", "copy it into your own home and keep it to yourself")
    if status.st_mode & 0o077:
        return Doubt(f"others may use it (mode {stat.S_IMODE(status.st_mode):04o})", f"chmod 600 {path}")
    return doubt_file(path, descriptor)


def doubt_folder(path: Path) -> Doubt | None:
    """Return why what is in the folder should not be obeyed, or made there where it is still missing."""
    if not hasattr(os, "geteuid"):
        return None
    path = path.absolute()
    try:
        if os.path.isdir(path):
            doubt = _doubt(path, "it", path)
        else:
            path = next(each for each in path.parents if os.path.isdir(each))
            doubt = _doubt(path, f"the folder {path}", path, is_parent=True)
        return doubt or next(_doubts_of_way(path), None)
    except OSError as error:
        return Doubt(f"{error.filename or 'it'} cannot be looked at ({error.strerror})", f"see: ls -ld {_quoted(path)}")


def _doubts_of_way(path: Path) -> Iterator[Doubt]:
    """Yield what is doubtful of a path's folders and links, and of those that its links lead through, part by part."""
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
                yield Doubt(f"the link {name} belongs to another user", f"see who made it, then: rm {_quoted(name)}")
            target = Path(os.readlink(name))
            folder = Path("/") if target.is_absolute() else folder
            parts += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        else:
            yield Doubt(f"the link {name} leads through too many links", f"see: ls -ld {_quoted(name)}")
            return


def _doubt(target: int | Path, what: str, path: Path, *, is_parent: bool = False) -> Doubt | None:
    """Judge owner and mode. A parent may be open where it is sticky: there no user replaces the file of another."""
    status = os.stat(target)
    mode = stat.S_IMODE(status.st_mode)
    if is_anothers(status):
        return Doubt(
            f"{what} belongs to another user (uid {status.st_uid})",
            f"if you trust what is in it: sudo chown {os.geteuid()} {_quoted(path)}",
        )
    if is_parent and mode & stat.S_ISVTX:
        return None
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and (_has_list(target) or not _is_private(status.st_gid))):
        return Doubt(
            f"others may write {what} (mode {mode:04o})", f"if you trust what is in it: chmod go-w {_quoted(path)}"
        )
    return None


def is_anothers(status: os.stat_result) -> bool:
    """Return whether what this is the status of belongs to neither this user nor root."""
    return status.st_uid not in (os.geteuid(), 0)


def _has_list(target: int | Path) -> bool:
    """Return whether an access control list names more users: the mode of the group is then its mask."""
    try:
        return "system.posix_acl_access" in os.listxattr(target)
    except (AttributeError, OSError):  # macOS has no listxattr; some file systems have no attributes
        return False


def _is_private(gid: int) -> bool:
    """Return whether the group has this user alone: its primary group, called like it, without another member."""
    import grp
    import pwd

    try:
        me, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    # A directory service may not list who has a group as its primary one: only the name tells a private group there.
    is_mine = gid == me.pw_gid and group.gr_name == me.pw_name and not set(group.gr_mem) - {me.pw_name}
    return is_mine and all(user.pw_gid != gid or user.pw_uid == me.pw_uid for user in pwd.getpwall())


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
