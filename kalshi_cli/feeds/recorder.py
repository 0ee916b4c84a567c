"""Write what the stream receives, as it came, in the format that replay reads."""

from __future__ import annotations

import gzip
import io
import os
import threading
from pathlib import Path

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import format_ts
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import FairValue, Message, NewsSignal, SpotPrice, SpotUnavailable
from kalshi_cli.feeds.recording_format import MAX_LINE

MAX_BYTES = 2 * 1024**3
"""Size of a file at which recording stops, unless told otherwise."""

FLUSH_S = 1.0
"""What is older than this goes to disk with the next line; the rest is lost when the process is killed."""

_OUTSIDE = {SpotPrice: "spot", SpotUnavailable: "lost", FairValue: "fair", NewsSignal: "signal"}


class Recorder:
    """One recording, written by any thread. A name ending in `.gz` is packed. Only the owner may read it.

    An existing file is never touched: a recording that is continued would mix the connection numbers of two sessions.
    Writing stops at `max_bytes` on disk (`is_full`), never in the middle of a line. OSError where the disk refuses.
    """

    def __init__(self, path: Path, clock: Clock, *, max_bytes: int = MAX_BYTES) -> None:
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
            raise UsageError(f"{path} exists", hint="name another file; a recording is never overwritten") from error
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}", hint="is the directory there?") from error
        self._file = io.FileIO(descriptor, "wb")
        self._out: io.BufferedWriter | gzip.GzipFile = io.BufferedWriter(self._file)
        self._buffer = self._out
        if path.suffix == ".gz":
            self._out = gzip.GzipFile(fileobj=self._buffer, mode="wb", filename="", mtime=0)

    def connected(self, *, use_yes_price: bool = True) -> None:
        """A new connection begins: its frames count their sequences from one. The flag is that of its subscription."""
        self._conn += 1
        self.note("connected", use_yes_price=use_yes_price)

    def frame(self, raw: bytes | str) -> None:
        """A frame as it came, but on one line. A blank one is left out; one that is not JSON becomes a note."""
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
        """Something about the recording itself."""
        self._write(b"note", msgspec.json.encode({"event": event, **fields}))

    def heard(self, message: Message) -> None:
        """What came from outside the exchange: a SpotPrice, a SpotLost, a FairValue or a NewsSignal."""
        self.note("heard", **{_OUTSIDE[type(message)]: message})

    def watch(self, market: Market, fees: FeeSchedule | None = None, family: Family | None = None) -> None:
        """A market that is followed from here on, or that changed; replay gives it back as it is, with what it charges
        and whose it is where that is known.
        """
        self.note(
            "watch_market",
            market_ticker=market.ticker,
            close_time=format_ts(market.close_time),
            strike=market.floor_strike,
            status=market.status,
            market=market,
            fees=fees,
            family=family,
        )

    def close(self) -> None:
        """Write what is left and let go of the file; what comes later is left out."""
        with self._lock:
            self._is_closed = True
            if self._out is not self._buffer:
                self._out.close()
            self._buffer.close()

    def _write(self, kind: bytes, body: bytes) -> None:
        with self._lock:
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
