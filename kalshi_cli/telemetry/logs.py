"""The log: JSON lines in files of limited size; a full or broken disk does not stop trading.

Each line is one object. A problem with the disk is reported once and trading continues: the record that must not fail
is the state file. Several programs and threads may write to the same log: a line is one `write` to a file opened for
appending, and rotation holds the file's lock.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.files import make_folder, open_own
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.base.units import format_ts
from kalshi_cli.telemetry.log_fields import level_of

LOG = "kalshi.jsonl"

MAX_VALUE_LENGTH = 2_000
"""Characters kept of one value."""


class LineFile:
    """Appends lines to `path`; beyond `max_bytes` it becomes `path.1`, and so on, `files` files in all.

    `tell` gets one warning when lines cannot be written. When writing works again, a line with the number of lost lines
    comes first.
    """

    def __init__(self, path: Path, max_bytes: int, files: int, tell: Callable[[str], None]) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._tell = tell
        self._descriptor: int | None = None
        self._lost = 0
        self._is_torn = False
        self._has_told = False
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Append a line; never raises for a problem with the file."""
        with self._lock:
            try:
                self._append(line)
            except OSError as error:
                self._lost += 1
                if not self._has_told:
                    self._has_told = True
                    self._tell(
                        f"Warning: cannot write the log {self._path} ({error.strerror}); kalshi goes on without it"
                    )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._shut()

    def _append(self, line: str) -> None:
        descriptor = self._opened()
        text = f"{line}\n".encode(errors="replace")
        size = os.fstat(descriptor).st_size
        if size and size + len(text) > self._max_bytes:
            descriptor = self._rotate(descriptor)
        if self._lost:
            text = msgspec.json.encode({"level": "warning", "event": "lines_lost", "count": self._lost}) + b"\n" + text
        if self._is_torn:
            text = b"\n" + text
        written = os.write(descriptor, text)
        self._is_torn = written < len(text)
        self._lost = int(self._is_torn)

    def _opened(self) -> int:
        """Return the file at the path; a new one if the old one was moved away."""
        if self._descriptor is not None and not self._is_current(self._descriptor):
            self._shut()
        if self._descriptor is None:
            make_folder(self._path.parent)
            self._descriptor = open_own(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        return self._descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(descriptor))

    def _rotate(self, descriptor: int) -> int:
        """Rename the full files, unless another program does so or has done so; return the file to write to."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return descriptor
        if self._is_current(descriptor):
            kept = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._files))]
            for older, newer in zip(reversed(kept[1:]), reversed(kept[:-1]), strict=True):
                with suppress(FileNotFoundError if newer == self._path else OSError):  # An older file may get lost.
                    newer.replace(older)
            if len(kept) == 1:
                os.truncate(descriptor, 0)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                return descriptor
        self._shut()  # This releases the lock.
        return self._opened()

    def _shut(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Log:
    """Writes lines with common fields: `log.line("fill", ticker=..., price=...)`.

    Fields that are None are omitted. All text is made safe to show and free of secrets. structlog is not used: its
    import took 80 ms (2026-11), between the halt of a kill switch and its first request.
    """

    def __init__(self, file: LineFile, clock: Clock, **same: str) -> None:
        self._file = file
        self._clock = clock
        self._same = same

    def line(self, event: str, **fields: Any) -> None:
        """Write one line; the time by both clocks and the event come first."""
        ts, mono_ms = format_ts(self._clock.now()), int(self._clock.monotonic() * 1000)
        level = level_of(event, fields.get("tier"), fields.get("state"))
        line = {"ts": ts, "mono_ms": mono_ms, "level": level, "event": event, **self._same, **fields}
        clean = {name: _cleaned(value) for name, value in line.items() if value is not None}
        self._file.write(msgspec.json.encode(clean).decode())


def _cleaned(value: Any) -> Any:
    """Remove secrets before the text is cut: a truncated secret is not recognized any more."""
    return safe_text(redact(value), MAX_VALUE_LENGTH) if isinstance(value, str) else value
