"""Order books rebuilt from a lake, compared with the best prices and sizes that the ticker channel showed."""

from __future__ import annotations

import heapq
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedGap, Quote
from kalshi_cli.core.model.recorded import RecordedConnection
from kalshi_cli.lake.lake import Lake, LakeSession, open_lake
from kalshi_cli.lake.reader import Selection, recordings
from kalshi_cli.lake.rows import ReadEvent, events_of
from kalshi_cli.services.research.lake_import import import_file


class Agreement(NamedTuple):
    """Ticker messages of a recording: all, the comparable ones, and the equal ones among those."""

    source: str
    tickers: int
    comparable: int
    equal: int


def compare_tape(path: str) -> Agreement:
    """Import a recording into a new lake, and compare its books with its tickers."""
    with tempfile.TemporaryDirectory() as home:
        lake = open_lake(Path(home) / "lake", is_new=True)
        import_file(lake, Path(path), SystemClock())
        (session,) = recordings(lake, Selection())
        return compare_books(lake, session)


def compare_books(lake: Lake, session: LakeSession) -> Agreement:
    """Compare every ticker message with the book at its exchange time.

    A message is comparable if the market has a change up to its time and one after it, with neither a snapshot nor a
    gap between them, and if both sides of both have prices. A snapshot has no exchange time of its own. A message of
    the very microsecond of a matching event may show the book before, within or after it.
    """
    quotes = _tickers(lake, session)
    total = sum(map(len, quotes.values()))
    books: dict[str, OrderBook] = {}
    since: dict[str, int] = {}
    event_us: dict[str, int] = {}
    within: dict[str, list[tuple[object, ...]]] = {}
    found = equal = 0
    for event in _events(lake, session, ("book_changes", "book_snapshots", "lifecycle")):
        item = event.item
        if isinstance(item, BookDelta):
            book, at = books.get(item.ticker), since.get(item.ticker)
            for quote in _before(quotes[item.ticker], event.ts_us):
                if book is None or at is None or quote.ts_us < at or None in (*book.top, *_top(quote)):
                    continue
                found += 1
                equal += _top(quote) in _shown(book, within[item.ticker], quote.ts_us == event_us[item.ticker])
            if book is not None and book.is_usable:
                if event_us.get(item.ticker) != event.ts_us:
                    event_us[item.ticker], within[item.ticker] = event.ts_us, [book.top]
                book.apply(item.side, item.price, item.delta, item.ts)
                within[item.ticker].append(book.top)
                since.setdefault(item.ticker, event.ts_us)
        elif isinstance(item, BookSnapshot):
            books.setdefault(item.ticker, OrderBook(item.ticker)).load(item.bids, item.asks, item.ts)
            since.pop(item.ticker, None)
        elif isinstance(item, FeedGap | RecordedConnection):
            for ticker in item.tickers if isinstance(item, FeedGap) else list(books):
                books.pop(ticker, None)
                since.pop(ticker, None)
    return Agreement(session.source, total, found, equal)


def _tickers(lake: Lake, session: LakeSession) -> dict[str, list[ReadEvent]]:
    """Return the ticker messages of each market, the latest first."""
    quotes: dict[str, list[ReadEvent]] = defaultdict(list)
    for event in _events(lake, session, ("tickers",)):
        if isinstance(event.item, Quote):
            quotes[event.item.ticker].append(event)
    for each in quotes.values():
        each.sort(key=attrgetter("ts_us"), reverse=True)
    return quotes


def _shown(book: OrderBook, within: list[tuple[object, ...]], is_at_once: bool) -> Iterable[tuple[object, ...]]:
    return within if is_at_once else [book.top]


def _before(quotes: list[ReadEvent], ts_us: int) -> Iterator[ReadEvent]:
    """Take the messages before a time, the earliest first."""
    while quotes and quotes[-1].ts_us < ts_us:
        yield quotes.pop()


def _top(event: ReadEvent) -> tuple[object, ...]:
    quote = event.item
    assert isinstance(quote, Quote)
    return quote.bid, quote.bid_size, quote.ask, quote.ask_size


def _events(lake: Lake, session: LakeSession, tables: Iterable[str]) -> Iterator[ReadEvent]:
    """Yield the events of these tables in the order of the recording."""
    sources = [_table(lake, session, table, series) for table in tables for series in session.series]
    return heapq.merge(*sources, key=attrgetter("number"))


def _table(lake: Lake, session: LakeSession, table: str, series: str) -> Iterator[ReadEvent]:
    for part in lake.tables(table, [series], session=session.session):
        yield from events_of(table, part)
