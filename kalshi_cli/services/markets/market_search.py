"""Markets, events and series by words: found in the catalogue and read live; without one, filtered from the list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from kalshi_cli.base.errors import StateFileError, UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Event, Market, MarketStatus, Series
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.endpoints.base import NAMES_A_CALL
from kalshi_cli.services.markets.catalog import MAX_ENTRIES, CatalogMatches, cached_market, delete, search
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
"""Markets that a search takes from the catalogue before prices and filters are looked at."""

TRADING = ("unopened", "open", "paused")
"""What a catalogue holds whole. Of what closed and settled it keeps only the latest."""


T = TypeVar("T")
S = TypeVar("S")


class MarketSelection(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What was asked for, one more than the limit where there are more.

    `as_of` is the age of the catalogue it was found in, None where the exchange's list was read; `has_all` is False
    where nothing has every word that was searched for. `seen`, where the exchange was not asked, is how old each
    one is, by its ticker.
    """

    items: Iterator[T]
    as_of: Ts | None = None
    has_all: bool = True
    seen: Mapping[str, Ts] = {}

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def shown_as(self, view: Callable[[T], S]) -> MarketSelection[S]:
        """Return the same, each as what `view` makes of it."""
        return MarketSelection(items=map(view, self.items), as_of=self.as_of, has_all=self.has_all, seen=self.seen)


def select_markets(
    query: MarketQuery,
    now: Ts,
    catalogue: Catalogue | None,
    client: Callable[[], KalshiClient],
    *,
    is_offline: bool = False,
    show: Callable[[Iterator[Market]], Iterable[Market]] = lambda found: found,
) -> MarketSelection[Market]:
    """With `is_offline` the exchange is not asked, and each market is as old as the catalogue's entry.

    UsageError where that is wanted and there is no catalogue. `show` sees the markets that the exchange lists go by.
    """
    is_catalogued = query.status in TRADING and not query.combos
    if not is_offline and not (query.search and is_catalogued):
        return MarketSelection(items=select(client(), query, now, show))
    narrow = CatalogFilter(parent=query.event, series=query.series, open_at=now if query.status in TRADING else None)
    most = MAX_ENTRIES if is_offline else MAX_CANDIDATES
    found = search(catalogue, Kind.MARKET, query.search, narrow=narrow, most=most)
    if is_offline:
        listed: Iterable[Market] = _cached(catalogue, found)
    elif found is None:
        return MarketSelection(items=select(client(), query, now, show))
    else:
        listed = _live(client(), found.tickers)
    assert found is not None
    wanted = (market for market in listed if _has_status(market, query.status, now))
    bare = msgspec.structs.replace(query, search="")  # found already, and by more than the exact words
    seen = {entry.ticker: entry.seen for entry in found.entries} if is_offline else {}
    return MarketSelection(items=filter_markets(wanted, bare, now), as_of=found.as_of, has_all=found.has_all, seen=seen)


def _cached(catalogue: Catalogue | None, found: CatalogMatches | None) -> list[Market]:
    try:
        if found is not None:
            return [cached_market(entry) for entry in found.entries]
    except StateFileError:
        if catalogue is not None:
            delete(catalogue)
    hint = "make one: kalshi catalogue refresh"
    raise UsageError("there is no catalogue to look into", hint=hint, code="no_catalogue")


def choose_events(
    query: EventQuery, now: Ts, catalogue: Catalogue | None, client: KalshiClient
) -> MarketSelection[Event]:
    """Events with these words, those of the catalogue in the order of their rank, each read live."""
    found = None
    if query.search and query.status in TRADING:
        found = search(
            catalogue, Kind.EVENT, query.search, narrow=CatalogFilter(parent=query.series), most=MAX_CANDIDATES
        )
    if found is None:
        return MarketSelection(items=select_events(client, query, now))
    listed = _live_events(client, query, found.tickers)
    bare = msgspec.structs.replace(query, search="")
    return MarketSelection(items=filter_events(listed, bare, now), as_of=found.as_of, has_all=found.has_all)


def _live_events(client: KalshiClient, query: EventQuery, tickers: Sequence[str]) -> Iterator[Event]:
    for start in range(0, len(tickers), NAMES_A_CALL):
        some = tickers[start : start + NAMES_A_CALL]
        is_timed = query.closing_within_s is not None
        listed = client.events(status=query.status or None, tickers=some, with_markets=is_timed)
        now = {event.event_ticker: event for event in listed}
        yield from (now[ticker] for ticker in some if ticker in now)


def choose_series(
    category: str, tag: str, words: str, catalogue: Catalogue | None, client: KalshiClient, *, with_volume: bool
) -> MarketSelection[Series]:
    """Series with these words: which, says the catalogue; what they are, the one list that the exchange has."""
    found = search(catalogue, Kind.SERIES, words, most=MAX_CANDIDATES) if words else None
    if found is None:
        return MarketSelection(items=iter(select_series(client, category, tag, words, with_volume=with_volume)))
    listed = {one.ticker: one for one in select_series(client, category, tag, "", with_volume=with_volume)}
    items = (listed[ticker] for ticker in found.tickers if ticker in listed)
    return MarketSelection(items=items, as_of=found.as_of, has_all=found.has_all)


def _live(client: KalshiClient, tickers: Sequence[str]) -> Iterator[Market]:
    """These markets as they are now, in this order, read only as far as somebody looks."""
    for start in range(0, len(tickers), NAMES_A_CALL):
        some = tickers[start : start + NAMES_A_CALL]
        now = {market.ticker: market for market in client.markets(tickers=some)}
        yield from (now[ticker] for ticker in some if ticker in now)


_SHOWN_AS = {
    MarketStatus.INITIALIZED: "unopened",
    MarketStatus.ACTIVE: "open",
    MarketStatus.INACTIVE: "paused",
    MarketStatus.FINALIZED: "settled",
}


def _has_status(market: Market, status: str, now: Ts) -> bool:
    """As the exchange filters: closed is what is past its time and not settled."""
    if not status:
        return True
    is_past = market.close_time <= now and market.status is not MarketStatus.FINALIZED
    return status == ("closed" if is_past else _SHOWN_AS.get(market.status, "closed"))
