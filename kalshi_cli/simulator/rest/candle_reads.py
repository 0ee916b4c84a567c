"""The GET endpoints of candles (one market, a batch, an event, the historical tier), and forecasts from them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.candles import BarRecord, period_end
from kalshi_cli.simulator.model.records import MarketRecord
from kalshi_cli.simulator.protocol.replies import Json, existing, invalid, not_found
from kalshi_cli.simulator.protocol.routing import RouteCall, private, public
from kalshi_cli.simulator.protocol.shapes import candle_json
from kalshi_cli.simulator.rest.historical import TieredRoutes

INTERVALS = (1, 60, 1440)
MAX_CANDLES = 10_000
"""The most candles of one request, over all its markets."""

MAX_OF_EVENT = 5_000
"""The most candles of an event: a longer span is cut, and the reply says where (UNVERIFIED number)."""

_FORECAST_INTERVALS = (0, *INTERVALS)
_MAX_PERCENTILES = 10


_EVENT = "/series/:series_ticker/events/:ticker"


class CandleReads(TieredRoutes):
    """Routes for the candles of markets and events."""

    @public("/series/:series_ticker/markets/:ticker/candlesticks", "GetMarketCandlesticks")
    @public("/historical/markets/:ticker/candlesticks", "GetMarketCandlesticksHistorical")
    def market(self, call: RouteCall) -> Json:
        """Return the candles of one market; in the historical tier without its series."""
        *series, ticker = call.path
        start, end, interval = _span(call)
        market = self.find_market(ticker, call)
        if series and self.series_of(market) != series[0]:
            raise not_found()
        _check_count(start, end, interval, 1)
        if call.is_old:
            shown = [candle_json(bar, is_old=True) for bar in self._bars(market, start, end, interval, call.now)]
        else:
            shown = self._candles(call, market, start, end, interval)
        return {"ticker": ticker, "candlesticks": shown}

    @public("/markets/candlesticks", "BatchGetMarketCandlesticks")
    def batch(self, call: RouteCall) -> Json:
        """Return the candles of several markets; unknown and historical markets are left out."""
        tickers = call.query.many("market_tickers")
        if not tickers:
            raise call.query.wrong("market_tickers", "required")
        start, end, interval = _span(call)
        _check_count(start, end, interval, len(tickers))
        listed = {market.spec.ticker: market for market in self.listed(call)}
        shown = [
            {"market_ticker": ticker, "candlesticks": self._candles(call, listed[ticker], start, end, interval)}
            for ticker in dict.fromkeys(tickers)
            if ticker in listed
        ]
        return {"markets": shown}

    @public(f"{_EVENT}/candlesticks", "GetMarketCandlesticksByEvent")
    def event(self, call: RouteCall) -> Json:
        """Return the candles of all markets of an event."""
        start, end, interval = _span(call)
        markets = self._markets_of(call)
        if markets:
            most = MAX_OF_EVENT // len(markets)
            end = min(end, Ts(start + most * interval * 60_000 - 1000))
        return {
            "market_tickers": [market.spec.ticker for market in markets],
            "market_candlesticks": [
                [candle_json(bar) for bar in self._bars(market, start, end, interval, call.now)] for market in markets
            ],
            "adjusted_end_ts": end // 1000,
        }

    @private(f"{_EVENT}/forecast_percentile_history", "GetEventForecastPercentilesHistory")
    def forecast(self, call: RouteCall) -> Json:
        """Return the values at which the prices of "above" markets cross each percentile.

        An event with fewer than two such markets has no forecast.
        """
        percentiles = [int(one) for one in call.query.repeated("percentiles", most=_MAX_PERCENTILES) if one.isdigit()]
        if not percentiles or max(percentiles) > 9999:
            raise call.query.wrong("percentiles", "lte")
        start, end, interval = _span(call, _FORECAST_INTERVALS)
        markets = sorted(
            (m for m in self._markets_of(call) if m.spec.strike_type.startswith("greater")),
            key=lambda market: market.spec.floor_strike or 0.0,
        )
        if len(markets) < 2:
            return {"forecast_history": []}
        length = interval or 1
        _check_count(start, end, length, len(markets))
        curves: dict[Ts, list[tuple[float, float]]] = {}
        for market in markets:
            for bar in self._bars(market, start, end, length, call.now):
                middle = (bar.bid.close + bar.ask.close) / 20_000
                curves.setdefault(bar.end, []).append((market.spec.floor_strike or 0.0, middle))
        history: list[Json] = [
            {"end_period_ts": at // 1000, "percentile_points": [_percentile(each, curves[at]) for each in percentiles]}
            for at in sorted(curves)
            if len(curves[at]) == len(markets)
        ]
        same = {"event_ticker": call.path[1], "period_interval": interval}
        return {"forecast_history": [same | point for point in history]}

    # -- parts --

    def _candles(self, call: RouteCall, market: MarketRecord, start: Ts, end: Ts, interval: int) -> list[Json]:
        bars = list(self._bars(market, start, end, interval, call.now))
        if call.query.flag("include_latest_before_start"):
            first = period_end(start, interval)
            before = self._state.candles.before(market.spec.ticker, interval, start)
            if before is not None and (not bars or bars[0].end > first):
                bars.insert(0, before.after(first))
        return [candle_json(bar) for bar in bars]

    def _bars(self, market: MarketRecord, start: Ts, end: Ts, interval: int, now: Ts) -> Iterator[BarRecord]:
        """Return the periods up to the running one; nothing changes after the close."""
        until = min(now, market.close_time)
        is_sparse = self._state.options.sparse_candles
        return self._state.candles.between(market.spec.ticker, interval, start, end, until, is_sparse=is_sparse)

    def _markets_of(self, call: RouteCall) -> list[MarketRecord]:
        series, event = call.path
        if existing(self._state.events.get(event)).series_ticker != series:
            raise not_found()
        return [market for market in self.listed(call) if market.spec.event_ticker == event]


def _span(call: RouteCall, intervals: tuple[int, ...] = INTERVALS) -> tuple[Ts, Ts, int]:
    """Return the required start and end (milliseconds, whole seconds) and the period in minutes."""
    query = call.query
    start, end, interval = (query.needed(name) for name in ("start_ts", "end_ts", "period_interval"))
    if interval not in intervals:
        raise query.wrong("period_interval", "oneof")
    if end < start:
        raise query.wrong("end_ts", "gtefield")
    return Ts(start * 1000), Ts(end * 1000), interval


def _check_count(start: Ts, end: Ts, interval: int, markets: int) -> None:
    if ((end - start) // (interval * 60_000) + 1) * markets > MAX_CANDLES:
        raise invalid(f"more than {MAX_CANDLES} candlesticks")


def _percentile(percentile: int, curve: list[tuple[float, float]]) -> Json:
    """Return the forecast at a percentile.

    `curve` has (strike, probability to be above it), by strike.
    """
    above = 1 - percentile / 10_000
    value = curve[0][0] if above >= curve[0][1] else curve[-1][0]
    for (low, more), (high, less) in pairwise(curve):
        if more >= above > less:
            value = low + (high - low) * (more - above) / (more - less)
            break
    return {
        "percentile": percentile,
        "raw_numerical_forecast": value,
        "numerical_forecast": round(value, 2),
        "formatted_forecast": f"{value:,.2f}",
    }
