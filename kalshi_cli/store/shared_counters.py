"""Numbers in a file that the programs of an account share, changed by one program at a time.

A lock, a read and a write of 40 bytes take some ten microseconds. No write waits for the disk: the numbers are useless
after a power cut. The wait for a lock that another program does not release (it may be stopped) is short.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import open_regular

TRIES = 100
BETWEEN_S = 0.001


class SharedCounters:
    """`count` numbers, zero in a new file and in one with other contents. Threads may share the object."""

    def __init__(self, path: Path, count: int, clock: Clock) -> None:
        self._path = path
        self._layout = struct.Struct(f"<{count}d")
        self._clock = clock
        self._threads = threading.Lock()
        self._file: int | None = None

    @contextmanager
    def held(self) -> Iterator[list[float]]:
        """Yield the numbers under a lock; they are written back unless the body raises.

        StateFileError where the file cannot be used.
        """
        with self._threads:
            try:
                file = self._locked()
                try:
                    numbers = self._read(file)
                    yield numbers
                    os.pwrite(file, self._layout.pack(*numbers), 0)
                finally:
                    fcntl.flock(file, fcntl.LOCK_UN)
            except OSError as error:
                raise StateFileError(
                    f"{self._path} cannot be used: {error.strerror}", code="state_unwritable"
                ) from error

    def close(self) -> None:
        """Close the file."""
        with self._threads:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _locked(self) -> int:
        if self._file is None:
            self._file = open_regular(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        for _ in range(TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._clock.sleep(BETWEEN_S)
                continue
            return self._file
        raise StateFileError(f"{self._path} is locked by another program", code="state_locked")

    def _read(self, file: int) -> list[float]:
        raw = os.pread(file, self._layout.size, 0)
        numbers = list(self._layout.unpack(raw)) if len(raw) == self._layout.size else []
        return numbers if numbers and all(map(math.isfinite, numbers)) else [0.0] * (self._layout.size // 8)
