"""A working directory that this user may not read, as /root is for the user of a service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534


@contextmanager
def unreadable_directory(tmp_path: Path) -> Iterator[Path]:
    """Enter a directory without any permission; root, who could read it, becomes another user for the block."""
    before, folder, user = Path.cwd(), tmp_path / "closed", os.geteuid()
    folder.mkdir()
    os.chdir(folder)
    folder.chmod(0)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if user == 0:
            os.seteuid(user)
        folder.chmod(0o700)
        os.chdir(before)


@contextmanager
def deleted_directory(tmp_path: Path) -> Iterator[None]:
    """Enter a directory and delete it."""
    before, folder = Path.cwd(), tmp_path / "deleted"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    try:
        yield
    finally:
        os.chdir(before)
