"""Order book changes of a lake as columns, for compiled code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kalshi_cli.core.model.messages import FeedGap
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.recorded import RecordedConnection
from kalshi_cli.lake.lake import Lake, LakeSession
from kalshi_cli.lake.reader import Selection, recordings, starting_books
from kalshi_cli.lake.rows import events_of

SNAPSHOT, FIRST, LOST = 1, 2, 4
"""Flags of a row: a level of a snapshot; the first row of one, which empties the book before it (with a `delta` of 0:
the book stays empty); and a book that is unusable until its next snapshot."""

_KINDS = {
    "row": np.int64, "ts_us": np.int64, "codes": np.int32, "side": np.int8, "price": np.int32, "delta": np.int64,
    "seq": np.int64, "flags": np.uint8,
}  # fmt: skip

_READ = ("row", "ts_us", "market", "side", "price", "delta", "seq")

Columns = dict[str, NDArray[Any]]


class BookArrays(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of order books as columns of equal length, in the order of replay. `codes` index `markets`.

    `ts_us` is the exchange's time in microseconds. `side` is 0 for a bid and 1 for an ask, `price` ten-thousandths of a
    dollar on the YES scale, `delta` hundredths of a contract. A snapshot is a row for each level.
    """

    markets: tuple[str, ...]
    ts_us: NDArray[np.int64]
    codes: NDArray[np.int32]
    side: NDArray[np.int8]
    price: NDArray[np.int32]
    delta: NDArray[np.int64]
    seq: NDArray[np.int64]
    flags: NDArray[np.uint8]


def arrays(lake: Lake, chosen: Selection) -> BookArrays:
    """Return the changes and snapshots of the selected order books, recording after recording, by their start.

    Within a recording the time never goes back. One that began before `since` starts with its books as snapshots. At
    the end of a recording, except the last, its books are LOST.
    """
    codes: dict[str, int] = {}
    found = recordings(lake, chosen)
    parts = [_pieces(lake, each, chosen, codes, is_last=each is found[-1]) for each in found]
    columns = _joined([piece for part in parts for piece in part], BookArrays.__struct_fields__[1:])
    end = 0
    for part in parts:
        begin, end = end, end + sum(len(piece["ts_us"]) for piece in part)
        _never_back(columns["ts_us"][begin:end])
    return BookArrays(markets=tuple(codes), **columns)


def _never_back(times: NDArray[np.int64]) -> None:
    np.maximum.accumulate(times, out=times)


def _pieces(
    lake: Lake, session: LakeSession, chosen: Selection, codes: dict[str, int], *, is_last: bool
) -> list[Columns]:
    """Return a recording as pieces, in its order."""
    own: dict[str, int] = {}
    rare = [_start(lake, session, chosen, codes, own)]
    changes: list[Columns] = []
    for series in filter(chosen.has, session.series):
        changes += [_changes(part, chosen, codes, own) for part in lake.parts("book_changes", series, session, _READ)]
        rare += [_snapshots(part, chosen, codes, own) for part in lake.parts("book_snapshots", series, session)]
    followed = sorted(own.values())
    for series in filter(chosen.has, session.series):
        rare += [_lost(part, codes, followed) for part in lake.parts("lifecycle", series, session)]
    pieces = _merged(_in_order(changes), _in_order(rare))
    if session.from_us < chosen.first_us or session.to_us > chosen.last_us:
        columns = _joined(pieces)
        _never_back(columns["ts_us"])
        is_in = (columns["ts_us"] >= chosen.first_us) & (columns["ts_us"] <= chosen.last_us)
        pieces = [_part(columns, is_in)]
    if is_last or not any(len(piece["row"]) for piece in pieces):
        return pieces
    return [*pieces, _rows(len(followed), codes=followed, flags=LOST)]  # The loss of every book, at the last time.


def _merged(many: Columns, few: Columns) -> list[Columns]:
    """Return pieces in the order of the recording, without copying them."""
    begins, firsts = np.unique(np.searchsorted(many["row"], few["row"]), return_index=True)
    spans = [slice(*span) for span in pairwise([0, *begins, len(many["row"])])]
    pieces = [_part(many, spans[0])]
    for old, new in zip(spans[1:], pairwise([*firsts, len(few["row"])]), strict=True):
        pieces += [_part(few, slice(*new)), _part(many, old)]
    return pieces


def _part(columns: Columns, chosen: slice | NDArray[Any]) -> Columns:
    return {name: column[chosen] for name, column in columns.items()}


def _in_order(parts: list[Columns]) -> Columns:
    """Return the columns of all parts in the order of the recording. Those of one series are in order as they are."""
    joined = parts[0] if len(parts) == 1 else _joined(parts)
    rows = joined["row"]
    if (rows[1:] >= rows[:-1]).all():
        return joined
    return _part(joined, np.argsort(rows, kind="stable"))


def _joined(parts: list[Columns], names: Iterable[str] = tuple(_KINDS)) -> Columns:
    """Return columns one after the other, copied.

    All columns share one allocation: to a large one the system gives large pages, which cost a tenth of small ones.
    """
    count = sum(len(part["row"]) for part in parts)
    kinds = sorted(((np.dtype(_KINDS[name]), name) for name in names), key=lambda each: -each[0].itemsize)
    room = np.empty(count * sum(kind.itemsize for kind, _ in kinds), np.uint8)
    columns: Columns = {}
    for kind, name in kinds:
        columns[name], room = room[: count * kind.itemsize].view(kind), room[count * kind.itemsize :]
        np.concatenate([columns[name][:0], *(part[name] for part in parts)], out=columns[name], casting="same_kind")
    return columns


def _rows(count: int, **given: Any) -> Columns:
    """Return columns of this length; those not given are zero."""
    return {name: np.broadcast_to(np.asarray(given.get(name, 0), kind), count) for name, kind in _KINDS.items()}


def _codes(column: pa.ChunkedArray, chosen: Selection, codes: dict[str, int], own: dict[str, int]) -> NDArray[Any]:
    """Return the code of each market, -1 for one that was not selected."""
    found = []
    for chunk in column.chunks:
        words = chunk.dictionary.to_pylist()
        table = np.full(len(words), -1, np.int32)
        for index, word in enumerate(words):
            if chosen.has_market(word):
                table[index] = own[word] = codes.setdefault(word, len(codes))
        found.append(table[chunk.indices.to_numpy(zero_copy_only=False)])
    return np.concatenate(found) if found else np.empty(0, np.int32)


def _changes(part: pa.Table, chosen: Selection, codes: dict[str, int], own: dict[str, int]) -> Columns:
    code = _codes(part.column("market"), chosen, codes, own)
    given = {name: part.column(name).to_numpy() for name in ("row", "ts_us", "side", "price", "delta", "seq")}
    columns = _rows(len(code), codes=code, **given)
    return _part(columns, code >= 0) if (code < 0).any() else columns


def _snapshots(part: pa.Table, chosen: Selection, codes: dict[str, int], own: dict[str, int]) -> Columns:
    code = _codes(part.column("market"), chosen, codes, own)
    rows: list[tuple[Any, ...]] = []
    names = ("row", "ts_us", "seq", "bid_prices", "bid_counts", "ask_prices", "ask_counts")
    for market, row, ts_us, seq, *levels in zip(code, *(part.column(name).to_pylist() for name in names), strict=True):
        if market >= 0:
            bids, asks = zip(*levels[:2], strict=True), zip(*levels[2:], strict=True)
            rows += _levels(
                (row, ts_us, market, seq), [(0, *level) for level in bids] + [(1, *level) for level in asks]
            )
    return _of_levels(rows)


def _levels(where: tuple[Any, ...], levels: Sequence[tuple[int, int, int]]) -> list[tuple[Any, ...]]:
    """Return the rows of a snapshot; an empty one is a row without contracts."""
    return [
        (*where, *level, SNAPSHOT if number else SNAPSHOT | FIRST) for number, level in enumerate(levels or [(0, 0, 0)])
    ]


def _of_levels(rows: list[tuple[Any, ...]]) -> Columns:
    names = ("row", "ts_us", "codes", "seq", "side", "price", "delta", "flags")
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return _rows(len(rows), **dict(zip(names, columns, strict=True)))


def _lost(part: pa.Table, codes: dict[str, int], followed: list[int]) -> Columns:
    """Return the books that became unusable: those of a gap, or all at a new connection."""
    rows: list[tuple[int, int, int]] = []
    for event in events_of("lifecycle", part):
        lost: list[int] = []
        if isinstance(event.item, FeedGap):
            lost = sorted(codes[ticker] for ticker in event.item.tickers if ticker in codes)
        elif isinstance(event.item, RecordedConnection):
            lost = followed
        rows += [(event.number, event.ts_us, code) for code in lost]
    row, ts_us, code = zip(*rows, strict=True) if rows else ((), (), ())
    return _rows(len(rows), row=row, ts_us=ts_us, codes=code, flags=LOST)


def _start(lake: Lake, session: LakeSession, chosen: Selection, codes: dict[str, int], own: dict[str, int]) -> Columns:
    """Return the books at `since`, if the recording began before."""
    rows: list[tuple[Any, ...]] = []
    for ticker, book in sorted(starting_books(lake, session, chosen).items()):
        code = own[ticker] = codes.setdefault(ticker, len(codes))
        levels = [(number, *level) for number, side in enumerate((BID, ASK)) for level in book.levels(side)]
        rows += _levels((-1, chosen.first_us, code, 0), levels)
    return _of_levels(rows)
