"""The line format of a recording: one JSON object per line, plain or gzip, in the order received.

    {"recv_ns": 1778733491918884096, "conn": 0, "frame": {...}}    a frame of the exchange, its bytes unchanged
    {"recv_ns": 1778733491639213056, "conn": 0, "note": {...}}     a note of the recorder

An external input is also a note, so that other readers skip it: `{"event": "heard", "spot": {...}}`, or `lost`, `fair`,
`signal`, with a message of the core. Recordings of other programs may have `recv_ms` instead of `recv_ns`, and frames
without an envelope. `conn` counts connections; sequence numbers restart with each.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts

MAX_LINE = 8 * 1024 * 1024
"""Bytes of a line, at most. A snapshot with every possible price of a market is below 300 kB."""

MAX_UNPACKED, MAX_RATIO = 16 * 1024 * 1024, 200
"""A compressed recording may unpack to this many bytes, and beyond that to this many times the bytes read. Real
recordings unpack to ten to thirty times their size; gzip can reach a thousand."""

NO_TIME = Ts(2**62)
"""The time of a frame recorded without one: later than any real time."""


class RecordedLine(msgspec.Struct, gc=False):
    """The envelope of a line. With neither a frame nor a note, the line itself is the frame."""

    recv_ns: int | None = None
    recv_ms: int | None = None
    conn: int = 0
    frame: msgspec.Raw = msgspec.Raw()
    note: msgspec.Raw = msgspec.Raw()

    @property
    def recv_ts(self) -> Ts:
        """Return the time received by the recorder's clock; NO_TIME for a bare frame."""
        if self.recv_ns is not None:
            return Ts(self.recv_ns // 1_000_000)
        return NO_TIME if self.recv_ms is None else Ts(self.recv_ms)


decode_line = msgspec.json.Decoder(prepared(RecordedLine)).decode


def at_line(path: Path, number: int, problem: object) -> UsageError:
    """Return the error for an invalid line."""
    is_table = path.name.removesuffix(".gz").endswith(".csv")
    hint = "correct the file at this line" if is_table else "check that the file is a complete recording"
    return UsageError(f"{path}:{number}: {problem}", hint=hint, code="bad_recording")


def read_lines(
    path: Path, on_cut: Callable[[], None] = lambda: None, on_read: Callable[[int], None] = lambda _size: None
) -> Iterator[tuple[int, bytes]]:
    """Yield the number and bytes of each line that is not blank, in constant memory.

    Every thousand lines or so, `on_read` gets the number of bytes of the file that were read since its last call.

    A gzip file without an end, because its writer was killed, is read as far as possible; its last line may be
    incomplete, and `on_cut` is called. Raises UsageError if the file cannot be opened or unpacked, or has a line that
    is too long.
    """
    number = size = before = 0
    try:
        with path.open("rb") as file, _unpacked(path, file) as stream:
            while line := stream.readline(MAX_LINE + 1):
                number += 1
                size += len(line)
                if not number & 1023:
                    on_read(file.tell() - before)
                    before = file.tell()
                if size > MAX_UNPACKED and size > MAX_RATIO * file.tell():
                    raise at_line(path, number, f"it unpacks to more than {MAX_RATIO} times its size")
                if len(line) > MAX_LINE:
                    raise at_line(path, number, f"line longer than {MAX_LINE} bytes")
                if not line.isspace():
                    yield number, line
    except EOFError:
        on_cut()
    except FileNotFoundError:
        hint = "`kalshi record TICKER --file FILE` records one"
        raise UsageError(f"Recording not found: {path}", hint=hint, code="bad_recording") from None
    except (OSError, zlib.error) as error:
        raise at_line(path, number + 1, getattr(error, "strerror", None) or error) from error


def _unpacked(path: Path, file: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    # A second buffer around GzipFile would be faster, but would lose the last lines before a missing end.
    return gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
