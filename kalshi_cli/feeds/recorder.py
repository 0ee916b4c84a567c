"""The recorder: writes the frames of the stream unchanged, in the format that replay reads."""

from __future__ import annotations

import gzip
import io
import os
import threading
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.files import naming
from kalshi_cli.base.units import format_ts
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import FairValue, Message, NewsSignal, SpotPrice, SpotUnavailable
from kalshi_cli.feeds.recording_format import MAX_LINE

MAX_BYTES = 2 * 1024**3
"""Default file size at which recording stops."""

FLUSH_S = 1.0
"""Interval between flushes to disk; later lines are lost if the process is killed."""

_OUTSIDE = {SpotPrice: "spot", SpotUnavailable: "lost", FairValue: "fair", NewsSignal: "signal"}


class Recorder:
    """A recording, written by any thread. A name ending in `.gz` is compressed. Only the owner may read the file.

    An existing file is never changed: continuing it would mix the connection numbers of two sessions. Writing stops at
    `max_bytes` on disk (`is_full`), always at a line end. Raises OSError with the path if the disk fails.
    """

    def __init__(self, path: Path, clock: Clock, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._clock = clock
        self._max_bytes = max_bytes
        self._flushed = clock.monotonic()
        self._conn = -1
        self._lock = threading.Lock()
        self._is_closed = False
        self.lines = 0
        self.is_full = False
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            hint = "use another file name; recordings are never overwritten"
            raise UsageError(f"{path} already exists", hint=hint) from error
        except OSError as error:
            hint = "check that the directory exists"
            raise UsageError(f"Cannot write {path}: {error.strerror}", hint=hint) from error
        self._file = io.FileIO(descriptor, "wb")
        self._out: io.BufferedWriter | gzip.GzipFile = io.BufferedWriter(self._file)
        self._buffer = self._out
        if path.suffix == ".gz":
            self._out = gzip.GzipFile(fileobj=self._buffer, mode="wb", filename="", mtime=0)

    def connected(self, *, use_yes_price: bool = True) -> None:
        """Note a new connection, whose sequence numbers start at one, with the flag of its subscription."""
        self._conn += 1
        self.note("connected", use_yes_price=use_yes_price)

    def frame(self, raw: bytes | str) -> None:
        """Write a frame unchanged on one line; a blank frame is omitted, one that is not JSON becomes a note."""
        text = (raw.encode() if isinstance(raw, str) else raw).strip().replace(b"\n", b" ")
        if not text:
            return
        try:
            msgspec.json.decode(text, type=msgspec.Raw)
        except (ValueError, RecursionError):
            self.note("bad_frame", begins=text[:200].decode(errors="replace"))
        else:
            self._write(b"frame", text)

    def note(self, event: str, **fields: object) -> None:
        """Write a note about the recording."""
        self._write(b"note", msgspec.json.encode({"event": event, **fields}))

    def heard(self, message: Message) -> None:
        """Write an external input: a SpotPrice, a SpotUnavailable, a FairValue or a NewsSignal."""
        self.note("heard", **{_OUTSIDE[type(message)]: message})

    def watch(self, market: Market, fees: FeeSchedule | None = None, family: Family | None = None) -> None:
        """Note a market that is followed from now on or that changed, with its fees and family if known."""
        self.note(
            "watch_market", market_ticker=market.ticker, close_time=format_ts(market.close_time),
            strike=market.floor_strike, status=market.status, market=market, fees=fees, family=family,
        )  # fmt: skip

    def sync(self) -> None:
        """Write all lines so far to the disk itself, so that a killed program or a power failure keeps them."""
        with self._lock, naming(self.path):
            if not self._is_closed:
                self._out.flush()
                self._buffer.flush()
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write the remaining lines and close the file; later frames are ignored. A full disk leaves no empty one."""
        with self._lock, naming(self.path):
            self._is_closed = True
            try:
                with closing(self._buffer):
                    if self._out is not self._buffer:
                        self._out.close()
            except OSError:
                with suppress(OSError):
                    if not self.path.stat().st_size:
                        self.path.unlink()
                raise

    def _write(self, kind: bytes, body: bytes) -> None:
        with self._lock, naming(self.path):
            line = b'{"recv_ns":%d,"conn":%d,"%s":%s}\n' % (self._clock.now() * 1_000_000, self._conn, kind, body)
            if self.is_full or self._is_closed or len(line) > MAX_LINE:
                return
            self._out.write(line)
            self.lines += 1
            if self._clock.monotonic() - self._flushed >= FLUSH_S:
                self._flushed = self._clock.monotonic()
                self._out.flush()
                self._buffer.flush()
                self.is_full = self._file.tell() >= self._max_bytes
