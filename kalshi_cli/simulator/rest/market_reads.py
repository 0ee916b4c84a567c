"""The public GET endpoints of markets, order books and trades, in the live and the historical tier."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import calendar, listing
from kalshi_cli.simulator.model.records import MarketRecord, TradeRecord
from kalshi_cli.simulator.protocol.replies import Json, Query, invalid, newest, oldest
from kalshi_cli.simulator.protocol.routing import RouteCall, public
from kalshi_cli.simulator.protocol.shapes import book_json, market_json, rfc3339, trade_json
from kalshi_cli.simulator.rest.historical import TieredRoutes

_SHOWN_AS = {
    MarketStatus.INITIALIZED: "unopened",
    MarketStatus.ACTIVE: "open",
    MarketStatus.INACTIVE: "paused",
    MarketStatus.FINALIZED: "settled",
}
_FILTERS = ("unopened", "open", "paused", "closed", "settled")
_FAMILIES = {  # the status filters that each family of timestamps accepts; families exclude each other
    "created": (None, "unopened", "open"),
    "close": (None, "closed"),
    "settled": (None, "settled"),
    "updated": (None,),
}


class Reads(TieredRoutes):
    """Markets, order books and trades."""

    @public("/exchange/user_data_timestamp", "GetUserDataTimestamp")
    def user_data_timestamp(self, call: RouteCall) -> Json:
        """Return the time that account reads reflect."""
        return {"as_of_time": rfc3339(Ts(call.now - self._state.options.read_lag_ms))}

    # -- markets --

    @public("/markets", "GetMarkets")
    def markets(self, call: RouteCall) -> Json:
        """Return the markets of the live tier."""
        query, now = call.query, call.now
        status = query.one_of("status", _FILTERS)
        windows = _windows(query, status)
        tickers, events = set(query.many("tickers")), set(query.many("event_ticker"))
        series, combos = query.text("series_ticker"), query.one_of("mve_filter", ("only", "exclude"))

        def wanted(market: MarketRecord) -> bool:
            spec = market.spec
            if (tickers and spec.ticker not in tickers) or not _is_wanted_combo(combos, market):
                return False
            if (events and spec.event_ticker not in events) or (series and self.series_of(market) != series):
                return False
            if status and shown_as(market, now) != status:
                return False
            return all(low <= (_moment(market, family) or -1) <= high for family, (low, high) in windows.items())

        return self._page(call, wanted)

    @public("/historical/markets", "GetHistoricalMarkets")
    def old_markets(self, call: RouteCall) -> Json:
        """Return the markets of the historical tier, with one filter at most."""
        query = call.query
        tickers, event, series = set(query.many("tickers")), query.text("event_ticker"), query.text("series_ticker")
        combos = query.one_of("mve_filter", ("exclude",))
        if sum(map(bool, (tickers, event, series, combos))) > 1:
            raise invalid("filters are mutually exclusive")

        def wanted(market: MarketRecord) -> bool:
            if (tickers and market.spec.ticker not in tickers) or not _is_wanted_combo(combos, market):
                return False
            return event in (None, market.spec.event_ticker) and (not series or self.series_of(market) == series)

        return self._page(call, wanted)

    def _page(self, call: RouteCall, wanted: Callable[[MarketRecord], bool]) -> Json:
        def show(market: MarketRecord) -> Json:
            return whole_market(self._state, market, call.now)

        return call.query.listing("markets", filter(wanted, self.listed(call)), show, oldest)

    @public("/markets/:ticker", "GetMarket")
    @public("/historical/markets/:ticker", "GetHistoricalMarket")
    def market(self, call: RouteCall) -> Json:
        """Return one market of the tier."""
        return {"market": whole_market(self._state, self.find_market(call.path[0], call), call.now)}

    # -- order books and trades --

    @public("/markets/:ticker/orderbook", "GetMarketOrderbook")
    def orderbook(self, call: RouteCall) -> Json:
        """Return the order book of one market."""
        market = self.find_market(call.path[0], call)
        depth = call.query.number("depth", most=100) or 0
        return {"orderbook_fp": book_json(self._state.books[market.spec.ticker], depth)}

    @public("/markets/orderbooks", "GetMarketOrderbooks")
    def orderbooks(self, call: RouteCall) -> Json:
        """Return the order books of several markets; unknown markets are left out."""
        listed = {market.spec.ticker for market in self.listed(call)}
        known = [ticker for ticker in call.query.repeated("tickers") if ticker in listed]
        books = [{"ticker": ticker, "orderbook_fp": book_json(self._state.books[ticker], 0)} for ticker in known]
        return {"orderbooks": books}

    @public("/markets/trades", "GetTrades")
    @public("/historical/trades", "GetTradesHistorical")
    def trades(self, call: RouteCall) -> Json:
        """Return the public trades of the tier that are still stored, the newest first."""
        query, cutoff = call.query, self.cutoff(call.now)
        ticker, (low, high) = query.text("ticker"), query.window()
        is_block = query.one_of("is_block_trade", ("true", "false"))
        tapes = [self._state.trades.get(ticker, ())] if ticker else self._state.trades.values()
        merged: Iterator[TradeRecord] = heapq.merge(*map(reversed, tapes), key=newest)
        inside = (
            trade
            for trade in merged
            if low <= trade.ts <= high
            and is_block in (None, "true" if trade.is_block else "false")
            and cutoff.has_moment(trade.ts) is call.is_old
        )
        return query.listing("trades", inside, trade_json)


def whole_market(state: SimulatorState, market: MarketRecord, now: Ts) -> Json:
    """Return a market with its prices of a day ago."""
    ticker = market.spec.ticker
    before = state.candles.before(ticker, 60, Ts(now - calendar.DAY + 1))
    return market_json(market, state.books[ticker], now, before)


def shown_as(market: MarketRecord, now: Ts) -> str:
    """Return the filter word for the status of a market."""
    return _SHOWN_AS.get(market.status(now), "closed")


def _is_wanted_combo(combos: str | None, market: MarketRecord) -> bool:
    return combos is None or (combos == "only") is listing.is_combo(market.spec.ticker)


def _windows(query: Query, status: str | None) -> dict[str, tuple[int, int]]:
    """Return the timestamp filters of GET /markets by family, or refuse a combination that is not allowed."""
    windows: dict[str, tuple[int, int]] = {}
    for family, allowed in _FAMILIES.items():
        if query.text(f"min_{family}_ts") or query.text(f"max_{family}_ts"):
            windows[family] = query.window(f"{family}_ts")
            if status not in allowed:
                raise invalid(f"{family} timestamps do not go with status {status}")
    if len(windows) > 1:
        raise invalid("timestamp filters are mutually exclusive")
    if "updated" in windows:
        _check_updated(query)
    return windows


def _check_updated(query: Query) -> None:
    """Refuse filters that update times do not accept: only `mve_filter=exclude`, and with it a series."""
    if query.text("tickers") or query.text("event_ticker") or query.text("mve_filter") not in (None, "exclude"):
        raise invalid("updated timestamps go with mve_filter=exclude only")
    if query.text("series_ticker") and query.text("mve_filter") is None:
        raise invalid("updated timestamps and series_ticker need mve_filter=exclude")


def _moment(market: MarketRecord, family: str) -> Ts | None:
    moments = {"created": market.announced, "close": market.close_time, "settled": market.settled}
    return moments.get(family, market.updated)
