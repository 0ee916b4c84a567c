"""Writes a recording, or a history of prices, into a lake as one session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kalshi_cli.base.units import Ts
from kalshi_cli.core.market.order_book import OrderBook, follow
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedGap, MarketChange, Message
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.recorded import RecordedConnection, WatchNote
from kalshi_cli.lake.coverage import HOLE_ENDS, CoverageTracker, Covered, CoveredTimes
from kalshi_cli.lake.lake import Lake, LakeSession
from kalshi_cli.lake.layout import series_of
from kalshi_cli.lake.placing import PlacedEvent
from kalshi_cli.lake.rows import EVERYWHERE, INPUT_TABLES, PlacedRow, input_columns, row_of
from kalshi_cli.lake.transaction import Transaction


class Ingested(NamedTuple):
    """The result of an import: rows and order book changes added, and events that the lake had already (`known`)."""

    session: LakeSession | None
    rows: int
    changes: int
    known: int
    covered: tuple[Covered, ...]
    unknown_books: tuple[str, ...]

    @property
    def holes(self) -> int:
        """Return the number of times at which messages of a market are missing."""
        return sum(one.ended in HOLE_ENDS for one in self.covered)


class SessionWriter:
    """Adds the events of one recording. Where the lake has a market already, its events are left out.

    After such a range, a market continues with a snapshot of its book.
    """

    def __init__(self, changes: Transaction, session: str, known: CoveredTimes, known_inputs: CoveredTimes) -> None:
        self._changes = changes
        self._session = session
        self._known = known
        self._known_inputs = known_inputs
        self._tracker = CoverageTracker()
        self._books: dict[str, OrderBook] = {}
        self._is_left_out: dict[str, bool] = {}
        self._everywhere: list[PlacedRow] = []
        self._notes: list[PlacedRow] = []
        self._series: dict[str, None] = {}
        self._inputs: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
        self._followed: set[str] = set()
        self._gaps: set[str] = set()
        self._number = 0
        self._first = self._last = self._recv_first = self._recv_last = -1
        self._last_of_book = 0
        """The time of the last change of a book: only its numbers tell that nothing is missing to then."""
        self._is_new = False
        self.changes = self.left_out = 0

    def add(self, event: PlacedEvent) -> None:
        """Add an event."""
        item = event.item
        if isinstance(item, RecordedConnection):
            self._tracker.end(self._last, "reconnected", event.placed_us)
        elif isinstance(item, FeedGap):
            self._gaps.update(item.tickers)
            follow(self._books, item)
            self._tracker.lost(item.tickers, self._last, "gap", self._last_of_book)
        elif isinstance(item, WatchNote) and item.close_time is not None:
            self._tracker.closes(item.ticker, item.close_time * 1000)
        elif isinstance(item, MarketChange):
            self._tracker.closes(item.market.ticker, item.market.close_time * 1000)
        elif isinstance(item, BookDelta):
            self._last_of_book = event.placed_us
        self._last = event.placed_us
        if self._first < 0:
            self._first = self._last
        if event.recv_ms >= 0:
            self._recv_first = event.recv_ms if self._recv_first < 0 else min(self._recv_first, event.recv_ms)
            self._recv_last = max(self._recv_last, event.recv_ms)
        ticker = getattr(item, "ticker", "")
        if ticker in self._known and isinstance(item, Message) and self._is_known(ticker, item, event):
            self.left_out += 1
            return
        if isinstance(item, BookSnapshot):
            self._followed.add(ticker)
            self._tracker.followed(ticker, event.placed_us)
        self._put(event)

    def _is_known(self, ticker: str, item: Message, event: PlacedEvent) -> bool:
        """Return whether the lake has this event; where it no longer has, add the book as it is then."""
        book = self._books.setdefault(ticker, OrderBook(ticker))
        was_left_out = self._is_left_out.get(ticker, False)
        is_known = self._known.has(ticker, event.placed_us)
        if is_known and not was_left_out:
            self._tracker.lost((ticker,), event.placed_us, "known")
        self._is_left_out[ticker] = is_known
        if was_left_out and not is_known and book.is_usable and not isinstance(item, BookSnapshot):
            self._resume(ticker, event.placed_us, event.recv_ms, event.seq)
        follow(self._books, item)
        return is_known

    def _resume(self, ticker: str, at: int, recv_ms: int, seq: int) -> None:
        """Add the book of a market whose events were left out: it covers the market from where the lake ends."""
        book = self._books[ticker]
        snapshot = BookSnapshot(Ts(at), ticker, tuple(book.levels(BID)), tuple(book.levels(ASK)))
        self._tracker.followed(ticker, self._known.end_before(ticker, at))
        self._followed.add(ticker)
        self._put(PlacedEvent(at, -1, recv_ms, seq, snapshot))

    def _put(self, event: PlacedEvent) -> None:
        row = row_of(event, self._session, self._number)
        self._number += 1
        if row.series == EVERYWHERE:
            self._everywhere.append(row)
            return
        if row.table in INPUT_TABLES:
            subject = row.values[1]
            if self._known_inputs.has(subject, row.placed_us):
                self.left_out += 1
                return
            spans = self._inputs.setdefault((row.table, row.series), {})
            spans[subject] = spans.get(subject, (row.placed_us, 0))[0], row.placed_us
        else:
            self._series[row.series] = None
        if row.table == "markets":
            self._notes.append(row)  # added at the end: notes alone are no session
            return
        self._is_new = True
        self.changes += row.table == "book_changes"
        self._changes.add(row.table, row.series, row.placed_us, row.values)

    def finish(self, lake: Lake, source: str, digest: str, ended: str = "end") -> Ingested:
        """Add what concerns the whole session. Without any new event of a market or input, there is no session.

        `ended` is the reason of its end.
        """
        for ticker, is_left_out in self._is_left_out.items():  # without any change since
            if is_left_out and self._books[ticker].is_usable and not self._known.has(ticker, self._last):
                self._resume(ticker, self._last, self._recv_last, 0)
        self._tracker.end(self._last, ended)
        unknown = tuple(sorted(self._gaps - self._followed))
        if not self._is_new:
            return Ingested(None, 0, 0, self.left_out, (), unknown)
        for series in self._series:
            for row in self._everywhere:
                self._changes.add(row.table, series, row.placed_us, row.values)
        for row in self._notes:
            self._changes.add(row.table, row.series, row.placed_us, row.values)
        for (_, series), spans in self._inputs.items():
            for subject, (first, last) in spans.items():
                self._changes.add("coverage", series, first, ("heard", subject, first, last, "end", self._session))
        for each in self._tracker.found:
            row_values = ("book", each.market, each.first, each.last, each.ended, self._session)
            self._changes.add("coverage", series_of(each.market), each.first, row_values)
        session = LakeSession(
            session=self._session, kind="recording", source=source, digest=digest, from_us=self._first,
            to_us=self._last, recv_from_ms=self._recv_first, recv_to_ms=self._recv_last, series=tuple(self._series),
            inputs=tuple(f"{table}/{series}" for table, series in self._inputs), rows=self._number,
        )  # fmt: skip
        lake.add_session(self._changes, session)
        found = tuple(self._tracker.found)
        return Ingested(session, self._number, self.changes, self.left_out, found, unknown)


def ingest_history(
    lake: Lake, changes: Transaction, rows: Iterable[Message], *, session: str, source: str, digest: str
) -> Ingested:
    """Add a history of external inputs as one session; rows at times that the lake has already are left out."""
    known: dict[tuple[str, str], CoveredTimes] = {}
    times: dict[tuple[str, str, str], tuple[int, int]] = {}
    number = left_out = 0
    for said in rows:
        at = said.ts * 1000
        table, series, columns = input_columns(said)
        subject = columns[0]
        if (table, series) not in known:
            known[table, series] = CoveredTimes(lake.coverage(table, [series]))
        if known[table, series].has(subject, at):
            left_out += 1
            continue
        first, last = times.get((table, series, subject), (at, at))
        times[table, series, subject] = min(first, at), max(last, at)
        changes.add(table, series, at, (at, *columns, session, number, -1))
        number += 1
    if not times:
        return Ingested(None, 0, 0, left_out, (), ())
    for (table, series, subject), (first, last) in times.items():
        changes.add("coverage", series, first, (table, subject, first, last, "end", session))
    found = LakeSession(
        session=session, kind="history", source=source, digest=digest,
        from_us=min(first for first, _ in times.values()), to_us=max(last for _, last in times.values()),
        recv_from_ms=-1, recv_to_ms=-1, series=(),
        inputs=tuple(dict.fromkeys(f"{table}/{series}" for table, series, _ in times)), rows=number,
    )  # fmt: skip
    lake.add_session(changes, found)
    covered = tuple(Covered(subject, *span, "end") for (_, _, subject), span in times.items())
    return Ingested(found, number, 0, left_out, covered, ())
