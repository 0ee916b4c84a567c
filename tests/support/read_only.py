"""A process that sees a folder mounted read-only, as under `ReadOnlyPaths=` of systemd. Needs root and Linux."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
UNSHARE_MOUNTS, BIND, REMOUNT, READ_ONLY, PRIVATE = 0x20000, 0x1000, 0x20, 0x1, 0x4000 | 0x40000


def mount_read_only(folder: str) -> None:
    """Mount the folder read-only for this process and its children. OSError where that is not allowed."""
    libc, path = ctypes.CDLL(None, use_errno=True), os.fsencode(folder)
    for failed in (
        lambda: libc.unshare(UNSHARE_MOUNTS),
        lambda: libc.mount(b"none", b"/", None, PRIVATE, None),
        lambda: libc.mount(path, path, None, BIND, None),
        lambda: libc.mount(b"none", path, None, BIND | REMOUNT | READ_ONLY, None),
    ):
        if failed():
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def code(folder: Path) -> str:
    """Return the code that mounts the folder before a program runs: for `served.start(first=...)`."""
    path = f"import sys; sys.path.insert(0, {str(TESTS)!r})"
    return f"{path}; from support.read_only import mount_read_only; mount_read_only({str(folder)!r})"


@cache
def is_possible() -> bool:
    """Return whether this user may mount here."""
    words = [sys.executable, "-c", "from support.read_only import mount_read_only; mount_read_only('/tmp')"]
    return subprocess.run(words, cwd=TESTS, capture_output=True, check=False).returncode == 0
