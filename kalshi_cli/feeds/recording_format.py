"""The line format of a recording: one JSON object a line, plain or gzip, in the order received.

    {"recv_ns": 1778733491918884096, "conn": 0, "frame": {...}}    a frame of the exchange, its bytes untouched
    {"recv_ns": 1778733491639213056, "conn": 0, "note": {...}}     something the recorder had to say

What came from outside the exchange is a note, too, so that readers who know nothing of it pass over it:
`{"event": "heard", "spot": {...}}`, or `lost`, `fair`, `signal`, with a message as the core knows it.
`recv_ms` in place of `recv_ns`, and bare frames without an envelope, occur in recordings of others and are read too.
`conn` counts connections: sequence numbers start anew with each.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts

MAX_LINE = 8 * 1024 * 1024
"""Bytes of the longest line read. A snapshot with every possible price of a market is below 300 kB."""

MAX_UNPACKED, MAX_RATIO = 16 * 1024 * 1024, 200
"""A recording that is packed may become so many bytes, and beyond them so many times what was read of it. Real ones
become ten to thirty times larger; gzip can reach a thousand."""

NO_TIME = Ts(2**62)
"""Stands for the time of a frame recorded without one: later than anything."""


class RecordedLine(msgspec.Struct, gc=False):
    """The envelope. With neither a frame nor a note, the line itself is the frame."""

    recv_ns: int | None = None
    recv_ms: int | None = None
    conn: int = 0
    frame: msgspec.Raw = msgspec.Raw()
    note: msgspec.Raw = msgspec.Raw()

    @property
    def recv_ts(self) -> Ts:
        """When it came by the recorder's own clock; NO_TIME on a bare frame."""
        if self.recv_ns is not None:
            return Ts(self.recv_ns // 1_000_000)
        return NO_TIME if self.recv_ms is None else Ts(self.recv_ms)


decode_line = msgspec.json.Decoder(RecordedLine).decode


def at_line(path: Path, number: int, problem: object) -> UsageError:
    """The error of a line that cannot be used."""
    return UsageError(f"{path}:{number}: {problem}", hint="is it a recording, and is it whole?", code="bad_recording")


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line that is not blank, in flat memory.

    A gzip file whose end is missing because its writer was killed is read as far as it goes, so the last line may lack
    its newline and its half. UsageError where it cannot be opened or unpacked, or has an endless line.
    """
    number = size = 0
    try:
        with path.open("rb") as file, _unpacked(path, file) as stream:
            while line := stream.readline(MAX_LINE + 1):
                number += 1
                size += len(line)
                if size > MAX_UNPACKED and size > MAX_RATIO * file.tell():
                    raise at_line(path, number, f"it unpacks to more than {MAX_RATIO} times its size")
                if len(line) > MAX_LINE:
                    raise at_line(path, number, f"a line of more than {MAX_LINE} bytes")
                if not line.isspace():
                    yield number, line
    except EOFError:
        return
    except (OSError, zlib.error) as error:
        raise at_line(path, number + 1, getattr(error, "strerror", None) or error) from error


def _unpacked(path: Path, file: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    # No second buffer around GzipFile, though it would be faster: it would lose the last lines before a missing end.
    return gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
