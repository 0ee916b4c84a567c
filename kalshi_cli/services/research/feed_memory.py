"""Decoded recordings, kept in little memory: the runs of several parameter values over one decode it once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, Message
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.recorded_data import BacktestFeed, replay_of, size_of_data

MAX_BYTES = 256 * 1024 * 1024
"""Maximum memory for decoded recordings in one process: about six million changes of books."""

MESSAGE_BYTES, LEVEL_BYTES = 500, 120
"""Estimated memory of a message other than a change of a book, and of each level of a snapshot."""

_SIDES = (BID, ASK)


class _Messages:
    """The messages of a feed: changes of books as columns of integers, the others as they are, all immutable."""

    def __init__(self) -> None:
        self._deltas = array("q")
        """Five integers a change: time, change, price, number of the market, and 2 for asks plus 1 if more follow."""
        self._tickers: dict[str, int] = {}
        self._others: list[tuple[int, Ts, Message]] = []
        """The other messages, with the number of integers before each and the time of the clock at it."""
        self._bytes = 0

    @property
    def size(self) -> int:
        """Return about how many bytes they take."""
        return self._bytes + len(self._deltas) * self._deltas.itemsize

    def add(self, message: Message, at: Ts) -> None:
        """Add a message, at which the clock has this time."""
        if isinstance(message, BookDelta) and not message.may_continue:
            market = self._tickers.setdefault(message.ticker, len(self._tickers))
            flags = 2 * (message.side is ASK) + message.has_more
            with suppress(OverflowError):  # a number of more than 64 bits stays in its message
                self._deltas += array("q", (message.ts, message.delta, message.price, market, flags))
                return
        self._others.append((len(self._deltas), at, message))
        levels = len(message.bids) + len(message.asks) if isinstance(message, BookSnapshot) else 0
        self._bytes += MESSAGE_BYTES + LEVEL_BYTES * levels

    def play(self, clock: ManualClock) -> Iterator[Message]:
        """Yield the messages, and set the clock before each."""
        numbers, position = iter(self._deltas), 0
        for begin, at, message in self._others:
            yield from self._changes(islice(numbers, begin - position), clock)
            position = begin
            clock.set(at)
            yield message
        yield from self._changes(numbers, clock)

    def _changes(self, numbers: Iterator[int], clock: ManualClock) -> Iterator[Message]:
        tickers = list(self._tickers)
        for ts, delta, price, market, flags in zip(*[numbers] * 5, strict=True):
            clock.set(Ts(ts))
            yield BookDelta(Ts(ts), tickers[market], _SIDES[flags >> 1], Price(price), Qty(delta), bool(flags & 1))


class FeedMemory:
    """Opens the feeds of backtests, and keeps their messages for later runs over the same data.

    It keeps recordings until they take about `max_bytes`; the others are decoded for each run. So are those of a lake,
    which has columns already.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._room = max_bytes
        self._kept: dict[tuple[object, ...], tuple[BacktestFeed, _Messages]] = {}

    def open(
        self,
        request: BacktestRequest,
        clock: ManualClock,
        interval_s: float,
        on_read: Callable[[int], None] = lambda _size: None,
    ) -> BacktestFeed:
        """Return the feed of a backtest as `replay_of` does; its messages are kept when the last one is taken."""
        if request.lake is not None:
            return replay_of(request, clock, interval_s, on_read)
        data = _data_of(request, interval_s)
        if data in self._kept:
            feed, known = self._kept[data]
            return feed._replace(messages=_again(known, request, clock, on_read))
        feed = replay_of(request, clock, interval_s, on_read)
        return feed._replace(messages=self._keeping(data, feed, clock))

    def _keeping(self, data: tuple[object, ...], feed: BacktestFeed, clock: ManualClock) -> Iterator[Message]:
        found: _Messages | None = _Messages()
        for message in feed.messages:
            if found is not None:
                found.add(message, clock.now())
                if found.size > self._room:
                    found = None
            yield message
        if found is not None:
            self._room -= found.size
            self._kept[data] = feed, found


def _again(
    known: _Messages, request: BacktestRequest, clock: ManualClock, on_read: Callable[[int], None]
) -> Iterator[Message]:
    yield from known.play(clock)
    on_read(size_of_data(request))


def _data_of(request: BacktestRequest, interval_s: float) -> tuple[object, ...]:
    """Return all that the messages of a feed of files depend on."""
    files = [(path, *version_of(path)) for path in (*request.files, *request.results)]
    return (*files, len(request.files), request.tickers, request.since, request.until, request.phase_ms, interval_s)


def version_of(path: Path) -> tuple[int, int]:
    """Return the size and the time of the last change of a file; zeros for one that cannot be read."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0  # the replay reports it
    return found.st_size, found.st_mtime_ns
