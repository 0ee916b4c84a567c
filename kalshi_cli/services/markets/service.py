"""The market data use cases. Methods return views and raise KalshiError."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from kalshi_cli.base.checked import check_choice, check_limit, check_period, check_tickers
from kalshi_cli.base.errors import NotFoundError, UsageError
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.markets import Candle, ComboLeg, Event, ListedMarket
from kalshi_cli.core.model.messages import BookSnapshot
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.endpoints.base import NAMES_A_CALL
from kalshi_cli.exchange.live.families import current_fees
from kalshi_cli.exchange.wire.events import FeeChange
from kalshi_cli.feeds.market_map import MarketPair
from kalshi_cli.services.markets import catalog, watchlists
from kalshi_cli.services.markets.cross_venue import compare_venues, venue_row
from kalshi_cli.services.markets.exchange_hours import read_exchange
from kalshi_cli.services.markets.market_query import EventQuery, MarketQuery, Sort
from kalshi_cli.services.markets.market_search import MarketSelection, choose_events, choose_series, select_markets
from kalshi_cli.services.markets.polymarket import listener, pairs_of
from kalshi_cli.services.markets.scan import MarketScan, ScanScope, read_families
from kalshi_cli.services.plans import PlanningService
from kalshi_cli.store.catalog.sqlite_catalog import catalogue_path
from kalshi_cli.views import market_data
from kalshi_cli.views.catalog import CatalogView, RefreshView
from kalshi_cli.views.combos import CollectionRow, CollectionView, ComboView, LegEventRow
from kalshi_cli.views.events import EventRow, EventView, SeriesRow, SeriesView, WholeEvent
from kalshi_cli.views.exchange import ExchangeView
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.market_history import CandleRow, MarketCandleRow, PublicTradeRow, print_row
from kalshi_cli.views.markets import CachedMarketRow, FeeChangeRow, MarketRow, MarketView, fee_rows
from kalshi_cli.views.order_book import NoOrderbookView, OrderbookView, no_orderbook_view, orderbook_view
from kalshi_cli.views.plans import RequestPlan
from kalshi_cli.views.scan import VenueRow
from kalshi_cli.views.watchlists import WatchlistRow

T = TypeVar("T")
Progress = Callable[[Iterator[T]], Iterable[T]]
"""A function that sees every item as it is read."""

INTERVALS = {"1m": (1, 3 * 3_600_000), "1h": (60, 7 * 86_400_000), "1d": (1440, 90 * 86_400_000)}
"""Minutes of a candle, and the default period in milliseconds."""

DAY_MS = 86_400_000
MAX_LEGS = 100
STATUSES = ("unopened", "open", "paused", "closed", "settled", "all")


def _unseen(found: Iterator[T]) -> Iterator[T]:
    return found


class MarketService(PlanningService):
    """Markets, events, series, order books and data about them. Tickers are upper case, as on the exchange.

    The status "all" and an empty filter match any. A `limit` of None reads everything.
    """

    @property
    def _client(self) -> KalshiClient:
        return self._resources.client

    @property
    def _now(self) -> Ts:
        return self._resources.clock.now()

    # -- markets --------------------------------------------------------------------------------------------------

    def list(
        self,
        *,
        status: str = "open",
        series: str = "",
        event: str = "",
        search: str = "",
        min_volume: Qty | None = None,
        closing_within_s: float | None = None,
        sort: Sort | None = None,
        limit: int | None = 50,
        combos: bool = False,
        is_offline: bool = False,
        progress: Progress[ListedMarket] = _unseen,
    ) -> MarketSelection[MarketRow]:
        """Return the matching markets, a sequence; without a `limit` all of them, read once as they are iterated over.

        With `is_offline` they come from the catalog (`CachedMarketRow`). UsageError without a catalog, or for an
        unknown status. NotFoundError, as the list is read, if it is empty and the exchange does not know the
        series or event.
        """
        check_limit(limit)
        if status and status not in STATUSES:
            raise UsageError(f"status must be one of {', '.join(STATUSES)}, not {status!r}")
        query = MarketQuery(
            status=_or_any(status), series=series, event=event, search=search, min_volume=min_volume or Qty(0),
            closing_within_s=closing_within_s, sort=sort, limit=limit, combos=combos,
        )  # fmt: skip
        known = self._resources.catalogue if search or is_offline else None
        found = select_markets(query, self._now, known, lambda: self._client, is_offline=is_offline, show=progress)
        found = msgspec.structs.replace(found, limit=limit)
        if is_offline:
            return found.shown_as(lambda market: CachedMarketRow.of(market, as_of=found.seen[market.ticker]))
        return found.shown_as(MarketRow.of).or_not_found(self._client, series=series, event=event)

    def get(self, ticker: str) -> MarketView:
        """Return a market from the live or the historical tier, with its sources and its current and scheduled fees."""
        market, families, now = self._client.market(ticker), self._resources.families, self._now
        event, fees = families.event(market.event_ticker), families.fees(market)
        return MarketView.of(
            market,
            series_ticker=event.series_ticker,
            fee_type=fees.type,
            fee_multiplier=fees.factor,
            settlement_sources=_named(event.settlement_sources),
            fees=fee_rows(market, fees, now),
            fee_changes=self._coming_fee_changes(event, now),
        )

    def best_prices(self, ticker: str, within_s: float) -> OrderbookView:
        """Return the best level of each side of a book; UnreachableError without a response within `within_s`."""
        with self._client.reading_within(within_s):
            return self.order_books([ticker], 1)[0]

    def order_books(self, tickers: Sequence[str], depth: int = 10, size: Qty | None = None) -> Sequence[OrderbookView]:
        """Return the order books in this order, read in one request. NotFoundError for an unknown ticker.

        With `size`, each has the cost of filling this many contracts.
        """
        return [orderbook_view(book, depth, size) for book in self._books(tickers)]

    def no_order_books(
        self, tickers: Sequence[str], depth: int = 10, size: Qty | None = None
    ) -> Sequence[NoOrderbookView]:
        """Return the order books at the prices of NO, else as `order_books` does."""
        return [no_orderbook_view(book, depth, size) for book in self._books(tickers)]

    def _books(self, tickers: Sequence[str]) -> Sequence[BookSnapshot]:
        tickers = check_tickers(tickers)
        if len(tickers) == 1:
            return [self._client.orderbook(tickers[0])]
        found = {book.ticker: book for book in self._client.orderbooks(tuple(dict.fromkeys(tickers)))}
        missing = [ticker for ticker in tickers if ticker not in found]
        if missing:
            raise NotFoundError(f"No order book for {', '.join(missing)}", hint="kalshi markets --search TEXT")
        return [found[ticker] for ticker in tickers]

    def trades(
        self, ticker: str, since: Ts | None = None, until: Ts | None = None, limit: int | None = 50
    ) -> Sequence[PublicTradeRow]:
        """Return public trades, newest first, from both tiers. NotFoundError for an unknown market."""
        check_period(since, until)
        found = self._client.all_trades(ticker, since, until, limit)
        if not found:
            self._client.market(ticker)  # raises NotFoundError if there is no such market
        return [print_row(trade) for trade in found]

    def candles(
        self, ticker: str, interval: str = "1h", since: Ts | None = None, until: Ts | None = None
    ) -> Sequence[CandleRow]:
        """Return the candles of a market, oldest first, from both tiers. `interval` is one of INTERVALS."""
        span, market = self._span(interval, since, until), self._client.market(ticker)
        return [CandleRow.of(candle) for candle in self._client.all_candles(market, *span)]

    def candles_of_markets(
        self, tickers: Sequence[str], interval: str = "1h", since: Ts | None = None, until: Ts | None = None
    ) -> Iterator[MarketCandleRow]:
        """Return the candles of several markets, one after the other. NotFoundError for an unknown ticker.

        A market without candles in the live tier is also read from the historical tier.
        """
        span, tickers = self._span(interval, since, until), check_tickers(tickers)
        live, client = self._client.batch_candles(tickers, *span), self._client
        return _candle_rows({t: live.get(t) or client.all_candles(client.market(t), *span) for t in tickers})

    def candles_of_event(
        self, ticker: str, interval: str = "1h", since: Ts | None = None, until: Ts | None = None
    ) -> Iterator[MarketCandleRow]:
        """Return the candles of all markets of an event. NotFoundError for an unknown event."""
        span, event = self._span(interval, since, until), self._client.event(ticker)
        return _candle_rows(self._client.event_candles(event.series_ticker, event.event_ticker, *span))

    def _span(self, interval: str, since: Ts | None, until: Ts | None) -> tuple[Ts, Ts, int]:
        check_period(since, until)
        minutes, usual_ms = INTERVALS[check_choice("interval", interval, INTERVALS)]
        now = self._now
        return since or Ts(now - usual_ms), until or Ts(now + minutes * 60_000), minutes

    # -- events and series ----------------------------------------------------------------------------------------

    def events(
        self, *, status: str = "open", series: str = "", search: str = "", closing_within_s: float | None = None
    ) -> MarketSelection[EventRow]:
        """Return the matching events, read as they are iterated over; NotFoundError then for an unknown series."""
        query = EventQuery(status=_or_any(status), series=series, search=search, closing_within_s=closing_within_s)
        known = self._resources.catalogue if search else None
        found = choose_events(query, self._now, known, self._client).shown_as(EventRow.of)
        return found.or_not_found(self._client, series=series)

    def event(self, ticker: str, *, is_whole: bool = False) -> EventView | WholeEvent:
        """Return an event with its markets of both tiers; with `is_whole` every field of them."""
        client, event = self._client, self._client.event(ticker, with_markets=True)
        known = {market.ticker for market in event.markets}
        markets = (*event.markets, *(old for old in client.historical_markets_of(ticker) if old.ticker not in known))
        fees = current_fees(event, self._resources.families.series(event.series_ticker))
        metadata = client.event_metadata(ticker)
        found = {
            "fee_type": fees.type,
            "fee_multiplier": fees.factor,
            "settlement_sources": _named(event.settlement_sources),
            "competition": metadata.competition or None,
            "competition_scope": metadata.competition_scope or None,
            "fee_changes": self._coming_fee_changes(event, self._now),
        }
        if is_whole:
            return WholeEvent.of(
                msgspec.structs.replace(event, markets=markets), **found, image_url=metadata.image_url or None
            )
        # Markets show only the part of the title that differs; the event above them has the rest.
        rows = tuple(MarketRow.of(market, title=TruncatableText(market.subtitle or market.title)) for market in markets)
        return EventView.of(event, **found, markets=rows)

    def series(
        self, *, category: str = "", tag: str = "", search: str = "", with_volume: bool = False
    ) -> MarketSelection[SeriesRow]:
        """Return the series of exactly this category and tag, with these words."""
        known = self._resources.catalogue if search else None
        found = choose_series(category, tag, search, known, self._client, with_volume=with_volume)
        return found.shown_as(SeriesRow.of)

    def series_details(self, ticker: str) -> SeriesView:
        """Return a series with its volume, and its earlier and scheduled fees."""
        series = self._client.series(ticker, with_volume=True)
        return SeriesView.of(
            series,
            settlement_sources=_named(series.settlement_sources),
            fee_changes=_by_time(self._client.series_fee_changes(ticker, with_past=True)),
        )

    def _coming_fee_changes(self, event: Event, now: Ts) -> tuple[FeeChangeRow, ...]:
        """Return the scheduled fee changes of the series and of the event."""
        client = self._client
        found = (*client.series_fee_changes(event.series_ticker), *client.event_fee_changes(event.event_ticker))
        return _by_time(change for change in found if change.scheduled > now)

    # -- data about markets ---------------------------------------------------------------------------------------

    def exchange(self) -> ExchangeView:
        """Return the status, hours and maintenance of the exchange."""
        return read_exchange(self._client, self._now)

    def milestones(
        self,
        *,
        event: str = "",
        category: str = "",
        competition: str = "",
        kind: str = "",
        with_past: bool = False,
        limit: int | None = 50,
    ) -> Iterator[market_data.MilestoneRow]:
        """Return scheduled games and announcements; with `with_past` or an event also those of more than a day ago."""
        since = None if with_past or event else Ts(self._now - DAY_MS)
        found = self._client.milestones(
            event or None, category or None, competition or None, kind or None, min_start=since, limit=limit
        )
        return map(market_data.MilestoneRow.of, found)

    def event_live_data(self, event: str, window: str = "") -> market_data.LiveView:
        """Return the live data of an event; `window` is the range of its chart."""
        return market_data.LiveView.of(self._client.event_live_data(event, window or None))

    def milestone_live_data(self, milestone_id: str, *, with_players: bool = False) -> market_data.LiveView:
        """Return the live data of a milestone, such as the score of a game."""
        return market_data.LiveView.of(self._client.live_data(milestone_id, with_players=with_players))

    def weather(self, city: str) -> Iterator[market_data.WeatherRow]:
        """Return the temperature index of a city, by the minute of the last hour."""
        return map(market_data.WeatherRow.of, self._client.weather(city, last_s=3_600).points)

    def incentives(
        self, status: str = "active", kind: str = "all", limit: int | None = 50
    ) -> Iterator[market_data.IncentiveRow]:
        """Return the incentive programs."""
        return map(market_data.IncentiveRow.of, self._client.incentives(status, kind, limit=limit))

    def targets(self, kind: str = "", competition: str = "", limit: int | None = 50) -> Iterator[market_data.TargetRow]:
        """Return structured targets: teams, players, candidates."""
        return map(market_data.TargetRow.of, self._client.targets(kind or None, competition or None, limit=limit))

    def tags(self) -> Sequence[market_data.TagRow]:
        """Return the categories of series with their tags."""
        return [market_data.TagRow(category=category, tags=tags) for category, tags in self._client.tags().items()]

    def sports(self) -> Sequence[market_data.SportRow]:
        """Return the sports with their scopes and competitions."""
        found = self._client.sport_filters()
        return [market_data.SportRow.of(sport, competitions=tuple(sport.competitions)) for sport in found]

    # -- combos ---------------------------------------------------------------------------------------------------

    def collections(self, *, event: str = "", status: str = "open", limit: int | None = 50) -> Iterator[CollectionRow]:
        """Return the collections, which define the events that combos can be made from."""
        found = self._client.collections(_or_any(status) or None, event or None, limit=limit)
        return (CollectionRow.of(each, events=len(each.events)) for each in found)

    def collection(self, ticker: str) -> CollectionView:
        """Return a collection, with its events and their titles."""
        found = self._client.collection(ticker)
        tickers = [event.ticker for event in found.events]
        titles = {
            event.event_ticker: event.title
            for at in range(0, len(tickers), NAMES_A_CALL)
            for event in self._client.events(tickers=tickers[at : at + NAMES_A_CALL])
        }
        events = (
            LegEventRow.of(one, title=TruncatableText(titles.get(one.ticker, "")) or None) for one in found.events
        )
        return CollectionView.of(found, events=tuple(events))

    def combo_legs(self, words: Sequence[str]) -> Sequence[ComboLeg]:
        """Return the legs of `MARKET:yes` or `EVENT:MARKET:yes`; a missing event is read from the market."""
        if not 1 <= len(words) <= MAX_LEGS:
            raise UsageError("A combo needs at least one leg", hint="--leg MARKET:yes --leg MARKET:no")
        return [self._combo_leg(word) for word in words]

    def _combo_leg(self, word: str) -> ComboLeg:
        *event, market, side = ["", *word.upper().split(":")]
        if not market or side not in ("YES", "NO") or len(event) > 2:
            raise UsageError(f"Invalid leg: {word[:80]!r}", hint="use MARKET:yes or EVENT:MARKET:no")
        event_ticker = (event[-1] if len(event) == 2 else "") or self._client.market(market).event_ticker
        return ComboLeg(event_ticker=event_ticker, market_ticker=market, side=side.lower())

    def plan_combo(
        self, collection: str, legs: Sequence[ComboLeg]
    ) -> RequestPlan[dict[str, str | Sequence[ComboLeg]], ComboView]:
        """Plan to create the market of these legs; where it exists, executing the plan returns it. Buys nothing."""
        return self._request(
            "create_combo",
            {"collection": collection, "legs": legs},
            lambda: self._create_combo(collection, legs),
            f"a combo of {', '.join(f'{leg.side} {leg.market_ticker}' for leg in legs)}",
        )

    def _create_combo(self, collection: str, legs: Sequence[ComboLeg]) -> ComboView:
        made = self._client.create_combo(collection, legs, with_market=True)
        market = made.market
        return ComboView(
            ticker=made.market_ticker,
            event_ticker=made.event_ticker,
            collection=collection,
            title="" if market is None else market.title,
            status="" if market is None else market.status.value,
            exchange_index=None if market is None else market.exchange_index,
            close_time=None if market is None else market.close_time,
            legs=tuple(legs),
        )

    # -- scans ----------------------------------------------------------------------------------------------------

    def scan(
        self,
        *,
        series: str = "",
        event: str = "",
        min_volume: Qty | None = None,
        limit: int | None = 20,
        progress: Progress[Event] = _unseen,
    ) -> MarketScan:
        """Return a scan of the open markets, which reads them when it is asked for one of its findings.

        `min_volume` is the least volume of a market in the last 24 hours. Without `limit` it finds all rows.
        """
        now, scope = self._now, ScanScope(series, event, min_volume or Qty(0))
        return MarketScan(self._client, read_families(self._client, scope, now, progress), now, limit)

    def compare_polymarket(
        self,
        path: Path,
        *,
        fee_rate: int,
        min_edge: Price | None = None,
        clob_url: str = "",
        gamma_url: str = "",
        progress: Callable[[Sequence[MarketPair]], Iterable[MarketPair]] = lambda pairs: pairs,
    ) -> Sequence[VenueRow]:
        """Return both directions between Kalshi and Polymarket for the pairs of a map, best result first.

        `fee_rate` is their taker fee in ten-thousandths, an empty address is Polymarket's own. NotFoundError where none
        of the pairs can be compared.
        """
        own = self._resources
        pairs = pairs_of(own, path)
        found = compare_venues(
            own.client, own.families, pairs, listener(own, clob_url, gamma_url), fee_rate, self._now, progress, own.tell
        )
        if pairs and not found:
            raise NotFoundError(f"None of the {len(pairs)} markets in the map can be compared")
        ways = [(each, [way.each for way in (each.buy, each.sell) if way is not None]) for each in found]
        now = self._now
        return [venue_row(each, now) for each, edges in ways if min_edge is None or max(edges, default=-1) >= min_edge]

    # -- watchlists -----------------------------------------------------------------------------------------------

    def watchlists(self) -> Sequence[WatchlistRow]:
        """Return the watchlists by name."""
        return watchlists.listed(self._resources)

    def watchlist(self, name: str) -> Sequence[str]:
        """Return the tickers of a watchlist. NotFoundError for an unknown name."""
        return watchlists.tickers(self._resources, name)

    def add_to_watchlist(self, name: str, tickers: Sequence[str]) -> WatchlistRow:
        """Add markets to a watchlist, which is created with its first one. NotFoundError for an unknown market."""
        return watchlists.add(self._resources, name, tickers)

    def remove_from_watchlist(self, name: str, tickers: Sequence[str] = ()) -> WatchlistRow | None:
        """Remove markets, or without any the whole watchlist; return what is left of it. NotFoundError if unknown."""
        return watchlists.remove(self._resources, name, tickers)

    def plan_watchlist_addition(self, name: str, tickers: Sequence[str]) -> RequestPlan[WatchlistRow, WatchlistRow]:
        """Plan to add markets to a watchlist. NotFoundError for an unknown market."""
        row = watchlists.wanted_row(self._resources, name, tickers)
        fact = f"add {', '.join(row.tickers)} to the watchlist {row.name}"
        return self._request("watch", row, lambda: self.add_to_watchlist(row.name, row.tickers), fact)

    def plan_watchlist_removal(
        self, name: str, tickers: Sequence[str] = ()
    ) -> RequestPlan[WatchlistRow, WatchlistRow | None]:
        """Plan to remove markets, or without any the whole watchlist. NotFoundError for an unknown watchlist."""
        row = WatchlistRow(name=name.lower(), tickers=tuple(ticker.upper() for ticker in check_tickers(tickers)))
        self.watchlist(name)
        fact = f"remove {', '.join(row.tickers) or 'all markets'} from the watchlist {row.name}"
        return self._request("unwatch", row, lambda: self.remove_from_watchlist(row.name, row.tickers), fact)

    # -- the local catalog ----------------------------------------------------------------------------------------

    def refresh_catalog(self, *, is_full: bool = False, progress: Progress[int] = _unseen) -> RefreshView:
        """Create or update the local catalog; `progress` sees the size of each page."""
        own = self._resources
        began = own.clock.monotonic()
        done = catalog.refresh(own.config, own.client, own.clock, progress, is_full=is_full)
        return RefreshView(
            read="everything" if done.is_full else "changes",
            resumed=done.is_resumed,
            series=done.counts["series"],
            events=done.counts["event"],
            markets=done.counts["market"],
            seconds=round(own.clock.monotonic() - began, 1),
        )

    def catalog(self) -> CatalogView:
        """Return the size and age of the local catalog; without a catalog only its path."""
        path = TruncatableText(str(catalogue_path(self._resources.config)))
        stats = catalog.catalog_stats(self._resources.catalogue)
        if stats is None:
            return CatalogView(path=path)
        return CatalogView.of(
            stats,
            path=path,
            age_s=None if stats.as_of is None else (self._now - stats.as_of) / 1000,
            search="words" if stats.is_indexed else "letters",
        )

    def clear_catalog(self) -> Path | None:
        """Delete the local catalog and return its path; None if there was no catalog."""
        return catalog.clear(self._resources.config, self._resources.clock)


def _or_any(status: str) -> str:
    return "" if status == "all" else status


def _named(sources: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{name} {url}".strip() for name, url in sources)


def _by_time(changes: Iterable[FeeChange]) -> tuple[FeeChangeRow, ...]:
    found = sorted(changes, key=lambda change: change.scheduled)
    return tuple(FeeChangeRow.of(each, applies_to=each.event_ticker or each.series_ticker) for each in found)


def _candle_rows(found: dict[str, list[Candle]]) -> Iterator[MarketCandleRow]:
    return (MarketCandleRow.of(candle, ticker=ticker) for ticker, candles in found.items() for candle in candles)
