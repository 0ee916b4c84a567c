"""News signals from a growing file or from standard input, one JSON object per line, as NewsSignal messages.

    {"id": "a-1", "ticker": "KXFED-26DEC-T4", "side": "no", "confidence": 0.6, "text": "minutes were dovish"}

`direction` ("up": YES becomes more likely, or "down") may replace `side`. `time` is when the news was published; the
default is the time of reading. An invalid line is counted and reported.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.files import open_regular
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import NewsSignal
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.feeds.fair_values import TELL_EVERY_S, TICKER, SourceError, probability, time_with_zone
from kalshi_cli.feeds.source_monitor import SourceMonitor

MAX_LINE = 64 * 1024
"""Bytes of one signal; a longer line is invalid."""
MAX_TEXT = 500
MAX_BEFORE = 4_000_000
"""Bytes before the starting point of a file whose signals count as old."""
LOOK_S = 0.25
"""Interval at which a file is checked."""
MISSING_S = 60.0
"""Time for which a source may be missing or have only invalid lines before it is stale."""
_CHUNK = 64 * 1024

_SIDES = {"yes": BID, "up": BID, "no": ASK, "down": ASK}


class RawSignal(msgspec.Struct):
    """A signal as read from its source."""

    id: str | int
    ticker: str
    confidence: Any
    side: str = ""
    direction: str = ""
    text: str = ""
    time: str = ""


_DECODER = msgspec.json.Decoder(prepared(RawSignal), float_hook=Decimal)


def read_signal(line: bytes, clock: Clock) -> NewsSignal:
    """Parse a signal that was read now. Raises SourceError if it is invalid; unknown fields are ignored."""
    if len(line) > MAX_LINE:
        raise SourceError(f"longer than {MAX_LINE} bytes")
    try:
        found = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        expected = "one JSON object per line with id, ticker, side, confidence"
        raise SourceError(f"not a valid signal ({expected}): {safe_text(str(error), 100)}") from None
    return signal_of(found, clock.now())


def signal_of(found: RawSignal, now: Ts) -> NewsSignal:
    """Return the message for a signal that was read now. Raises SourceError if a field is invalid."""
    name = safe_text(str(found.id).strip(), 200) if isinstance(found.id, str) or abs(found.id) < 1 << 63 else ""
    if not name:
        raise SourceError("id missing")
    ticker = found.ticker.strip().upper()
    if TICKER.fullmatch(ticker.removesuffix("*")) is None:
        raise SourceError("ticker missing")
    sides = {_side(text) for text in (found.side, found.direction) if text}
    if len(sides) != 1:
        raise SourceError('either side ("yes", "no") or direction ("up", "down") is required')
    confidence, published = probability(found.confidence), time_with_zone(found.time)
    ts = now if published is None else min(now, published)
    return NewsSignal(ts, name, ticker, sides.pop(), confidence, safe_text(found.text, MAX_TEXT))


def _side(text: str) -> Side:
    try:
        return _SIDES[text.strip().lower()]
    except KeyError:
        raise SourceError(f"{safe_text(text, 20)!r} is not yes, no, up or down") from None


# -- sources of lines ---------------------------------------------------------------------------------------------


class Lines(Protocol):
    """A source of lines."""

    def look(self) -> list[bytes] | None:
        """Return the new complete lines, after at most `LOOK_S`; None if no more lines will come."""

    @property
    def problem(self) -> str:
        """Return why no line can come at this moment; "" if one can."""

    def close(self) -> None:
        """Close the source."""


class _Cutter:
    """Splits chunks into lines. Only the beginning of a line that is too long is kept, for its error."""

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, chunk: bytes) -> list[bytes]:
        *whole, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[: MAX_LINE + 1]
        return [line.strip() for line in whole if line.strip()]

    def last(self) -> list[bytes]:
        """Return the last line of the input, which needs no line end."""
        rest, self._rest = self._rest.strip(), b""
        return [rest] if rest else []


class FileFollower(Lines):
    """A file that grows. Only lines written after the start count, unless `from_start`.

    After a rotation the old file is read to its end, then the new one from its start; a file that got shorter is read
    from its start again. A line counts when its line end is written. A file may be missing for a while.
    """

    def __init__(self, path: Path, *, from_start: bool = False) -> None:
        self._path = path
        self._file: int | None = None
        self._at = 0
        self._cutter = _Cutter()
        self._open()
        if not from_start:
            self._skip()

    def before(self) -> list[bytes]:
        """Return the newest lines before the starting point: after a rotation they may be in the new file again."""
        begin, lines = max(0, self._at - MAX_BEFORE), _Cutter()
        if self._file is None:
            return []
        return lines.cut(os.pread(self._file, self._at - begin, begin))

    def look(self) -> list[bytes]:
        if self._file is None and not self._open():
            return []
        chunk = self._read()
        if not chunk and self._is_other():
            self.close()
            chunk = self._read() if self._open() else b""
        return self._cutter.cut(chunk)

    @property
    def problem(self) -> str:
        return "" if self._file is not None and self._path.is_file() else "file not found"

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> bool:
        try:
            self._file = open_regular(self._path)
        except OSError:
            return False
        self._at, self._cutter = 0, _Cutter()
        return True

    def _skip(self) -> None:
        if self._file is not None:
            self._at = os.fstat(self._file).st_size

    def _read(self) -> bytes:
        """Return the next chunk of the file; empty if nothing was written."""
        if self._file is None:
            return b""
        try:
            if os.fstat(self._file).st_size < self._at:
                self._at, self._cutter = 0, _Cutter()
            chunk = os.pread(self._file, _CHUNK, self._at)
        except OSError:
            self.close()
            return b""
        self._at += len(chunk)
        return chunk

    def _is_other(self) -> bool:
        """Return whether the path is a different file by now."""
        if self._file is None:
            return False
        try:
            there, here = os.stat(self._path), os.fstat(self._file)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


class PipeReader(Lines):
    """Standard input or another pipe; its creator closes it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._cutter = _Cutter()
        self._is_over = False

    def look(self) -> list[bytes] | None:
        if self._is_over:
            return None
        try:
            if not select.select([self._descriptor], [], [], LOOK_S)[0]:
                return []
            chunk = os.read(self._descriptor, _CHUNK)
        except (OSError, ValueError):
            chunk = b""
        if chunk:
            return self._cutter.cut(chunk)
        self._is_over = True
        return self._cutter.last()

    @property
    def problem(self) -> str:
        return "ended" if self._is_over else ""

    def close(self) -> None:
        """Leave the pipe open: its creator closes it."""


# -- a source in a thread -----------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class SignalReader:
    """Turns lines into messages for `bring`; `tell` gets a warning about invalid lines, at most once a minute."""

    name: str
    clock: Clock
    bring: Callable[[NewsSignal], None]
    tell: Callable[[str], None] = lambda _text: None

    def __post_init__(self) -> None:
        self._quiet_until = self.clock.monotonic()
        self._old: set[str] = set()
        self._is_junk = False
        self.junk = 0
        self.source = SourceMonitor(f"news {self.name}", self.clock, MISSING_S)

    def skip_existing(self, lines: Iterable[bytes]) -> None:
        """Remember the signals from before the start; they are ignored if they come again."""
        for line in lines:
            with suppress(SourceError):
                self._old.add(read_signal(line, self.clock).signal_id)

    def take(self, line: bytes) -> None:
        """Pass on a signal. Raises SourceError for an invalid line, which is counted and reported."""
        try:
            signal = read_signal(line, self.clock)
        except SourceError as error:
            self.junk += 1
            self._is_junk = True
            self.source.failed(f"the last line cannot be read: {error}")
            now = self.clock.monotonic()
            if now >= self._quiet_until:
                self._quiet_until = now + TELL_EVERY_S
                self.tell(f"{self.name}: invalid line ({self.junk} so far): {error}")
            raise
        self._is_junk = False
        if signal.signal_id not in self._old:
            self.bring(signal)

    @contextmanager
    def run_in_thread(self, lines: Lines) -> Iterator[SignalReader]:
        """Pass on every line, in a thread, until the context ends."""
        stopping = threading.Event()
        thread = threading.Thread(target=self._follow, args=(lines, stopping), name=f"signals-{self.name}", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stopping.set()
            thread.join(10 * LOOK_S)

    def _follow(self, lines: Lines, stopping: threading.Event) -> None:
        try:
            while not stopping.is_set():
                found = lines.look()
                problem = lines.problem
                if problem:
                    self.source.failed(problem)
                if found is None:
                    self.tell(f"{self.name}: ended; no more signals")
                    return
                for line in found:
                    with suppress(SourceError):
                        self.take(line)
                if not (problem or self._is_junk):
                    self.source.answered()
                if not found:
                    stopping.wait(LOOK_S)
        finally:
            lines.close()
