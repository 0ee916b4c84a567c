"""Calls about what can be traded: markets, events, series, order books, public trades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from kalshi_cli.core.messages import BookSnapshot, PublicTrade
from kalshi_cli.core.model import Event, Market, Series
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.calls import NAMES_A_CALL, Calls, named, part, seconds
from kalshi_cli.units import Ts


class MarketCalls(Calls):
    """Public: they need no key."""

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
        """Markets by filter; `status` is unopened, open, paused, closed or settled. No combos unless asked for."""
        params: dict[str, str | int | None] = {
            "status": status,
            "series_ticker": series,
            "event_ticker": event,
            "min_close_ts": seconds(min_close),
            "max_close_ts": seconds(max_close),
            "mve_filter": None if combos or tickers else "exclude",
        }
        if not tickers:
            return self._pages("/markets", params, wire.read_markets, limit, is_public=True)
        batches = (",".join(tickers[at : at + NAMES_A_CALL]) for at in range(0, len(tickers), NAMES_A_CALL))
        found = chain.from_iterable(
            self._pages("/markets", {**params, "tickers": names}, wire.read_markets, is_public=True)
            for names in batches
        )
        return islice(found, limit)

    def market(self, ticker: str) -> Market:
        """One market, rules and grid included."""
        with named(ticker):
            return wire.read_market(self._get(f"/markets/{part(ticker)}", is_public=True))

    def event(self, ticker: str) -> Event:
        """An event, which names its series and may override the fees."""
        return wire.read_event(self._get(f"/events/{part(ticker)}", is_public=True))

    def series(self, ticker: str) -> Series:
        """A series and its fee schedule."""
        return wire.read_series(self._get(f"/series/{part(ticker)}", is_public=True))

    def orderbook(self, ticker: str, depth: int = 0) -> BookSnapshot:
        """The book on the YES scale; `depth` best levels, 0 for all. Stamped with the time it was asked for."""
        now = self._clock.now()
        with named(ticker):
            body = self._get(f"/markets/{part(ticker)}/orderbook", {"depth": depth or None}, is_public=True)
        return wire.read_orderbook(body, ticker, now)

    def orderbooks(self, tickers: Sequence[str]) -> list[BookSnapshot]:
        """The whole books of many markets, a hundred a request."""
        books: list[BookSnapshot] = []
        for start in range(0, len(tickers), NAMES_A_CALL):
            now = self._clock.now()
            some = list(tickers[start : start + NAMES_A_CALL])
            books += wire.read_orderbooks(self._get("/markets/orderbooks", {"tickers": some}, is_public=True), now)
        return books

    def trades(
        self, ticker: str | None = None, min_ts: Ts | None = None, max_ts: Ts | None = None, limit: int | None = None
    ) -> Iterator[PublicTrade]:
        """Public prints, newest first."""
        params = {"ticker": ticker, "min_ts": seconds(min_ts), "max_ts": seconds(max_ts)}
        return self._pages("/markets/trades", params, wire.read_trades, limit, is_public=True)
