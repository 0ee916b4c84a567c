"""The scans of `kalshi scan`: one read of the open markets, and the order books of the best candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nsmallest
from typing import Any, Literal, NamedTuple, TypeVar

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.market import opportunities
from kalshi_cli.core.market.baskets import Basket, EventRelation, find, offer
from kalshi_cli.core.market.fees import fees_now
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import Event, FeeSchedule, Market, Series
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.families import current_fees
from kalshi_cli.views.scan import ArbitrageRow, CheapRow, ClosingRow, MoverRow, SpreadRow, arbitrage_row

T = TypeVar("T")
Width = Literal["cents", "percent", "profit"]

MAX_BOOKS = 1_000
"""Order books that one scan reads, in ten requests."""

Show = Callable[[Iterator[Event]], Iterable[Event]]
"""A function that sees every event that is read."""


class ScanScope(NamedTuple):
    """Filters of a scan; "" matches any. `min_volume` is the volume of the last 24 hours."""

    series: str = ""
    event: str = ""
    min_volume: Qty = Qty(0)


class OpenFamily(NamedTuple):
    """An event and its open markets that match the filters."""

    event: Event
    markets: list[opportunities.ScannedMarket]


def read_families(client: KalshiClient, scope: ScanScope, now: Ts, show: Show) -> Iterator[OpenFamily]:
    """Yield the open events with their markets and fees: one pass over the list, one read of the series."""
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
            opportunities.ScannedMarket(market, event, fees_now(market, fees, now))
            for market in opportunities.open_markets(event)
            if market.close_time > now and market.volume_24h >= scope.min_volume
        ]
        if markets:
            yield OpenFamily(event, markets)


def _fees(event: Event, schedules: dict[str, Series], client: KalshiClient) -> FeeSchedule:
    """Return a series; one that the list does not have is read by its ticker."""
    if event.series_ticker not in schedules:
        schedules[event.series_ticker] = client.series(event.series_ticker)
    return current_fees(event, schedules[event.series_ticker])


# -- baskets ------------------------------------------------------------------------------------------------------


class FoundBasket(NamedTuple):
    """A basket, its event, and when the first of its legs closes."""

    basket: Basket
    event: Event
    closes: Ts


class ArbitrageScan(NamedTuple):
    """Baskets, best first. `unread` events are profitable by list prices, but their order books were not read."""

    rows: list[ArbitrageRow]
    unread: int


class MarketScan:
    """A pass over the open markets. Rows come best first, one more than the limit if there are more."""

    def __init__(self, client: KalshiClient, families: Iterator[OpenFamily], now: Ts, limit: int | None) -> None:
        self._client = client
        self._families = families
        self._now = now
        self._limit = limit

    @property
    def _markets(self) -> Iterator[opportunities.ScannedMarket]:
        return (listed for family in self._families for listed in family.markets)

    def _best(self, found: Iterable[T | None], order: Callable[[T], Any]) -> list[T]:
        """Return the best rows, with memory for no more than are shown."""
        matches = (each for each in found if each is not None)
        return sorted(matches, key=order) if self._limit is None else nsmallest(self._limit + 1, matches, key=order)

    def arbitrage(self, min_profit: Money | None = None) -> ArbitrageScan:
        """Return baskets with a profit of at least `min_profit` by their current order books.

        List prices select the candidates; then their order books are read, a hundred per request, best candidate
        first. Baskets of one event share no leg.
        """
        wanted: list[tuple[int, OpenFamily, set[str]]] = []
        for family in self._families:
            offers = [opportunities.listed_offer(listed) for listed in family.markets]
            legs = opportunities.legs_of(family.event, offers)
            if legs:
                looks = find(
                    EventRelation(is_exclusive=family.event.mutually_exclusive), offers, max_legs=opportunities.MAX_LEGS
                )
                wanted.append((looks[0].net if looks else 0, family, legs))
        chosen: list[tuple[OpenFamily, set[str]]] = []
        books = 0
        for _, family, legs in sorted(wanted, key=lambda each: (-each[0], each[1].event.event_ticker)):
            if books + len(legs) <= MAX_BOOKS:
                books += len(legs)
                chosen.append((family, legs))
        known = _read_books(self._client, [ticker for _, legs in chosen for ticker in sorted(legs)])
        found = (each for family, legs in chosen for each in _baskets(family, legs, known))
        best = self._best(
            (each for each in found if each.basket.net >= (min_profit or 0)),
            lambda each: (-each.basket.net, each.event.event_ticker),
        )
        return ArbitrageScan([arbitrage_row(*each) for each in best], len(wanted) - len(chosen))

    def spreads(self, widest_in: Width = "cents") -> list[SpreadRow]:
        """Return the widest spreads, with the profit of a maker who fills on both sides."""

        def order(found: opportunities.SpreadMatch) -> tuple[float, int, str]:
            width = {"cents": found.width, "percent": found.share, "profit": found.keeps}[widest_in]
            return -width, -found.listed.market.volume_24h, found.listed.market.ticker

        return [SpreadRow.of(each) for each in self._best(map(opportunities.spread, self._markets), order)]

    def movers(self) -> list[MoverRow]:
        """Return the largest changes since a day ago."""

        def order(found: opportunities.PriceMove) -> tuple[int, int, str]:
            return -abs(found.change), -found.listed.market.volume_24h, found.listed.market.ticker

        return [MoverRow.of(each) for each in self._best(map(opportunities.move, self._markets), order)]

    def cheap(self, below: Price) -> list[CheapRow]:
        """Return the sides whose ask is below this price."""

        def order(found: opportunities.LowPriceMatch) -> tuple[int, int, str, str]:
            return found.price, -found.listed.market.volume_24h, found.listed.market.ticker, found.side

        found = (each for listed in self._markets for each in opportunities.cheap(listed, below))
        return [CheapRow.of(each) for each in self._best(found, order)]

    def closing(self, within_s: float, margin: Price) -> list[ClosingRow]:
        """Return markets that close within `within_s` and are at least `margin` from zero and from one dollar."""
        within_ms = int(within_s * 1000)
        found = (
            each.market
            for each in self._markets
            if opportunities.is_undecided(each.market, self._now, within_ms, margin)
        )
        return [ClosingRow.of(each) for each in self._best(found, lambda market: (market.close_time, market.ticker))]


def _read_books(client: KalshiClient, tickers: Sequence[str]) -> dict[str, OrderBook]:
    books = {}
    for snapshot in client.orderbooks(tickers):
        book = books[snapshot.ticker] = OrderBook(snapshot.ticker)
        book.load(snapshot.bids, snapshot.asks, snapshot.ts)
    return books


def _baskets(family: OpenFamily, legs: set[str], books: dict[str, OrderBook]) -> Iterator[FoundBasket]:
    """Return a basket with its order books; a market without one has closed in the meantime and is left out."""
    markets: dict[str, Market] = {}
    offers = []
    for listed in family.markets:
        ticker = listed.market.ticker
        if ticker in legs and ticker in books:
            markets[ticker] = listed.market
            offers.append(offer(listed.market, books[ticker], listed.fees))
    for basket in opportunities.disjoint(
        find(EventRelation(is_exclusive=family.event.mutually_exclusive), offers, max_legs=opportunities.MAX_LEGS)
    ):
        yield FoundBasket(basket, family.event, Ts(min(markets[leg.ticker].close_time for leg in basket.legs)))
