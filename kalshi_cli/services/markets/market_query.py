"""Filters and sort orders of markets, events and series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from typing import Literal

import msgspec

from kalshi_cli.base.errors import NotFoundError
from kalshi_cli.base.units import Qty, Ts
from kalshi_cli.core.model.markets import Event, ListedMarket, Market, Series
from kalshi_cli.exchange.client import KalshiClient

MAX_MARKETS = 50
"""The number of markets that a loop follows by default."""

SOON_MS = 60_000
"""A loop does not start on a market that closes within this time."""

Sort = Literal["volume", "spread", "close", "ticker"]


class MarketQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of markets. Without `sort` they come in the exchange's order, read only as far as needed."""

    status: str = "open"
    series: str = ""
    event: str = ""
    search: str = ""
    min_volume: Qty = Qty(0)
    closing_within_s: float | None = None
    sort: Sort | None = None
    limit: int | None = 50
    combos: bool = False


def select(
    client: KalshiClient,
    query: MarketQuery,
    now: Ts,
    show: Callable[[Iterator[ListedMarket]], Iterable[ListedMarket]] = lambda found: found,
) -> Iterator[ListedMarket]:
    """Return the matching markets, one more than the limit if there are more, so that the caller can say so.

    `show` sees every market that is read, also those that do not match. A whole list is read one page ahead; a short
    one that nothing filters is a small page.
    """
    is_whole = query.limit is None or query.sort is not None
    is_filtered = bool(query.search or query.min_volume) or query.closing_within_s is not None
    # The exchange filters by close time only without a status (API.md section 4), so an open list is filtered here.
    found = client.listed_markets(
        status=query.status or None,
        series=query.series or None,
        event=query.event or None,
        combos=query.combos,
        limit=None if query.limit is None or is_whole or is_filtered else query.limit + 1,
        is_ahead=is_whole,
    )
    return filter_markets(show(found), query, now)


def filter_markets(found: Iterable[ListedMarket], query: MarketQuery, now: Ts) -> Iterator[ListedMarket]:
    """Return the matching markets in the wanted order, one more than the limit if there are more.

    Memory is limited to that number; only a sort without a limit needs the whole list.
    """
    until = None if query.closing_within_s is None else Ts(now + int(query.closing_within_s * 1000))
    kept = (market for market in found if _fits(market, query, until))
    if query.limit is None:
        return iter(sorted(kept, key=_ORDERS[query.sort])) if query.sort else kept
    if query.sort:
        return iter(nsmallest(query.limit + 1, kept, key=_ORDERS[query.sort]))
    return islice(kept, query.limit + 1)


def run_markets(
    client: KalshiClient,
    now: Ts,
    tickers: Sequence[str],
    series: str,
    tell: Callable[[str], None] = lambda _text: None,
) -> list[Market]:
    """Return the markets of a loop: the named ones, the most active open ones of series (joined by commas), or of all.

    NotFoundError if the ticker of a market is unknown, or if no market is open. `tell` gets a line about each series
    that has no open market while another one has.
    """
    if tickers:
        markets = list(client.markets(tickers=tickers))
        missing = sorted(set(tickers) - {market.ticker for market in markets})
        if missing:
            raise NotFoundError(f"No market {', '.join(missing)}", hint="kalshi markets --search TEXT")
        return markets
    names = list(dict.fromkeys(name.strip() for name in series.split(",") if name.strip()))
    of_series = {
        name: [m for m in client.markets(status="open", series=name or None) if m.close_time > now + SOON_MS]
        for name in names or [""]
    }
    markets = [market for found in of_series.values() for market in found]
    if not markets:
        what = f" of {', '.join(names)}" if names else ""
        raise NotFoundError(f"No market{what} is open for trading", hint="kalshi markets --status open")
    for name in (name for name, found in of_series.items() if not found):
        tell(_without_market(client, name))
    return sorted(markets, key=_ORDERS["volume"])[:MAX_MARKETS]


def _without_market(client: KalshiClient, series: str) -> str:
    """Return a line about a series without an open market: whether it is misspelled, or has none at this time."""
    try:
        client.series(series)
    except NotFoundError:
        return f"Warning: no series {series}; check the spelling (`kalshi series`)"
    return f"Warning: {series} has no open market now; markets that open later are added"


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of events; "" matches any."""

    status: str = "open"
    series: str = ""
    search: str = ""
    closing_within_s: float | None = None


def select_events(client: KalshiClient, query: EventQuery, now: Ts) -> Iterator[Event]:
    """Return the matching events as they are read.

    The exchange has no filter for the latest closing time, so markets are read with their events.
    """
    is_timed = query.closing_within_s is not None
    found = client.events(
        status=query.status or None,
        series=query.series or None,
        min_close=now if is_timed else None,
        with_markets=is_timed,
    )
    return filter_events(found, query, now)


def filter_events(found: Iterable[Event], query: EventQuery, now: Ts) -> Iterator[Event]:
    """Yield the events with these words and with a market that closes in time."""
    until = None if query.closing_within_s is None else Ts(now + int(query.closing_within_s * 1000))
    for event in found:
        if _has_words(query.search, f"{event.event_ticker} {event.title} {event.sub_title}") and (
            until is None or any(now < market.close_time <= until for market in event.markets)
        ):
            yield event


def select_series(
    client: KalshiClient, category: str, tag: str, search: str, *, with_volume: bool = False
) -> list[Series]:
    """Return the series of exactly this category and tag with these words; "" matches any."""
    found = client.series_list(category or None, tag or None, with_volume=with_volume)
    return [series for series in found if _has_words(search, f"{series.ticker} {series.title}")]


def _fits(market: ListedMarket, query: MarketQuery, until: Ts | None) -> bool:
    if market.volume < query.min_volume or (until is not None and market.close_time > until):
        return False
    return not query.search or _has_words(query.search, f"{market.ticker} {market.title} {market.subtitle}")


def _has_words(search: str, text: str) -> bool:
    return all(word in text.lower() for word in search.lower().split())


def _spread(market: ListedMarket) -> int:
    """Return the spread; one-sided markets sort last."""
    if market.yes_bid is None or market.yes_ask is None:
        return 1 << 20
    return market.yes_ask - market.yes_bid


_ORDERS: dict[str, Callable[[ListedMarket], tuple[int | str, str]]] = {
    "volume": lambda market: (-market.volume_24h, market.ticker),
    "spread": lambda market: (_spread(market), market.ticker),
    "close": lambda market: (market.close_time, market.ticker),
    "ticker": lambda market: ("", market.ticker),
}
