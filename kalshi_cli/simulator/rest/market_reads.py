"""The GET endpoints that everybody may read: markets, books and prints, in the live tier and in the historical one."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.calendar import FAR
from kalshi_cli.simulator.model.records import MarketRecord, TradeRecord
from kalshi_cli.simulator.protocol.replies import Json, Query, invalid, newest
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
_FAMILIES = {  # which status a family of timestamps may be combined with; families exclude each other
    "created": (None, "unopened", "open"),
    "close": (None, "closed"),
    "settled": (None, "settled"),
    "updated": (None,),
}
_DAY_MS = 86_400_000


class Reads(TieredRoutes):
    """Markets, order books and prints."""

    @public("/exchange/user_data_timestamp", "GetUserDataTimestamp")
    def user_data_timestamp(self, call: RouteCall) -> Json:
        """The moment that reads of an account show."""
        return {"as_of_time": rfc3339(Ts(call.now - self._state.options.read_lag_ms))}

    # -- markets --

    @public("/markets", "GetMarkets")
    def markets(self, call: RouteCall) -> Json:
        """Those of the live tier."""
        query, now = call.query, call.now
        status = query.one_of("status", _FILTERS)
        windows = _windows(query, status)
        tickers, events = set(query.many("tickers")), set(query.many("event_ticker"))
        series, combos = query.text("series_ticker"), query.one_of("mve_filter", ("only", "exclude"))

        def wanted(market: MarketRecord) -> bool:
            spec = market.spec
            if (tickers and spec.ticker not in tickers) or not _is_wanted_combo(combos, market):
                return False
            if (events and spec.event_ticker not in events) or (series and self._series_of(market) != series):
                return False
            if status and shown_as(market, now) != status:
                return False
            return all(low <= (_moment(market, family) or -1) <= high for family, (low, high) in windows.items())

        return self._page(call, wanted)

    @public("/historical/markets", "GetHistoricalMarkets")
    def old_markets(self, call: RouteCall) -> Json:
        """Those that settled before the cutoff, by one filter at most."""
        query = call.query
        tickers, event, series = set(query.many("tickers")), query.text("event_ticker"), query.text("series_ticker")
        combos = query.one_of("mve_filter", ("exclude",))
        if sum(map(bool, (tickers, event, series, combos))) > 1:
            raise invalid("filters are mutually exclusive")

        def wanted(market: MarketRecord) -> bool:
            if (tickers and market.spec.ticker not in tickers) or not _is_wanted_combo(combos, market):
                return False
            return event in (None, market.spec.event_ticker) and (not series or self._series_of(market) == series)

        return self._page(call, wanted)

    def _page(self, call: RouteCall, wanted: Callable[[MarketRecord], bool]) -> Json:
        listed = filter(wanted, self._listed(call))
        return call.query.listing("markets", listed, lambda market: whole_market(self._state, market, call.now))

    @public("/markets/:ticker", "GetMarket")
    @public("/historical/markets/:ticker", "GetHistoricalMarket")
    def market(self, call: RouteCall) -> Json:
        """One market of the tier."""
        return {"market": whole_market(self._state, self.find_market(call.path[0], call), call.now)}

    # -- books and prints --

    @public("/markets/:ticker/orderbook", "GetMarketOrderbook")
    def orderbook(self, call: RouteCall) -> Json:
        market = self.find_market(call.path[0], call)
        depth = call.query.number("depth", most=100) or 0
        return {"orderbook_fp": book_json(self._state.books[market.spec.ticker], depth)}

    @public("/markets/orderbooks", "GetMarketOrderbooks")
    def orderbooks(self, call: RouteCall) -> Json:
        listed = {market.spec.ticker for market in self._listed(call)}
        known = [ticker for ticker in call.query.repeated("tickers") if ticker in listed]
        books = [{"ticker": ticker, "orderbook_fp": book_json(self._state.books[ticker], 0)} for ticker in known]
        return {"orderbooks": books}

    @public("/markets/trades", "GetTrades")
    @public("/historical/trades", "GetTradesHistorical")
    def trades(self, call: RouteCall) -> Json:
        """Those of the history are from before the cutoff; as far back as prints are kept."""
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
        return query.listing("trades", inside, trade_json, newest)

    # -- parts --

    def _listed(self, call: RouteCall) -> Iterator[MarketRecord]:
        """The markets of the tier of the call."""
        cutoff = self.cutoff(call.now)
        return (market for market in self._state.markets.values() if cutoff.has_market(market) is call.is_old)

    def _series_of(self, market: MarketRecord) -> str:
        return self._state.events[market.spec.event_ticker].series_ticker


def whole_market(state: SimulatorState, market: MarketRecord, now: Ts) -> Json:
    """A market as JSON, what it was a day ago included."""
    ticker = market.spec.ticker
    before = state.candles.before(ticker, 60, Ts(now - _DAY_MS + 1))
    return market_json(market, state.books[ticker], now, before)


def shown_as(market: MarketRecord, now: Ts) -> str:
    """The filter word for its status."""
    return _SHOWN_AS.get(market.status(now), "closed")


def is_combo(ticker: str) -> bool:
    """Combos and their events, of which the plain lists can be rid."""
    return ticker.startswith("KXMVE")


def _is_wanted_combo(combos: str | None, market: MarketRecord) -> bool:
    return combos is None or (combos == "only") is is_combo(market.spec.ticker)


def _windows(query: Query, status: str | None) -> dict[str, tuple[int, int]]:
    """The timestamp filters of GET /markets by family; families cannot be mixed, nor joined with every status."""
    windows: dict[str, tuple[int, int]] = {}
    for family, allowed in _FAMILIES.items():
        low, high = query.number(f"min_{family}_ts"), query.number(f"max_{family}_ts")
        if low is None and high is None:
            continue
        windows[family] = ((low or 0) * 1000, FAR if high is None else high * 1000 + 999)
        if status not in allowed:
            raise invalid(f"{family} timestamps do not go with status {status}")
    if len(windows) > 1:
        raise invalid("timestamp filters are mutually exclusive")
    if "updated" in windows:
        _check_updated(query)
    return windows


def _check_updated(query: Query) -> None:
    """Times of update go with nothing but `mve_filter=exclude`, and with a series that has it beside."""
    if query.text("tickers") or query.text("event_ticker") or query.text("mve_filter") not in (None, "exclude"):
        raise invalid("updated timestamps go with mve_filter=exclude only")
    if query.text("series_ticker") and query.text("mve_filter") is None:
        raise invalid("updated timestamps and series_ticker need mve_filter=exclude")


def _moment(market: MarketRecord, family: str) -> Ts | None:
    moments = {"created": market.announced, "close": market.close_time, "settled": market.settled}
    return moments.get(family, market.updated)
