"""The GET endpoints of candles: one market, a batch, an event, and the historical tier; and forecasts made of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.candles import BarRecord, period_end
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.records import MarketRecord
from kalshi_cli.simulator.protocol.replies import Json, nested
from kalshi_cli.simulator.protocol.routing import Route, RouteCall
from kalshi_cli.simulator.protocol.shapes import candle_json, old_candle_json
from kalshi_cli.simulator.rest.historical import DataTiers

INTERVALS = (1, 60, 1440)
MAX_CANDLES = 10_000
"""Of all markets of one request."""

MAX_OF_EVENT = 5_000
"""Of all markets of an event together: a longer span is cut, and the answer says where. UNVERIFIED how many."""

_FORECAST_INTERVALS = (0, *INTERVALS)
_MAX_PERCENTILES = 10


class CandleReads:
    """Every method answers the body of a 200."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state
        self._tiers = DataTiers(state)

    def routes(self) -> list[Route]:
        """The table of these endpoints."""
        event = "/series/:series_ticker/events/:ticker"
        forecast = "GetEventForecastPercentilesHistory"
        old = "/historical/markets/:ticker/candlesticks"
        return [
            Route("GET", "/markets/candlesticks", "BatchGetMarketCandlesticks", self.batch),
            Route("GET", "/series/:series_ticker/markets/:ticker/candlesticks", "GetMarketCandlesticks", self.market),
            Route("GET", f"{event}/candlesticks", "GetMarketCandlesticksByEvent", self.event),
            Route("GET", f"{event}/forecast_percentile_history", forecast, self.forecast, is_private=True),
            Route("GET", old, "GetMarketCandlesticksHistorical", self.old_market),
        ]

    def market(self, call: RouteCall) -> Json:
        series, ticker = call.path
        start, end, interval = _span(call)
        market = self._find(ticker, call.now, is_old=False)
        if self._state.events[market.spec.event_ticker].series_ticker != series:
            raise nested(404, "not_found")
        _check_count(start, end, interval, 1)
        return {"ticker": ticker, "candlesticks": self._candles(call, market, start, end, interval)}

    def old_market(self, call: RouteCall) -> Json:
        (ticker,) = call.path
        start, end, interval = _span(call)
        market = self._find(ticker, call.now, is_old=True)
        _check_count(start, end, interval, 1)
        bars = self._bars(market, start, end, interval, call.now)
        return {"ticker": ticker, "candlesticks": [old_candle_json(bar) for bar in bars]}

    def batch(self, call: RouteCall) -> Json:
        """Markets that are not known, or history, are left out."""
        tickers = call.query.many("market_tickers")
        if not tickers:
            raise call.query.missing("market_tickers")
        start, end, interval = _span(call)
        _check_count(start, end, interval, len(tickers))
        cutoff = self._tiers.at(call.now)
        markets = [self._state.markets[ticker] for ticker in dict.fromkeys(tickers) if ticker in self._state.markets]
        return {
            "markets": [
                {
                    "market_ticker": market.spec.ticker,
                    "candlesticks": self._candles(call, market, start, end, interval),
                }
                for market in markets
                if not cutoff.has_market(market)
            ]
        }

    def event(self, call: RouteCall) -> Json:
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

    def forecast(self, call: RouteCall) -> Json:
        """Where the prices of "above" markets cross each percentile. Empty for an event that has not two of them."""
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
        return {
            "forecast_history": [
                {
                    "event_ticker": call.path[1],
                    "end_period_ts": at // 1000,
                    "period_interval": interval,
                    "percentile_points": [_percentile(each, curves[at]) for each in percentiles],
                }
                for at in sorted(curves)
                if len(curves[at]) == len(markets)
            ]
        }

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
        """Up to the period that runs now; after the close nothing moves any more."""
        until = min(now, market.close_time)
        is_sparse = self._state.options.sparse_candles
        return self._state.candles.between(market.spec.ticker, interval, start, end, until, is_sparse=is_sparse)

    def _find(self, ticker: str, now: Ts, *, is_old: bool) -> MarketRecord:
        market = self._state.markets.get(ticker)
        if market is None or self._tiers.at(now).has_market(market) is not is_old:
            raise nested(404, "not_found")
        return market

    def _markets_of(self, call: RouteCall) -> list[MarketRecord]:
        series, event = call.path
        known = self._state.events.get(event)
        if known is None or known.series_ticker != series:
            raise nested(404, "not_found")
        cutoff = self._tiers.at(call.now)
        markets = self._state.markets.values()
        return [m for m in markets if m.spec.event_ticker == event and not cutoff.has_market(m)]


def _span(call: RouteCall, intervals: tuple[int, ...] = INTERVALS) -> tuple[Ts, Ts, int]:
    """Start and end (milliseconds, whole seconds) and the length of a period in minutes; all three are required."""
    query = call.query
    start, end, interval = (query.needed(name) for name in ("start_ts", "end_ts", "period_interval"))
    if interval not in intervals:
        raise query.wrong("period_interval", "oneof")
    if end < start:
        raise query.wrong("end_ts", "gtefield")
    return Ts(start * 1000), Ts(end * 1000), interval


def _check_count(start: Ts, end: Ts, interval: int, markets: int) -> None:
    if ((end - start) // (interval * 60_000) + 1) * markets > MAX_CANDLES:
        raise nested(400, "invalid_parameters", f"more than {MAX_CANDLES} candlesticks")


def _percentile(percentile: int, curve: list[tuple[float, float]]) -> Json:
    """`curve` is (strike, chance to be above it), by strike: the forecast is where that chance is what is left."""
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
