"""Reading what `kalshi scan` looks at: the open markets once, whole books of a few of them, prices of Polymarket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.core.market.baskets import Basket, EventRelation, find, offer
from kalshi_cli.core.market.opportunities import (
    MAX_LEGS,
    ScannedMarket,
    disjoint,
    fees_now,
    legs_of,
    listed_offer,
    open_markets,
)
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import Event, FeeSchedule, Market, Series
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.families import current_fees

MAX_BOOKS = 1_000
"""Books that one scan reads: ten requests."""

Show = Callable[[Iterator[Event]], Iterable[Event]]
"""Sees every event that is read."""


class ScanScope(NamedTuple):
    """Which markets; "" is any. `min_volume` is of the last day."""

    series: str = ""
    event: str = ""
    min_volume: Qty = Qty(0)


class OpenFamily(NamedTuple):
    """An event and those of its open markets that are looked at."""

    event: Event
    markets: list[ScannedMarket]


def read_families(client: KalshiClient, scope: ScanScope, now: Ts, show: Show) -> Iterator[OpenFamily]:
    """The open events with their markets and their fees: one pass over the list, one read of the series."""
    if scope.event:
        one = client.event(scope.event, with_markets=True)
        schedules = {one.series_ticker: client.series(one.series_ticker)}
        events: Iterator[Event] = iter((one,))
    else:
        found = [client.series(scope.series)] if scope.series else client.series_list()
        schedules = {series.ticker: series for series in found}
        events = client.events("open", series=scope.series or None, with_markets=True)
    for event in show(events):
        fees = _fees(event, schedules, client)
        markets = [
            ScannedMarket(market, event, fees_now(market, fees, now))
            for market in open_markets(event)
            if market.close_time > now and market.volume_24h >= scope.min_volume
        ]
        if markets:
            yield OpenFamily(event, markets)


def _fees(event: Event, schedules: dict[str, Series], client: KalshiClient) -> FeeSchedule:
    """A series that the list has not, or not yet, is asked for by its name."""
    if event.series_ticker not in schedules:
        schedules[event.series_ticker] = client.series(event.series_ticker)
    return current_fees(event, schedules[event.series_ticker])


# -- baskets ------------------------------------------------------------------------------------------------------


class FoundBasket(NamedTuple):
    """A basket, its event, and when the first of its legs closes."""

    basket: Basket
    event: Event
    closes: Ts


class Arbitrages(NamedTuple):
    """The best first. `unread` events would pay by the list's prices, but the books of one scan were used up."""

    found: list[FoundBasket]
    unread: int


def find_arbitrage(client: KalshiClient, families: Iterable[OpenFamily], least: Money) -> Arbitrages:
    """Baskets that leave more than nothing, and `least`, by the books as they stand now.

    The list's prices choose, in one look at each market; then the books of what was chosen are read, a hundred a
    request, of what looks best first. Baskets of one event share no leg.
    """
    wanted: list[tuple[int, OpenFamily, set[str]]] = []
    for family in families:
        offers = [listed_offer(listed) for listed in family.markets]
        legs = legs_of(family.event, offers)
        if legs:
            looks = find(EventRelation(is_exclusive=family.event.mutually_exclusive), offers, max_legs=MAX_LEGS)
            wanted.append((looks[0].net if looks else 0, family, legs))
    chosen: list[tuple[OpenFamily, set[str]]] = []
    books = 0
    for _, family, legs in sorted(wanted, key=lambda each: (-each[0], each[1].event.event_ticker)):
        if books + len(legs) <= MAX_BOOKS:
            books += len(legs)
            chosen.append((family, legs))
    known = _read_books(client, [ticker for _, legs in chosen for ticker in sorted(legs)])
    found = [each for family, legs in chosen for each in _baskets(family, legs, known) if each.basket.net >= least]
    return Arbitrages(
        sorted(found, key=lambda each: (-each.basket.net, each.event.event_ticker)), len(wanted) - len(chosen)
    )


def _read_books(client: KalshiClient, tickers: Sequence[str]) -> dict[str, OrderBook]:
    books = {}
    for snapshot in client.orderbooks(tickers):
        book = books[snapshot.ticker] = OrderBook(snapshot.ticker)
        book.load(snapshot.bids, snapshot.asks, snapshot.ts)
    return books


def _baskets(family: OpenFamily, legs: set[str], books: dict[str, OrderBook]) -> Iterator[FoundBasket]:
    """A market whose book did not come back is left out: it closed meanwhile."""
    markets: dict[str, Market] = {}
    offers = []
    for listed in family.markets:
        ticker = listed.market.ticker
        if ticker in legs and ticker in books:
            markets[ticker] = listed.market
            offers.append(offer(listed.market, books[ticker], listed.fees))
    for basket in disjoint(
        find(EventRelation(is_exclusive=family.event.mutually_exclusive), offers, max_legs=MAX_LEGS)
    ):
        yield FoundBasket(basket, family.event, Ts(min(markets[leg.ticker].close_time for leg in basket.legs)))
