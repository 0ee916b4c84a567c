"""Endpoints of tradable markets: markets, order books, public trades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from kalshi_cli.base.errors import NotFoundError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import ListedMarket, Market, MarketDetails
from kalshi_cli.core.model.messages import BookSnapshot, PublicTrade
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.base import NAMES_A_CALL, PAGE, Endpoints, not_found_as, quote_part, seconds
from kalshi_cli.exchange.wire.values import Page


class MarketEndpoints(Endpoints):
    """Public endpoints, which need no key."""

    def markets(
        self,
        status: str | None = None,
        series: str | None = None,
        event: str | None = None,
        tickers: Sequence[str] | None = None,
        min_close: Ts | None = None,
        max_close: Ts | None = None,
        combos: bool = False,
        limit: int | None = None,
    ) -> Iterator[Market]:
        """Return markets by filter; `status` is unopened, open, paused, closed or settled. No combos by default.

        The time filter is allowed with the status closed or none. Markets that settled before the cutoff are in
        `historical_markets`.
        """
        params: dict[str, str | int | None] = {
            "status": status,
            "series_ticker": series,
            "event_ticker": event,
            "min_close_ts": seconds(min_close),
            "max_close_ts": seconds(max_close),
            "mve_filter": None if combos or tickers else "exclude",
        }
        if not tickers:
            return self._pages("/markets", params, wire.markets.read_markets, limit, is_public=True)
        batches = (",".join(tickers[at : at + NAMES_A_CALL]) for at in range(0, len(tickers), NAMES_A_CALL))
        found = chain.from_iterable(
            self._pages("/markets", {**params, "tickers": names}, wire.markets.read_markets, is_public=True)
            for names in batches
        )
        return islice(found, limit)

    def listed_markets(
        self,
        status: str | None = None,
        series: str | None = None,
        event: str | None = None,
        tickers: Sequence[str] | None = None,
        combos: bool = False,
        limit: int | None = None,
        is_ahead: bool = False,
    ) -> Iterator[ListedMarket]:
        """Return the same markets with the fields that lists show, in a third of the time.

        With `is_ahead`, a thread reads the next page while the caller works on this one.
        """
        params: dict[str, str | int | None] = {
            "status": status,
            "series_ticker": series,
            "event_ticker": event,
            "tickers": ",".join(tickers) if tickers else None,
            "mve_filter": None if combos or tickers else "exclude",
        }
        read = wire.markets.read_listed_markets
        return self._pages("/markets", params, read, limit, is_public=True, is_ahead=is_ahead)

    def market(self, ticker: str) -> MarketDetails:
        """Return one market with every field; one that settled months ago comes from the historical tier."""
        try:
            body = self._public(f"/markets/{quote_part(ticker)}")
        except NotFoundError:
            with not_found_as(ticker):
                body = self._public(f"/historical/markets/{quote_part(ticker)}")
        return wire.markets.read_market(body)

    def orderbook(self, ticker: str, depth: int = 0) -> BookSnapshot:
        """Return the book on the YES scale; `depth` best levels, 0 for all. Its time is that of the request."""
        now = self._clock.now()
        with not_found_as(ticker):
            body = self._public(f"/markets/{quote_part(ticker)}/orderbook", {"depth": depth or None})
        return wire.markets.read_orderbook(body, ticker, now)

    def orderbooks(self, tickers: Sequence[str]) -> list[BookSnapshot]:
        """Return the whole books of many markets, a hundred per request."""
        books: list[BookSnapshot] = []
        for start in range(0, len(tickers), NAMES_A_CALL):
            now = self._clock.now()
            some = list(tickers[start : start + NAMES_A_CALL])
            books += wire.markets.read_orderbooks(self._public("/markets/orderbooks", {"tickers": some}), now)
        return books

    def trades(
        self, ticker: str | None = None, min_ts: Ts | None = None, max_ts: Ts | None = None, limit: int | None = None
    ) -> Iterator[PublicTrade]:
        """Return public trades, newest first."""
        params = {"ticker": ticker, "min_ts": seconds(min_ts), "max_ts": seconds(max_ts)}
        return self._pages("/markets/trades", params, wire.markets.read_trades, limit, is_public=True)

    def market_page(self, cursor: str, status: str | None = None, min_updated: Ts | None = None) -> Page[Market]:
        """Return a page of markets without combos: of one status, or of those changed since a time, not both.

        A copy can stop after a page and continue later. The exchange restarts an expired cursor from the beginning,
        without an error (June 2026).
        """
        params: dict[str, str | int | None] = {
            "status": status,
            "min_updated_ts": seconds(min_updated),
            "mve_filter": "exclude",
            "limit": PAGE,
            "cursor": cursor or None,
        }
        return wire.markets.read_markets(self._public("/markets", params))
