"""Endpoints of past data: candles by each of their routes, and the historical tier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model import messages, orders, positions
from kalshi_cli.core.model.markets import Candle, Market, MarketDetails
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.base import NAMES_A_CALL, Endpoints, not_found_as, quote_part, seconds
from kalshi_cli.exchange.wire.values import ResponseFormatError

CANDLES_A_REQUEST = 10_000
"""Limit for all markets of a request together (API.md section 5.10); used for routes of one market too."""

MAX_REQUESTS = 500
"""Limit for one period; a year of minutes takes 53."""


class HistoryEndpoints(Endpoints):
    """Past data of one tier; `FullHistoryReads` merges both. Only fills, orders and positions need a key."""

    def historical_cutoff(self) -> wire.candles.Cutoff:
        """Return the times before which data moved to the historical tier."""
        return wire.candles.read_cutoff(self._public("/historical/cutoff"))

    # -- candles; `start` and `end` are end times of candles, both included --

    def candles(
        self, series: str, ticker: str, start: Ts, end: Ts, interval_min: int, *, with_previous: bool = False
    ) -> list[Candle]:
        """Return candles of one market of the live tier, oldest first.

        `with_previous` adds the last candle before `start`.
        """
        path = f"/series/{quote_part(series)}/markets/{quote_part(ticker)}/candlesticks"
        found: list[Candle] = []
        for span in spans(start, end, interval_min, CANDLES_A_REQUEST):
            if with_previous and not found:
                span["include_latest_before_start"] = "true"
            with not_found_as(ticker):
                found += wire.candles.read_candles(self._public(path, span))
        return found

    def batch_candles(
        self, tickers: Sequence[str], start: Ts, end: Ts, interval_min: int, *, with_previous: bool = False
    ) -> dict[str, list[Candle]]:
        """Return candles by market, in requests of a hundred markets and ten thousand candles; skip unknown markets."""
        found: dict[str, list[Candle]] = {}
        for at in range(0, len(tickers), NAMES_A_CALL):
            names = tickers[at : at + NAMES_A_CALL]
            each = max(1, CANDLES_A_REQUEST // len(names) - 1)  # one more may come from before the start
            for number, span in enumerate(spans(start, end, interval_min, each)):
                params: dict[str, str | int | None] = {"market_tickers": ",".join(names), **span}
                if with_previous and number == 0:
                    params["include_latest_before_start"] = "true"
                body = self._public("/markets/candlesticks", params)
                for ticker, candles in wire.candles.read_batch_candles(body).items():
                    found.setdefault(ticker, []).extend(candles)
        return found

    def event_candles(self, series: str, event: str, start: Ts, end: Ts, interval_min: int) -> dict[str, list[Candle]]:
        """Return candles of all markets of an event.

        The exchange may shorten the period; the rest is requested until it is complete.
        """
        path = f"/series/{quote_part(series)}/events/{quote_part(event)}/candlesticks"
        found: dict[str, dict[Ts, Candle]] = {}
        at = start
        for _ in range(MAX_REQUESTS):
            params = {"start_ts": at // 1000, "end_ts": end // 1000, "period_interval": interval_min}
            read = wire.candles.read_event_candles(self._public(path, params))
            for ticker, candles in read.markets.items():
                found.setdefault(ticker, {}).update({candle.end: candle for candle in candles})
            if read.until >= end // 1000 * 1000:
                return {ticker: [by_end[key] for key in sorted(by_end)] for ticker, by_end in found.items()}
            if read.until < at:
                raise ResponseFormatError(
                    f"{path}: the response ends before the start of the requested period", code="no_progress"
                )
            at = Ts(read.until + 1000)
        raise ResponseFormatError(f"{path}: the period needs more than {MAX_REQUESTS} requests", code="too_many_pages")

    def historical_candles(self, ticker: str, start: Ts, end: Ts, interval_min: int) -> list[Candle]:
        """Return candles of one market that settled before the cutoff, oldest first."""
        path = f"/historical/markets/{quote_part(ticker)}/candlesticks"
        found: list[Candle] = []
        for span in spans(start, end, interval_min, CANDLES_A_REQUEST):
            with not_found_as(ticker):
                found += wire.candles.read_historical_candles(self._public(path, span))
        return found

    # -- markets and trades --

    def historical_markets(
        self, event: str | None = None, series: str | None = None, limit: int | None = None
    ) -> Iterator[Market]:
        """Return markets that settled before the cutoff, of an event or a series."""
        params = {"event_ticker": event, "series_ticker": series}
        return self._pages("/historical/markets", params, wire.markets.read_markets, limit, is_public=True)

    def historical_markets_of(self, event: str) -> Iterator[MarketDetails]:
        """Return the markets of an event that settled before the cutoff, with every field."""
        return self._pages(
            "/historical/markets", {"event_ticker": event}, wire.markets.read_whole_markets, is_public=True
        )

    def historical_market(self, ticker: str) -> MarketDetails:
        """Return one market that settled before the cutoff."""
        with not_found_as(ticker):
            return wire.markets.read_market(self._public(f"/historical/markets/{quote_part(ticker)}"))

    def historical_trades(
        self, ticker: str | None = None, min_ts: Ts | None = None, max_ts: Ts | None = None, limit: int | None = None
    ) -> Iterator[messages.PublicTrade]:
        """Return public trades from before the cutoff, newest first."""
        params = {"ticker": ticker, "min_ts": seconds(min_ts), "max_ts": seconds(max_ts)}
        return self._pages("/historical/trades", params, wire.markets.read_trades, limit, is_public=True)

    # -- the account --

    def historical_fills(
        self,
        ticker: str | None = None,
        min_ts: Ts | None = None,
        subaccount: int | None = None,
        max_ts: Ts | None = None,
    ) -> Iterator[orders.Fill]:
        """Return the account's fills from before the cutoff, newest first; of all subaccounts, or of one."""
        params = {
            "ticker": ticker, "min_ts": seconds(min_ts), "max_ts": seconds(max_ts), "subaccount": subaccount
        }  # fmt: skip
        return self._pages("/historical/fills", params, wire.orders.read_fills)

    def historical_orders(
        self, ticker: str | None = None, min_ts: Ts | None = None, subaccount: int | None = None
    ) -> Iterator[orders.Order]:
        """Return orders that were canceled or executed before the cutoff, newest first."""
        params = {"ticker": ticker, "min_ts": seconds(min_ts), "subaccount": subaccount}
        return self._pages("/historical/orders", params, wire.orders.read_orders)

    def historical_positions(
        self, ticker: str | None = None, event: str | None = None, subaccount: int | None = None
    ) -> Iterator[positions.ExchangePosition]:
        """Return settled positions from before the cutoff; without a subaccount, of the primary one only."""
        params = {"ticker": ticker, "event_ticker": event, "subaccount": subaccount}
        return self._pages("/historical/positions", params, wire.account.read_positions)


def spans(start: Ts, end: Ts, interval_min: int, most: int) -> list[dict[str, str | int | None]]:
    """Return the parameters of requests that cover the period, both ends included, with at most `most` candles each."""
    length = interval_min * 60 * most
    found: list[dict[str, str | int | None]] = []
    at, last = start // 1000, end // 1000
    while at <= last:
        if len(found) == MAX_REQUESTS:
            raise UsageError("Too many candles for one request", hint="use a longer --interval or a shorter period")
        until = min(at + length - 1, last)
        found.append({"start_ts": at, "end_ts": until, "period_interval": interval_min})
        at = until + 1
    return found
