"""Reads a lake back: the events of its recordings, in their order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.market.order_book import OrderBook, follow
from kalshi_cli.core.model import recorded
from kalshi_cli.core.model.messages import BookSnapshot, FeedGap, MarketChange, Message
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.recorded import LaneEvent, RecordedConnection, RecordedInput, RecordedItem, WatchNote
from kalshi_cli.lake import changes
from kalshi_cli.lake.changes import NewRows, ReadChanges, ReadItem
from kalshi_cli.lake.coverage import continued
from kalshi_cli.lake.lake import Lake, LakeSession
from kalshi_cli.lake.layout import MAX_US, series_of
from kalshi_cli.lake.rows import INPUT_TABLES, SESSION_TABLES, ReadEvent, events_of


class Selection(NamedTuple):
    """Recordings to read: of these series or markets (all, if there are none), from `since` to before `until`."""

    series: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    since: Ts | None = None
    until: Ts | None = None
    sessions: tuple[str, ...] = ()
    """Only these recordings; all, if there are none."""

    @property
    def first_us(self) -> int:
        """Return the first time, in microseconds."""
        return 0 if self.since is None else self.since * 1000

    @property
    def last_us(self) -> int:
        """Return the last time, in microseconds."""
        return MAX_US if self.until is None else self.until * 1000 - 1

    def span_ms(self, session: LakeSession) -> tuple[int, int]:
        """Return the first time of a recording that is selected, and the selected length of it, in milliseconds."""
        begun = max(session.from_us, self.first_us) // 1000
        return begun, max(0, min(session.to_us, self.last_us) // 1000 - begun)

    def has(self, series: str) -> bool:
        """Return whether markets of this series are selected."""
        chosen = {*self.series, *map(series_of, self.markets)}
        return not chosen or series in chosen

    def has_market(self, ticker: str) -> bool:
        """Return whether this market is selected."""
        return ticker in self.markets if self.markets else self.has(series_of(ticker))


def recordings(lake: Lake, chosen: Selection) -> list[LakeSession]:
    """Return the recordings with such markets and times, by time."""
    return [
        each
        for each in lake.sessions()
        if each.kind == "recording"
        and (not chosen.sessions or each.session in chosen.sessions)
        and each.from_us <= chosen.last_us
        and each.to_us >= chosen.first_us
        and any(map(chosen.has, each.series))
    ]


def streams(
    lake: Lake,
    chosen: Selection,
    new_rows: NewRows | None = None,
    on_read: Callable[[int], None] = lambda _passed_ms: None,
    is_wanted: Callable[[str], bool] = lambda _ticker: True,
) -> list[Iterator[Iterator[LaneEvent]]]:
    """Return the events of the selected recordings, in lanes: those of a lane do not overlap, and follow each other.

    A recording that began before `since` starts with its books as they were then. With `new_rows`, and if there is one
    lane, changes of books are rows, only of markets that are wanted; other events are those of all markets. `on_read`
    gets the milliseconds of recorded time that passed since its last call: in the end, the selected lengths of all
    recordings.
    """
    lanes: list[list[LakeSession]] = []
    found = sorted(recordings(lake, chosen), key=attrgetter("recv_from_ms", "recv_to_ms", "session"))
    for each in found:
        lane = next((one for one in lanes if 0 <= one[-1].recv_to_ms < each.recv_from_ms), None)
        if lane is None:
            lanes.append(lane := [])
        lane.append(each)
    if new_rows is not None and len(lanes) == 1:
        tickers = changes.TickerNumbers(lambda ticker: chosen.has_market(ticker) and is_wanted(ticker))
        read: Callable[[LakeSession], Iterator[LaneEvent]] = partial(
            session_rows, lake, chosen=chosen, tickers=tickers, new_rows=new_rows
        )
    else:
        read = partial(session_events, lake, chosen=chosen)
    goes_on = _continued(lake, found, chosen) if len(lanes) > 1 else {}
    return [_in_turn(lane, read, chosen, goes_on, on_read) for lane in lanes]


def _continued(lake: Lake, found: Iterable[LakeSession], chosen: Selection) -> dict[int, set[str]]:
    """Return the markets whose coverage ends at a time while another recording continues it, by that time."""
    ranges = lake.coverage("book", {one for each in found for one in each.series if chosen.has(one)})
    ends: dict[int, set[str]] = {}
    for one in continued(ranges, ranges):
        ends.setdefault(one.last, set()).add(one.market)
    return ends


def _in_turn(
    lane: Iterable[LakeSession],
    read: Callable[[LakeSession], Iterator[LaneEvent]],
    chosen: Selection,
    goes_on: Mapping[int, Set[str]],
    on_read: Callable[[int], None],
) -> Iterator[Iterator[LaneEvent]]:
    for session in lane:
        end = Ts(session.recv_to_ms), recorded.ContinuationNote(frozenset(goes_on.get(session.to_us, ()))), b""
        yield chain(_watched(read(session), *chosen.span_ms(session), on_read), (end,))


def _watched(
    events: Iterator[LaneEvent], begun: int, span_ms: int, on_read: Callable[[int], None]
) -> Iterator[LaneEvent]:
    """Pass on the events of a recording, and how much of its time has passed, in about 500 steps."""
    done, step = 0, max(1000, span_ms // 500)
    for event in events:
        passed = event[0] - begun
        if passed - done >= step and passed < span_ms:
            on_read(passed - done)
            done = passed
        yield event
    on_read(span_ms - done)


def session_events(lake: Lake, session: LakeSession, chosen: Selection) -> Iterator[recorded.RecordedEvent]:
    """Yield the events of a recording, as its file had them."""
    tables = ("book_changes", *SESSION_TABLES)
    events: Iterator[ReadItem] = heapq.merge(*_sources(lake, session, chosen, tables), key=attrgetter("number"))
    return _selected(events, session, chosen)  # type: ignore[return-value]


def session_rows(
    lake: Lake, session: LakeSession, chosen: Selection, tickers: changes.TickerNumbers, new_rows: NewRows
) -> Iterator[LaneEvent]:
    """Yield the events of a recording, but the changes of its books as rows, with the time the last was received."""
    own = changes.in_order(
        (changes.columns_of(part, tickers) for part in lake.parts("book_changes", series, session, changes.COLUMNS))
        for series in filter(chosen.has, session.series)
    )
    others = heapq.merge(*_sources(lake, session, chosen, SESSION_TABLES), key=attrgetter("number"))
    return _selected(changes.interleaved(own, others, tickers.tickers, new_rows), session, chosen)


def _selected(events: Iterator[ReadItem], session: LakeSession, chosen: Selection) -> Iterator[LaneEvent]:
    """Yield the events of the selected times and markets, each once."""
    if session.from_us < chosen.first_us:
        events = _from_books(events, chosen.first_us)
    before = -1
    for event in events:
        if isinstance(event, ReadChanges):
            stop = event.count_before(chosen.last_us + 1)
            if stop:
                yield event.rows.received(stop - 1), event.rows.cut(0, stop), b""
            if stop < len(event.numbers):
                return
            continue
        number, ts_us, recv_ts, item = event
        if ts_us > chosen.last_us and type(item) is not RecordedInput:
            return
        if number == before:
            continue  # It belongs to every series, and this is the same one from another.
        before = number
        if isinstance(item, FeedGap):
            tickers = tuple(filter(chosen.has_market, item.tickers))
            if tickers:
                yield recv_ts, msgspec.structs.replace(item, tickers=tickers), b""
            continue
        yield recv_ts, item, b""


def _sources(
    lake: Lake, session: LakeSession, chosen: Selection, tables: Iterable[str]
) -> Iterator[Iterator[ReadEvent]]:
    series = list(filter(chosen.has, session.series))
    is_wanted = _filter_of(chosen.markets)
    for table in tables:
        own = [each.partition("/")[2] for each in session.inputs if each.startswith(f"{table}/")]
        for one in own if table in INPUT_TABLES else series:
            yield _events(lake, table, one, session, is_wanted)


def _events(
    lake: Lake, table: str, series: str, session: LakeSession, is_wanted: Callable[[RecordedItem], bool]
) -> Iterator[ReadEvent]:
    parts = lake.parts(table, series, session)
    events = (event for part in parts for event in events_of(table, part) if is_wanted(event.item))
    if table == "lifecycle":  # Rows of the whole recording, such as its connections, come after the news of a series.
        events = iter(sorted(events, key=attrgetter("number")))  # type: ignore[assignment]
    yield from events


def _filter_of(markets: Collection[str]) -> Callable[[RecordedItem], bool]:
    """Return whether an item concerns one of these markets, or no market; every item without markets."""
    if not markets:
        return lambda _item: True
    chosen = {None, *markets}

    def is_wanted(item: RecordedItem) -> bool:
        if isinstance(item, MarketChange):
            return item.market.ticker in chosen
        return getattr(item, "ticker", None) in chosen

    return is_wanted


def starting_books(lake: Lake, session: LakeSession, chosen: Selection) -> dict[str, OrderBook]:
    """Return the usable order books of a recording at `since`; none if it began later."""
    if session.from_us >= chosen.first_us:
        return {}
    own = chosen._replace(until=chosen.since)
    books: dict[str, OrderBook] = {}
    for _, item, _ in session_events(lake, session, own._replace(since=None)):
        _apply(books, item)
    return {ticker: book for ticker, book in books.items() if book.is_usable}


def _apply(books: dict[str, OrderBook], item: RecordedItem) -> None:
    if isinstance(item, Message):
        follow(books, item)
    if isinstance(item, RecordedConnection):
        for book in books.values():
            book.invalidate("reconnected")


def _from_books(events: Iterable[ReadItem], since_us: int) -> Iterator[ReadItem]:
    """Yield the events from a time on, after what came before in short: connection, markets and books."""
    books: dict[str, OrderBook] = {}
    kept: list[ReadEvent] = []
    coming = iter(events)
    for event in coming:
        if isinstance(event, ReadChanges):
            early = event.count_before(since_us)
            for delta in event.rows.cut(0, early):
                _apply(books, delta)
            if early == len(event.numbers):
                continue
            yield from _in_short(kept, books, since_us)
            yield event.cut(early, len(event.numbers))
            break
        item = event.item
        is_own_time = type(item) is not RecordedInput
        if is_own_time and event.ts_us >= since_us:
            yield from _in_short(kept, books, since_us)
            yield event
            break
        if isinstance(item, RecordedConnection | MarketChange | WatchNote):
            kept.append(event)
        _apply(books, item)
    yield from coming


def _in_short(kept: Iterable[ReadEvent], books: dict[str, OrderBook], since_us: int) -> Iterator[ReadEvent]:
    since = Ts(since_us // 1000)
    for number, event in enumerate(kept):
        item = event.item
        if isinstance(item, Message):
            item = msgspec.structs.replace(item, ts=since)
        yield ReadEvent(number - 2**62, since_us, since, item)
    for number, (ticker, book) in enumerate(sorted(books.items())):
        if book.is_usable:
            snapshot = BookSnapshot(since, ticker, tuple(book.levels(BID)), tuple(book.levels(ASK)))
            yield ReadEvent(number - 2**61, since_us, since, snapshot)


def histories(lake: Lake, chosen: Selection, first_us: int, last_us: int) -> list[Iterator[Message]]:
    """Return the histories of external inputs that overlap these times, whole unless `since` or `until` cut them."""
    found = []
    for session in lake.sessions():
        if session.kind == "history" and session.from_us <= last_us and session.to_us >= first_us:
            tables = [each.partition("/")[::2] for each in session.inputs]
            parts = [_events(lake, table, series, session, lambda _item: True) for table, series in tables]
            found.append(_history(heapq.merge(*parts, key=attrgetter("number")), chosen))
    return found


def _history(events: Iterable[ReadEvent], chosen: Selection) -> Iterator[Message]:
    for event in events:
        if chosen.first_us <= event.ts_us <= chosen.last_us:
            item = event.item
            assert isinstance(item, Message)
            yield item.said if isinstance(item, RecordedInput) else item
