"""Endpoints of events and series: details, fees and fee changes, forecasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Event, Series
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.base import NAMES_A_CALL, Endpoints, missing, quote_part, seconds
from kalshi_cli.exchange.rest.call import Params
from kalshi_cli.exchange.wire.values import Page

EVENTS_A_PAGE = 200
MAX_PERCENTILES = 10


class EventEndpoints(Endpoints):
    """Public endpoints; only the forecasts need a key."""

    def event(self, ticker: str, *, with_markets: bool = False) -> Event:
        """Return an event, which names its series and may override the fees; markets on request, with every field."""
        nested = {"with_nested_markets": "true" if with_markets else None}
        with missing(f"No event {ticker}", "kalshi events"):
            return wire.events.read_event(self._public(f"/events/{quote_part(ticker)}", nested))

    def events(
        self,
        status: str | None = None,
        series: str | None = None,
        tickers: Sequence[str] | None = None,
        min_close: Ts | None = None,
        min_updated: Ts | None = None,
        *,
        with_markets: bool = False,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """Return events by filter, without combos; `status` (unopened, open, closed, settled) is that of any market.

        Nested markets exclude those that moved to the historical tier.
        """
        params: dict[str, str | int | None] = {
            "status": status,
            "series_ticker": series,
            "tickers": ",".join(tickers[:NAMES_A_CALL]) if tickers else None,
            "min_close_ts": seconds(min_close),
            "min_updated_ts": seconds(min_updated),
            "with_nested_markets": "true" if with_markets else None,
        }
        if tickers and len(tickers) > NAMES_A_CALL:
            raise UsageError(f"{len(tickers)} events exceed the limit of {NAMES_A_CALL} per request")
        return self._pages("/events", params, wire.events.read_events, limit, is_public=True, most=EVENTS_A_PAGE)

    def multivariate_events(
        self,
        series: str | None = None,
        collection: str | None = None,
        *,
        with_markets: bool = False,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """Return combos, which `events` excludes: by series or by collection, not both."""
        params: dict[str, str | int | None] = {
            "series_ticker": series,
            "collection_ticker": collection,
            "with_nested_markets": "true" if with_markets else None,
        }
        read = wire.events.read_events
        return self._pages("/events/multivariate", params, read, limit, is_public=True, most=EVENTS_A_PAGE)

    def event_metadata(self, ticker: str) -> wire.events.EventMetadata:
        """Return images, competition and settlement sources of an event."""
        return wire.events.read_event_metadata(self._public(f"/events/{quote_part(ticker)}/metadata"))

    def event_fee_changes(self, event: str | None = None) -> Iterator[wire.events.FeeChange]:
        """Return fee overrides that begin or end, for one event or all."""
        read = wire.events.read_event_fee_changes
        return self._pages("/events/fee_changes", {"event_ticker": event}, read, is_public=True)

    def forecast_history(
        self, series: str, event: str, percentiles: Sequence[int], start: Ts, end: Ts, interval_min: int
    ) -> list[wire.events.ForecastPoint]:
        """Return the market's forecasts of a numeric event. Needs a key.

        Percentiles are in hundredths of a percent (5000: the median), at most ten; `interval_min` is 0 (five seconds),
        1, 60 or 1440.
        """
        if not 1 <= len(percentiles) <= MAX_PERCENTILES:
            raise UsageError(f"Request between one and {MAX_PERCENTILES} percentiles")
        path = f"/series/{quote_part(series)}/events/{quote_part(event)}/forecast_percentile_history"
        params: Params = {
            "percentiles": [str(each) for each in percentiles],
            "start_ts": start // 1000,
            "end_ts": end // 1000,
            "period_interval": interval_min,
        }
        return wire.events.read_forecasts(self._get(path, params))

    def event_page(self, cursor: str, status: str | None = None, min_updated: Ts | None = None) -> Page[Event]:
        """Return a page of events without their markets: of one status, and changed since a time.

        A copy can stop after a page and continue later. The exchange restarts an expired cursor from the beginning,
        without an error (June 2026).
        """
        params: dict[str, str | int | None] = {
            "status": status,
            "min_updated_ts": seconds(min_updated),
            "limit": EVENTS_A_PAGE,
            "cursor": cursor or None,
        }
        return wire.events.read_events(self._public("/events", params))

    # -- series --

    def series(self, ticker: str, *, with_volume: bool = False) -> Series:
        """Return a series with its fee schedule."""
        volume = {"include_volume": "true" if with_volume else None}
        with missing(f"No series {ticker}", "kalshi series"):
            return wire.events.read_series(self._public(f"/series/{quote_part(ticker)}", volume))

    def series_list(
        self,
        category: str | None = None,
        tags: str | None = None,
        min_updated: Ts | None = None,
        *,
        with_volume: bool = False,
        with_metadata: bool = False,
    ) -> list[Series]:
        """Return all series, more than ten thousand, in one response; category and tag match exactly, with case."""
        params: dict[str, str | int | None] = {
            "category": category,
            "tags": tags,
            "min_updated_ts": seconds(min_updated),
            "include_volume": "true" if with_volume else None,
            "include_product_metadata": "true" if with_metadata else None,
        }
        return wire.events.read_series_list(self._public("/series", params))

    def series_fee_changes(self, series: str | None = None, *, with_past: bool = False) -> list[wire.events.FeeChange]:
        """Return announced fee changes of one series or all; `with_past` adds those in force."""
        params = {"series_ticker": series, "show_historical": "true" if with_past else None}
        return wire.events.read_series_fee_changes(self._public("/series/fee_changes", params))
