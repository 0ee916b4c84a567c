"""Changes of order books of a recording as rows for compiled code, between its other events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kalshi_cli.core.model.recorded import ChangeRows
from kalshi_cli.lake.placing import NEVER
from kalshi_cli.lake.rows import ReadEvent

COLUMNS = ("row", "ts_us", "recv_ms", "market", "side", "price", "delta")

NewRows = Callable[..., ChangeRows]
"""Makes rows of the numbered tickers (a list that grows) and columns: milliseconds of receipt and of the exchange,
market, side, price, delta."""


class ChangeColumns(NamedTuple):
    """Changes in the order of their numbers, which rise. `recv_ms` is -1 where it is unknown."""

    numbers: NDArray[Any]
    ts_us: NDArray[Any]
    recv_ms: NDArray[Any]
    market: NDArray[Any]
    side: NDArray[Any]
    price: NDArray[Any]
    delta: NDArray[Any]

    def cut(self, start: int, stop: int | None = None) -> ChangeColumns:
        """Return the changes from `start` to before `stop`."""
        return ChangeColumns(*(column[start:stop] for column in self))


class ReadChanges(NamedTuple):
    """Changes that no other event of their recording interrupts."""

    numbers: NDArray[Any]
    ts_us: NDArray[Any]
    rows: ChangeRows

    def cut(self, start: int, stop: int) -> ReadChanges:
        """Return the changes from `start` to before `stop`."""
        return ReadChanges(self.numbers[start:stop], self.ts_us[start:stop], self.rows.cut(start, stop))

    def count_before(self, us: int) -> int:
        """Return the number of changes before the first one at this time or later."""
        is_later = self.ts_us >= us
        return int(is_later.argmax()) if is_later.any() else len(is_later)


ReadItem = ReadEvent | ReadChanges


class TickerNumbers:
    """The numbers of markets in rows. `tickers` grows."""

    def __init__(self, is_wanted: Callable[[str], bool]) -> None:
        self.tickers: list[str] = []
        self._is_wanted = is_wanted
        self._numbers: dict[str, int] = {}

    def of(self, column: pa.ChunkedArray) -> NDArray[np.int32]:
        """Return the number of each market, -1 for one that is not wanted."""
        found = [np.empty(0, np.int32)]
        for chunk in column.chunks:
            numbers = np.array([self._number(ticker) for ticker in chunk.dictionary.to_pylist()], np.int32)
            found.append(numbers[chunk.indices.to_numpy(zero_copy_only=False)])
        return np.concatenate(found)

    def _number(self, ticker: str) -> int:
        if not self._is_wanted(ticker):
            return -1
        number = self._numbers.get(ticker)
        if number is None:
            number = self._numbers[ticker] = len(self.tickers)
            self.tickers.append(ticker)
        return number


def columns_of(part: pa.Table, tickers: TickerNumbers) -> ChangeColumns:
    """Return the wanted changes of a part of the table `book_changes`."""
    columns = [tickers.of(part.column(name)) if name == "market" else part.column(name).to_numpy() for name in COLUMNS]
    found = ChangeColumns(*columns)
    is_wanted = found.market >= 0
    return found if is_wanted.all() else ChangeColumns(*(column[is_wanted] for column in found))


def in_order(sources: Iterable[Iterator[ChangeColumns]]) -> Iterator[ChangeColumns]:
    """Merge the changes of several series by their numbers."""
    pairs = [(head, source) for source in sources for head in _next(source)]
    while len(pairs) > 1:
        last = min(int(head.numbers[-1]) for head, _ in pairs)
        counts = [int(np.searchsorted(head.numbers, last, "right")) for head, _ in pairs]
        yield _merged([head.cut(0, count) for (head, _), count in zip(pairs, counts, strict=True)])
        rest = [(head.cut(count), source) for (head, source), count in zip(pairs, counts, strict=True)]
        pairs = [(head, source) for left, source in rest for head in ([left] if len(left.numbers) else _next(source))]
    for head, source in pairs:
        yield head
        yield from source


def _next(source: Iterator[ChangeColumns]) -> list[ChangeColumns]:
    """Return the next columns that are not empty; none at the end."""
    found = next((each for each in source if len(each.numbers)), None)
    return [] if found is None else [found]


def _merged(parts: Sequence[ChangeColumns]) -> ChangeColumns:
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    order = np.argsort(joined[0], kind="stable")
    return ChangeColumns(*(column[order] for column in joined))


def interleaved(
    changes: Iterable[ChangeColumns], events: Iterator[ReadEvent], tickers: Sequence[str], new_rows: NewRows
) -> Iterator[ReadItem]:
    """Yield the events, and the changes between them as rows, by their numbers."""
    event = next(events, None)
    for columns in changes:
        numbers, ts_us, recv_ms, *values = columns
        rows = new_rows(tickers, np.where(recv_ms < 0, NEVER, recv_ms), ts_us // 1000, *values)
        each = ReadChanges(numbers, ts_us, rows)
        at, count = 0, len(numbers)
        while event is not None and at < count and event.number < numbers[-1]:
            stop = int(np.searchsorted(numbers, event.number))
            if stop > at:
                yield each.cut(at, stop)
            at = stop
            yield event
            event = next(events, None)
        if at < count:
            yield each.cut(at, count)
    if event is not None:
        yield event
        yield from events
