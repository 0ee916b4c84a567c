"""News from outside, a line of JSON each, into NewsSignal messages: from a file that grows, or from standard input.

    {"id": "a-1", "ticker": "KXFED-26DEC-T4", "side": "no", "confidence": 0.6, "text": "minutes were dovish"}

`direction`: "up" or "down" (YES becomes likelier, or less likely) may stand for `side`. `time` says when it became
known; without it that is when it is heard. A line that cannot be read is counted and told.
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
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.core.model.messages import NewsSignal
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.feeds.fair_values import TELL_EVERY_S, TICKER, SourceError, probability
from kalshi_cli.feeds.source_monitor import SourceMonitor

MAX_LINE = 64 * 1024
"""Bytes of one signal; a longer line is none."""
MAX_TEXT = 500
MAX_BEFORE = 4_000_000
"""Bytes at the end of a file, before what counts of it, whose signals are known as old ones."""
LOOK_S = 0.25
"""How often a file is looked at."""
MISSING_S = 60.0
"""A source of news may be away, or say only what cannot be read, for so long before it is stale."""
_CHUNK = 64 * 1024

_SIDES = {"yes": BID, "up": BID, "no": ASK, "down": ASK}


class RawSignal(msgspec.Struct):
    """A signal as somebody wrote it."""

    id: str | int
    ticker: str
    confidence: Any
    side: str = ""
    direction: str = ""
    text: str = ""
    time: str = ""


_DECODER = msgspec.json.Decoder(RawSignal, float_hook=Decimal)


def read_signal(line: bytes, clock: Clock) -> NewsSignal:
    """One signal, heard now; SourceError for anything else. Fields that we do not know are left alone."""
    if len(line) > MAX_LINE:
        raise SourceError(f"it is longer than {MAX_LINE} bytes")
    try:
        found = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        why = safe_text(str(error), 100)
        raise SourceError(f"it is no signal, a line of JSON with id, ticker, side, confidence: {why}") from None
    return signal_of(found, clock.now())


def signal_of(found: RawSignal, now: Ts) -> NewsSignal:
    """The signal, heard now; SourceError where it says something else."""
    name = safe_text(str(found.id).strip(), 200) if isinstance(found.id, str) or abs(found.id) < 1 << 63 else ""
    if not name:
        raise SourceError("it has no id")
    ticker = found.ticker.strip().upper()
    if TICKER.fullmatch(ticker.removesuffix("*")) is None:
        raise SourceError("it names no ticker")
    said = {_side(text) for text in (found.side, found.direction) if text}
    if len(said) != 1:
        raise SourceError('it needs one of side ("yes", "no") and direction ("up", "down")')
    confidence = probability(found.confidence)
    try:
        ts = min(now, parse_ts(found.time.strip())) if found.time.strip() else now
    except (ValueError, OverflowError):
        raise SourceError(f"no time with a zone: {safe_text(found.time, 40)!r}") from None
    return NewsSignal(ts, name, ticker, said.pop(), confidence, safe_text(found.text, MAX_TEXT))


def _side(text: str) -> Side:
    try:
        return _SIDES[text.strip().lower()]
    except KeyError:
        raise SourceError(f"{safe_text(text, 20)!r} is neither yes, no, up nor down") from None


# -- where lines come from ----------------------------------------------------------------------------------------


class Lines(Protocol):
    """A source of lines."""

    def look(self) -> list[bytes] | None:
        """Whole lines that are new, without waiting longer than `LOOK_S`; None when there will never be more."""
        ...

    @property
    def problem(self) -> str:
        """Why no line can come at this moment; empty where one can."""
        ...

    def close(self) -> None: ...


class _Cutter:
    """Cuts what comes in pieces into lines. Of a line that is too long only its beginning is kept, to be told of."""

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, chunk: bytes) -> list[bytes]:
        *whole, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[: MAX_LINE + 1]
        return [line.strip() for line in whole if line.strip()]

    def last(self) -> list[bytes]:
        """What is left at the end of the input, which needs no end of line."""
        rest, self._rest = self._rest.strip(), b""
        return [rest] if rest else []


class FileFollower:
    """A file that grows. Only what is written after the start counts, unless `from_start`.

    A file that is moved away is read to its end, then the new one of that name from its start; a file that got shorter
    was emptied, and is read from its start. A line counts when its end is written. A file may be missing for a while.
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
        """Lines that it will not give out, the newest of them: a file that takes its place may have them again."""
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
        return "" if self._file is not None and self._path.is_file() else "there is no such file"

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
        """The next piece of the open file; nothing where there is none yet."""
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
        """Whether the name stands for another file by now."""
        if self._file is None:
            return False
        try:
            there, here = os.stat(self._path), os.fstat(self._file)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


class PipeReader:
    """Standard input, or any other end of a pipe; whoever opened it closes it."""

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
        return "it has ended" if self._is_over else ""

    def close(self) -> None:
        """Not ours."""


# -- a source in a thread -----------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class SignalReader:
    """Makes messages of lines. `bring` gets them, `tell` is told of lines that are none, at most once a minute."""

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
        """Signals from before the start: they are not news when they come again."""
        for line in lines:
            with suppress(SourceError):
                self._old.add(read_signal(line, self.clock).signal_id)

    def take(self, line: bytes) -> None:
        """A signal that came; SourceError where it is none, which is counted and told."""
        try:
            signal = read_signal(line, self.clock)
        except SourceError as error:
            self.junk += 1
            self._is_junk = True
            self.source.failed(f"its last line cannot be read: {error}")
            now = self.clock.monotonic()
            if now >= self._quiet_until:
                self._quiet_until = now + TELL_EVERY_S
                self.tell(f"{self.name}: a line cannot be read ({self.junk} so far): {error}")
            raise
        self._is_junk = False
        if signal.signal_id not in self._old:
            self.bring(signal)

    @contextmanager
    def run_in_thread(self, lines: Lines) -> Iterator[SignalReader]:
        """Take every line, in a thread, until the context ends."""
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
                    self.tell(f"{self.name}: it has ended; no more signals come from there")
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
