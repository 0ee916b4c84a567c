"""Which markets a person asked to see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from typing import Literal

import msgspec

from kalshi_cli.core.model import Event, FeeSchedule, Market, Series
from kalshi_cli.errors import NotFoundError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.units import Qty, Ts

MOST_MARKETS = 50
"""Markets that a loop follows when nobody names any."""

SOON_MS = 60_000
"""A market that closes sooner than this is not taken up."""

Sort = Literal["volume", "spread", "close", "ticker"]


class MarketQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of `markets`. Without `sort` they come in the exchange's order, read only as far as needed."""

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
    show: Callable[[Iterator[Market]], Iterable[Market]] = lambda found: found,
) -> Iterator[Market]:
    """The markets, one more than the limit where there are more: so the caller can say that the list was cut.

    `show` sees every market that is read, whether it fits or not.
    """
    # The exchange filters by close time only without a status (API.md section 4), so an open list is filtered here.
    found = client.markets(
        status=query.status or None,
        series=query.series or None,
        event=query.event or None,
        combos=query.combos,
    )
    return narrowed(show(found), query, now)


def narrowed(found: Iterable[Market], query: MarketQuery, now: Ts) -> Iterator[Market]:
    """Those that fit, in the order that was asked for; one more than the limit where there are more.

    Holds no more of them than the limit; only a whole list that must be sorted is held whole.
    """
    until = None if query.closing_within_s is None else Ts(now + int(query.closing_within_s * 1000))
    kept = (market for market in found if _fits(market, query, until))
    if query.limit is None:
        return iter(sorted(kept, key=_ORDERS[query.sort])) if query.sort else kept
    if query.sort:
        return iter(nsmallest(query.limit + 1, kept, key=_ORDERS[query.sort]))
    return islice(kept, query.limit + 1)


def universe(client: KalshiClient, now: Ts, tickers: Sequence[str], series: str) -> list[Market]:
    """The markets of a loop: those named, those of a series, else the busiest open ones.

    NotFoundError where a name is unknown or nothing is open; a loop never starts on less than it was asked for.
    """
    if tickers:
        markets = list(client.markets(tickers=tickers))
        missing = sorted(set(tickers) - {market.ticker for market in markets})
        if missing:
            raise NotFoundError(f"there is no market {', '.join(missing)}", hint="kalshi markets --search TEXT")
        return markets
    markets = [
        market for market in client.markets(status="open", series=series or None) if market.close_time > now + SOON_MS
    ]
    if not markets:
        raise NotFoundError("no market is open to trade", hint="kalshi markets --status open")
    return sorted(markets, key=_ORDERS["volume"])[:MOST_MARKETS]


def _fits(market: Market, query: MarketQuery, until: Ts | None) -> bool:
    if market.volume < query.min_volume or (until is not None and market.close_time > until):
        return False
    if not query.search:
        return True
    text = f"{market.ticker} {market.title} {market.subtitle}".lower()
    return all(word in text for word in query.search.lower().split())


def _spread(market: Market) -> int:
    """One-sided markets come last."""
    if market.yes_bid is None or market.yes_ask is None:
        return 1 << 20
    return market.yes_ask - market.yes_bid


_ORDERS: dict[str, Callable[[Market], tuple[int | str, str]]] = {
    "volume": lambda market: (-market.volume_24h, market.ticker),
    "spread": lambda market: (_spread(market), market.ticker),
    "close": lambda market: (market.close_time, market.ticker),
    "ticker": lambda market: ("", market.ticker),
}


class Families:
    """Events and series, each read once: who a market's kin are, and how it charges."""

    def __init__(self, client: KalshiClient) -> None:
        self._client = client
        self._events: dict[str, Event] = {}
        self._series: dict[str, Series] = {}

    def event(self, event_ticker: str) -> Event:
        if event_ticker not in self._events:
            self._events[event_ticker] = self._client.event(event_ticker)
        return self._events[event_ticker]

    def series(self, series_ticker: str) -> Series:
        if series_ticker not in self._series:
            self._series[series_ticker] = self._client.series(series_ticker)
        return self._series[series_ticker]

    def fees(self, market: Market) -> FeeSchedule:
        """The schedule of a market: the event's override, else the series'."""
        event = self.event(market.event_ticker)
        base = self.series(event.series_ticker).fees
        return FeeSchedule(
            event.fee_type_override or base.type,
            base.multiplier if event.fee_multiplier_override is None else event.fee_multiplier_override,
        )
