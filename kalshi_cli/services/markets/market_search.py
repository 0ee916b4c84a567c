"""Search for markets, events and series: in the local catalog if there is one, otherwise in the exchange's list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Generic, TypeVar, overload

import msgspec

from kalshi_cli.base.errors import StateFileError, UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Event, ListedMarket, Market, MarketStatus, Series
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.endpoints.base import NAMES_A_CALL
from kalshi_cli.services.markets.catalog import MAX_ENTRIES, CatalogMatches, cached_market, delete, search
from kalshi_cli.services.markets.known_names import known_or_empty
from kalshi_cli.services.markets.market_query import (
    EventQuery,
    MarketQuery,
    filter_events,
    filter_markets,
    select,
    select_events,
    select_series,
)
from kalshi_cli.store.catalog.entries import CatalogFilter, Kind
from kalshi_cli.store.catalog.sqlite_catalog import Catalogue

MAX_CANDIDATES = 2_000
"""Entries that a search takes from the catalog at first; it takes all others only if more are needed."""

TRADING = ("unopened", "open", "paused")
"""The statuses of which a catalog holds every market. Of closed and settled markets it keeps only the latest."""


T = TypeVar("T")
S = TypeVar("S")


_KEEP = "keep it: rows = list(...)"


class MarketSelection(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The matching items, at most `limit`. They are read when they are first used.

    With a limit it is a sequence. Without one, the items are read as they are iterated over, once; UsageError the
    second time, and TypeError for its length or one of its items.

    `items` has one more than the limit if there are more.
    `as_of` is the time of the catalog, None if the exchange's list was read. `has_all` is False if no item has every
    word of the search. `seen` has the time of each item by its ticker, if the exchange was not asked.
    """

    items: Iterator[T]
    as_of: Ts | None = None
    has_all: bool = True
    seen: Mapping[str, Ts] = {}
    limit: int | None = None
    _begun: list[bool] = []
    _kept: list[list[T]] = []

    def __iter__(self) -> Iterator[T]:
        return self._begin() if self.limit is None else iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._rows()[index]

    def __repr__(self) -> str:
        if self.limit is None:
            return f"<{type(self).__name__}: all, read by one loop; list(...) keeps them>"
        return f"<{type(self).__name__}: at most {self.limit}, read when they are used>"

    def _begin(self) -> Iterator[T]:
        if self._begun:
            raise UsageError("This list was already read", hint=_KEEP)
        self._begun.append(True)
        return islice(self.items, self.limit)

    def _rows(self) -> list[T]:
        """Return the items of a limited list; they are read once."""
        if self.limit is None:
            raise TypeError(f"A list without a limit is read by one loop; {_KEEP}")
        if not self._kept:
            self._kept.append(list(self._begin()))
        return self._kept[0]

    def shown_as(self, view: Callable[[T], S]) -> MarketSelection[S]:
        """Return the same selection with `view` applied to each item."""
        return MarketSelection(
            items=map(view, self.items), as_of=self.as_of, has_all=self.has_all, seen=self.seen, limit=self.limit
        )

    def or_not_found(self, client: KalshiClient, *, series: str, event: str = "") -> MarketSelection[T]:
        """Return the same selection; empty, it raises NotFoundError if the exchange does not know one of these names.

        It raises as the first item is read. Where the exchange cannot say, the selection is empty.
        """
        items = known_or_empty(client, self.items, series=series, event=event)
        return msgspec.structs.replace(self, items=items)


class CatalogSearch(msgspec.Struct, frozen=True):
    """A search in the catalog, which reads as many matches as are needed."""

    catalogue: Catalogue | None
    kind: Kind
    text: str
    narrow: CatalogFilter

    def find(self, most: int) -> CatalogMatches | None:
        """Return the best matches; None without a complete catalog."""
        return search(self.catalogue, self.kind, self.text, narrow=self.narrow, most=most)

    def tickers(self, best: CatalogMatches) -> Iterator[str]:
        """Yield the tickers of the best matches, and then those of all others if there are any."""
        yield from best.tickers
        if len(best.entries) == MAX_CANDIDATES and (every := self.find(MAX_ENTRIES)) is not None:
            known = set(best.tickers)
            yield from (ticker for ticker in every.tickers if ticker not in known)


def select_markets(
    query: MarketQuery,
    now: Ts,
    catalogue: Catalogue | None,
    client: Callable[[], KalshiClient],
    *,
    is_offline: bool = False,
    show: Callable[[Iterator[ListedMarket]], Iterable[ListedMarket]] = lambda found: found,
) -> MarketSelection[ListedMarket]:
    """Return the matching markets, by words from the catalog if there is one, with prices read live.

    With `is_offline` the exchange is not asked and each market is as old as its catalog entry; UsageError without a
    catalog. `show` sees every market of the exchange's list.
    """
    is_catalogued = query.status in TRADING and not query.combos
    if not is_offline and not (query.search and is_catalogued):
        return MarketSelection(items=select(client(), query, now, show))
    narrow = CatalogFilter(parent=query.event, series=query.series, open_at=now if query.status in TRADING else None)
    wanted = CatalogSearch(catalogue, Kind.MARKET, query.search, narrow)
    found = wanted.find(MAX_ENTRIES if is_offline else MAX_CANDIDATES)
    if is_offline:
        listed: Iterable[ListedMarket] = _cached(catalogue, found)
    elif found is None:
        return MarketSelection(items=select(client(), query, now, show))
    else:
        listed = _live(client(), wanted.tickers(found))
    assert found is not None
    kept = (market for market in listed if _has_status(market, query.status, now))
    bare = msgspec.structs.replace(query, search="")  # already matched, by more than the exact words
    seen = {entry.ticker: entry.seen for entry in found.entries} if is_offline else {}
    return MarketSelection(items=filter_markets(kept, bare, now), as_of=found.as_of, has_all=found.has_all, seen=seen)


def _cached(catalogue: Catalogue | None, found: CatalogMatches | None) -> list[Market]:
    try:
        if found is not None:
            return [cached_market(entry) for entry in found.entries]
    except StateFileError:
        if catalogue is not None:
            delete(catalogue)
    raise UsageError("No local catalog", hint="create it with `kalshi catalog refresh`", code="no_catalogue")


def choose_events(
    query: EventQuery, now: Ts, catalogue: Catalogue | None, client: KalshiClient
) -> MarketSelection[Event]:
    """Return the matching events; those found in the catalog come best match first, each read live."""
    wanted = CatalogSearch(catalogue, Kind.EVENT, query.search, CatalogFilter(parent=query.series))
    found = wanted.find(MAX_CANDIDATES) if query.search and query.status in TRADING else None
    if found is None:
        return MarketSelection(items=select_events(client, query, now))
    listed = _live_events(client, query, wanted.tickers(found))
    bare = msgspec.structs.replace(query, search="")
    return MarketSelection(items=filter_events(listed, bare, now), as_of=found.as_of, has_all=found.has_all)


def _live_events(client: KalshiClient, query: EventQuery, tickers: Iterable[str]) -> Iterator[Event]:
    for some in _batches(tickers):
        is_timed = query.closing_within_s is not None
        listed = client.events(status=query.status or None, tickers=some, with_markets=is_timed)
        now = {event.event_ticker: event for event in listed}
        yield from (now[ticker] for ticker in some if ticker in now)


def choose_series(
    category: str, tag: str, words: str, catalogue: Catalogue | None, client: KalshiClient, *, with_volume: bool
) -> MarketSelection[Series]:
    """Return the series of exactly this category and tag that match the words, read from the exchange's list."""
    found = search(catalogue, Kind.SERIES, words, most=MAX_ENTRIES) if words else None
    if found is None:
        return MarketSelection(items=iter(select_series(client, category, tag, words, with_volume=with_volume)))
    listed = {one.ticker: one for one in select_series(client, category, tag, "", with_volume=with_volume)}
    items = (listed[ticker] for ticker in found.tickers if ticker in listed)
    return MarketSelection(items=items, as_of=found.as_of, has_all=found.has_all)


def _batches(tickers: Iterable[str]) -> Iterator[list[str]]:
    """Yield the tickers in lists as long as one request may name."""
    coming = iter(tickers)
    while some := list(islice(coming, NAMES_A_CALL)):
        yield some


def _live(client: KalshiClient, tickers: Iterable[str]) -> Iterator[ListedMarket]:
    """Yield these markets with current prices, in this order, read only as far as needed."""
    for some in _batches(tickers):
        now = {market.ticker: market for market in client.listed_markets(tickers=some)}
        yield from (now[ticker] for ticker in some if ticker in now)


_SHOWN_AS = {
    MarketStatus.INITIALIZED: "unopened",
    MarketStatus.ACTIVE: "open",
    MarketStatus.INACTIVE: "paused",
    MarketStatus.FINALIZED: "settled",
}


def _has_status(market: ListedMarket, status: str, now: Ts) -> bool:
    """Return whether a market has a status as the exchange filters: closed is past its time and not settled."""
    if not status:
        return True
    is_past = market.close_time <= now and market.status is not MarketStatus.FINALIZED
    return status == ("closed" if is_past else _SHOWN_AS.get(market.status, "closed"))
