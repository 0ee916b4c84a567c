"""Books rebuilt from recorded exchange traffic agree with what the exchange itself said about them.

The recordings hold two independent channels. The deltas build a book; the ticker channel states best bid, best ask and
both sizes at an exchange time. Comparable are tickers within the time of the deltas seen so far, while both sides
stand. Times are compared to the microsecond: two matching events can fall into one millisecond.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
from support.places import SHARED

from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedGap, Message, Quote
from kalshi_cli.exchange.stream.sequencing import recorded_frames
from kalshi_cli.feeds.recording_format import decode_line, read_lines

RECORDINGS = SHARED / "data" / "ws"
CAPTURES = (
    "kxbtc15m-20260511T0531Z.jsonl.gz",
    "kxbtc15m-20260513T1259Z.jsonl.gz",
    "kxbtc15m-20260513T1610Z.jsonl.gz",
    "kxbtc15m-20260513T1752Z-holed.jsonl.gz",
    "kxbtc15m-20260514T0438Z.jsonl.gz",
)
HOLED = CAPTURES[3]

needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason=f"no recordings beside the repository at {RECORDINGS.parent.parent.name}/data/ws"
)

Best = tuple[int | None, int, int | None, int]


class _Body(msgspec.Struct):
    ts: str | int | None = None
    time: str | None = None


class _Stamped(msgspec.Struct):
    msg: _Body | None = None


_stamps = msgspec.json.Decoder(_Stamped)


def exact_time(raw: bytes) -> str:
    """The exchange's time of a delta or ticker, as text that sorts: it drops trailing zeros of the microseconds."""
    body = _stamps.decode(raw).msg
    assert body is not None
    whole, _, part = str(body.time or body.ts).rstrip("Z").partition(".")
    return f"{whole}.{part:0<6}"


@dataclass
class Tale:
    """What one pass over the recordings found."""

    messages: Counter[str] = field(default_factory=Counter)
    gaps: list[str] = field(default_factory=list)
    compared: int = 0
    agreed: int = 0
    crossed_between: int = 0
    crossed_at_rest: int = 0
    lost: list[str] = field(default_factory=list)
    emptied: int = 0

    def __add__(self, other: Tale) -> Tale:
        return Tale(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


class History:
    """One book of one connection, and its best prices after every change."""

    def __init__(self, ticker: str) -> None:
        self.book = OrderBook(ticker)
        self.times: list[str] = []
        self.bests: list[Best] = []

    def best(self) -> Best:
        bid, ask = self.book.bid, self.book.ask
        return (bid.price if bid else None, bid.qty if bid else 0, ask.price if ask else None, ask.qty if ask else 0)

    def apply(self, delta: BookDelta, at: str, tale: Tale) -> None:
        if self.times and self.times[-1] != at and self.book.is_crossed:
            tale.crossed_at_rest += 1
        self.book.apply(delta.side, delta.price, delta.delta, delta.ts)
        tale.crossed_between += self.book.is_crossed
        if not self.book.is_usable:
            tale.lost.append(self.book.unusable_reason)
        self.times.append(at)
        self.bests.append(self.best())

    def compare(self, quote: Quote, at: str, tale: Tale) -> None:
        if not self.times or not self.times[0] <= at <= self.times[-1]:
            return
        best = self.bests[bisect_right(self.times, at) - 1]
        if best[0] is None or best[2] is None:
            return
        tale.compared += 1
        tale.agreed += best == (quote.bid, quote.bid_size, quote.ask, quote.ask_size)


Frame = tuple[int, int, bytes]


def frames(name: str) -> Iterator[Frame]:
    """Connection, time of receipt and bytes of every frame of a capture."""
    for _, raw in read_lines(RECORDINGS / name):
        line = decode_line(raw)
        if frame := bytes(line.frame):
            yield line.conn, line.recv_ts, frame


def follow(stream: Iterable[Frame], *, use_yes_price: bool = False) -> Tale:
    tale = Tale()
    readers = {}
    books: dict[tuple[int, str], History] = {}
    for conn, recv_ts, raw in stream:
        if conn not in readers:
            readers[conn] = recorded_frames(use_yes_price=use_yes_price)
        for message in readers[conn](raw, recv_ts):  # type: ignore[arg-type]
            tale.messages[type(message).__name__] += 1
            note_down(message, conn, raw, books, tale)
    return tale


def note_down(message: Message, conn: int, raw: bytes, books: dict[tuple[int, str], History], tale: Tale) -> None:
    if isinstance(message, FeedGap):
        tale.gaps.append(message.reason)
        for ticker in message.tickers:
            books[conn, ticker].book.invalidate(message.reason)
    elif isinstance(message, BookSnapshot):
        history = books.setdefault((conn, message.ticker), History(message.ticker))
        history.book.load(message.bids, message.asks, message.ts)
        tale.emptied += history.book.is_usable and not message.bids and not message.asks
    elif isinstance(message, BookDelta):
        books[conn, message.ticker].apply(message, exact_time(raw), tale)
    elif isinstance(message, Quote) and (conn, message.ticker) in books:
        books[conn, message.ticker].compare(message, exact_time(raw), tale)


@pytest.fixture(scope="session")
def tales() -> dict[str, Tale]:
    """One pass over each capture, for all tests."""
    return {name: follow(frames(name)) for name in CAPTURES}


@pytest.fixture(scope="session")
def whole(tales: dict[str, Tale]) -> Tale:
    return sum(tales.values(), Tale())


@needs_recordings
def test_rebuilt_books_agree_with_the_ticker_channel_in_every_comparable_message(whole: Tale) -> None:
    assert (whole.compared, whole.agreed) == (2514, 2514)


@needs_recordings
def test_every_line_of_the_recordings_is_understood(whole: Tale) -> None:
    assert whole.messages == {"BookSnapshot": 16, "BookDelta": 247_658, "Quote": 2_653, "FeedGap": 1}


@needs_recordings
def test_only_the_capture_with_a_hole_has_a_gap_and_it_has_one(tales: dict[str, Tale]) -> None:
    assert {name: len(tale.gaps) for name, tale in tales.items()} == {name: int(name == HOLED) for name in CAPTURES}
    assert "expected seq" in tales[HOLED].gaps[0]


@needs_recordings
def test_a_book_is_crossed_only_between_deltas_of_one_time(whole: Tale) -> None:
    assert whole.crossed_at_rest == 0
    assert whole.crossed_between == 99


@needs_recordings
def test_no_level_ever_falls_below_zero(whole: Tale) -> None:
    assert whole.lost == []


@needs_recordings
def test_the_snapshot_after_a_close_empties_the_book_and_is_no_gap(tales: dict[str, Tale]) -> None:
    assert {name: tale.emptied for name, tale in tales.items()} == dict(zip(CAPTURES, (0, 2, 1, 1, 1), strict=True))


# -- the same pass notices what it is there to notice -------------------------------------------------------------

SHORT = CAPTURES[0]


@needs_recordings
def test_one_delta_withheld_from_the_book_is_noticed_by_the_comparison() -> None:
    tale = follow(without_the_delta(frames(SHORT), 560, is_hidden=True))
    assert tale.gaps == []
    assert tale.agreed < tale.compared


@needs_recordings
def test_one_missing_delta_is_a_gap() -> None:
    assert len(follow(without_the_delta(frames(SHORT), 2_000)).gaps) == 1


@needs_recordings
def test_no_prices_taken_for_yes_prices_are_noticed() -> None:
    tale = follow(frames(SHORT), use_yes_price=True)
    assert tale.agreed == 0
    assert tale.crossed_at_rest > 0


def without_the_delta(stream: Iterable[Frame], number: int, *, is_hidden: bool = False) -> Iterator[Frame]:
    """The stream without its so-many-th delta; hidden means that the later numbers close the gap."""
    seen = dropped = 0
    for conn, recv_ts, raw in stream:
        seen += b'"orderbook_delta","sid"' in raw
        if seen == number and not dropped:
            dropped = 1
            continue
        yield conn, recv_ts, renumbered(raw) if dropped and is_hidden and b'"seq":' in raw else raw


def renumbered(raw: bytes) -> bytes:
    frame = msgspec.json.decode(raw)
    return msgspec.json.encode({**frame, "seq": frame["seq"] - 1})


# -- small verbatim captures ---------------------------------------------------------------------------------------


@needs_recordings
def test_the_ok_replies_between_snapshots_count_towards_the_sequence() -> None:
    name = "frames-mlb-wnba-20260807.jsonl"
    tale = follow(frames(name))
    assert (tale.messages["BookSnapshot"], tale.messages["BookDelta"], tale.gaps) == (12, 245, [])
    unacknowledged = (frame for frame in frames(name) if b'"type":"ok"' not in frame[2])
    assert follow(unacknowledged).gaps


@needs_recordings
def test_both_price_conventions_give_the_same_book() -> None:
    best = {}
    for name, use_yes_price in (("noleg", False), ("yes", True)):
        read = recorded_frames(use_yes_price=use_yes_price)
        lines = [raw for _, raw in read_lines(RECORDINGS / f"frames-demo-tennis-20260611-{name}.jsonl")]
        snapshot = next(each for raw in lines for each in read(raw, 0) if isinstance(each, BookSnapshot))  # type: ignore[arg-type]
        best[name] = (snapshot.bids[0][0], snapshot.asks[0][0])
    assert best == {"noleg": (4700, 5200), "yes": (4700, 5200)}
