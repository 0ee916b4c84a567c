"""The GET endpoints that everybody may read: the exchange and its markets as they are."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from kalshi_cli.core.model import MarketStatus
from kalshi_cli.sim.records import MarketRecord, TradeRecord
from kalshi_cli.sim.replies import FAR, Json, Query, nested
from kalshi_cli.sim.routing import Call
from kalshi_cli.sim.shapes import (
    book_json,
    event_json,
    market_json,
    rfc3339,
    series_json,
    trade_json,
)
from kalshi_cli.sim.state import State
from kalshi_cli.units import Ts

_SHOWN_AS = {
    MarketStatus.INITIALIZED: "unopened",
    MarketStatus.ACTIVE: "open",
    MarketStatus.INACTIVE: "paused",
    MarketStatus.FINALIZED: "settled",
}
_FILTERS = ("unopened", "open", "paused", "closed", "settled")
_FAMILIES = {  # which status a family of timestamps may be combined with; families exclude each other
    "created": (None, "unopened", "open"),
    "close": (None, "closed"),
    "settled": (None, "settled"),
    "updated": (None,),
}


class Reads:
    """Every method answers the body of a 200."""

    def __init__(self, state: State) -> None:
        self._state = state

    # -- the exchange --

    def user_data_timestamp(self, call: Call) -> Json:
        return {"as_of_time": rfc3339(Ts(call.now - self._state.options.read_lag_ms))}

    def limits(self, _: Call) -> Json:
        options = self._state.options
        return {
            "usage_tier": options.usage_tier,
            "read": {"refill_rate": options.read_rate, "bucket_capacity": options.read_rate},
            "write": {"refill_rate": options.write_rate, "bucket_capacity": options.write_rate},
            "grants": [],
        }

    # -- public market data --

    def markets(self, call: Call) -> Json:
        query, now = call.query, call.now
        status = query.one_of("status", _FILTERS)
        windows = _windows(query, status)
        tickers, events = set(query.many("tickers")), set(query.many("event_ticker"))
        series, combos = query.text("series_ticker"), query.one_of("mve_filter", ("only", "exclude"))

        def wanted(market: MarketRecord) -> bool:
            spec = market.spec
            if combos == "only" or (tickers and spec.ticker not in tickers):
                return False
            if (events and spec.event_ticker not in events) or (series and self._series_of(market) != series):
                return False
            if status and _SHOWN_AS.get(market.status(now), "closed") != status:
                return False
            return all(low <= (_moment(market, family) or -1) <= high for family, (low, high) in windows.items())

        found, cursor = query.page(filter(wanted, self._state.markets.values()), lambda market: market.number)
        return {"markets": [self._market(market, now) for market in found], "cursor": cursor}

    def market(self, call: Call) -> Json:
        return {"market": self._market(self._find(call.path[0]), call.now)}

    def orderbook(self, call: Call) -> Json:
        market = self._find(call.path[0])
        depth = call.query.number("depth", most=100) or 0
        return {"orderbook_fp": book_json(self._state.books[market.spec.ticker], depth)}

    def orderbooks(self, call: Call) -> Json:
        known = [ticker for ticker in call.query.repeated("tickers") if ticker in self._state.books]
        books = [{"ticker": ticker, "orderbook_fp": book_json(self._state.books[ticker], 0)} for ticker in known]
        return {"orderbooks": books}

    def trades(self, call: Call) -> Json:
        query = call.query
        ticker, (low, high) = query.text("ticker"), query.window()
        tapes = [self._state.trades.get(ticker, ())] if ticker else self._state.trades.values()
        newest: Iterator[TradeRecord] = heapq.merge(*map(reversed, tapes), key=lambda trade: -trade.number)
        inside = (trade for trade in newest if low <= trade.ts <= high and query.text("is_block_trade") != "true")
        found, cursor = query.page(inside, lambda trade: -trade.number)
        return {"trades": [trade_json(trade) for trade in found], "cursor": cursor}

    def events(self, call: Call) -> Json:
        query, state = call.query, self._state
        status = query.one_of("status", ("unopened", "open", "closed", "settled"))
        series, tickers = query.text("series_ticker"), set(query.many("tickers"))
        closing = (query.number("min_close_ts") or 0) * 1000
        children: dict[str, list[MarketRecord]] = {ticker: [] for ticker in state.events}
        for market in state.markets.values():
            children[market.spec.event_ticker].append(market)

        def wanted(item: tuple[int, str]) -> bool:
            event, markets = state.events[item[1]], children[item[1]]
            if (series and event.series_ticker != series) or (tickers and event.event_ticker not in tickers):
                return False
            shown = {_SHOWN_AS.get(market.status(call.now), "closed") for market in markets}
            if status and status not in shown:
                return False
            return not closing or any(market.close_time >= closing for market in markets)

        found, cursor = query.page(filter(wanted, enumerate(state.events)), lambda item: item[0], usual=200, most=200)
        is_nested = query.flag("with_nested_markets")
        shown = [self._event(ticker, children[ticker] if is_nested else None, call.now) for _, ticker in found]
        return {"events": shown, "milestones": [], "cursor": cursor}

    def event(self, call: Call) -> Json:
        ticker = call.path[0]
        if ticker not in self._state.events:
            raise nested(404, "not_found")
        markets = [market for market in self._state.markets.values() if market.spec.event_ticker == ticker]
        is_nested = call.query.flag("with_nested_markets")
        return {
            "event": self._event(ticker, markets if is_nested else None, call.now),
            "markets": [self._market(market, call.now) for market in markets],
        }

    def series_list(self, call: Call) -> Json:
        category = call.query.text("category")
        series = self._state.series.values()
        return {
            "series": [
                series_json(spec, self._state.shard_of(spec.ticker))
                for spec in series
                if category in (None, spec.category)
            ]
        }

    def series(self, call: Call) -> Json:
        spec = self._state.series.get(call.path[0])
        if spec is None:
            raise nested(404, "not_found")
        return {"series": series_json(spec, self._state.shard_of(spec.ticker))}

    # -- parts --

    def _find(self, ticker: str) -> MarketRecord:
        market = self._state.markets.get(ticker)
        if market is None:
            raise nested(404, "not_found")
        return market

    def _series_of(self, market: MarketRecord) -> str:
        return self._state.events[market.spec.event_ticker].series_ticker

    def _market(self, market: MarketRecord, now: Ts) -> Json:
        return market_json(market, self._state.books[market.spec.ticker], now)

    def _event(self, ticker: str, markets: list[MarketRecord] | None, now: Ts) -> Json:
        event = self._state.events[ticker]
        shown = event_json(event, self._state.series[event.series_ticker], self._state.shard_of(ticker))
        if markets is not None:
            shown["markets"] = [self._market(market, now) for market in markets]
        return shown


def _windows(query: Query, status: str | None) -> dict[str, tuple[int, int]]:
    """The timestamp filters of GET /markets by family; families cannot be mixed, nor joined with every status."""
    windows: dict[str, tuple[int, int]] = {}
    for family, allowed in _FAMILIES.items():
        low, high = query.number(f"min_{family}_ts"), query.number(f"max_{family}_ts")
        if low is None and high is None:
            continue
        windows[family] = ((low or 0) * 1000, FAR if high is None else high * 1000 + 999)
        if status not in allowed:
            raise nested(400, "invalid_parameters", f"{family} timestamps do not go with status {status}")
    if len(windows) > 1:
        raise nested(400, "invalid_parameters", "timestamp filters are mutually exclusive")
    return windows


def _moment(market: MarketRecord, family: str) -> Ts | None:
    match family:
        case "created":
            return market.created
        case "close":
            return market.close_time
        case "settled":
            return market.settled
        case _:
            return market.updated
