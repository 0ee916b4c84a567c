"""The two tiers of data: records older than a cutoff left the live endpoints for `/historical/*` (API.md 5.11).

Nothing is moved or copied. The tier of a record follows from its age, so each record is in exactly one tier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.records import RESTING, MarketRecord, OrderRecord, PositionRecord
from kalshi_cli.simulator.protocol.replies import Json, existing, not_found
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, public
from kalshi_cli.simulator.protocol.shapes import rfc3339


class HistoryCutoff(NamedTuple):
    """The two cutoffs.

    `data` is for markets (by settlement), trades and fills (by time), and settled positions (by last change);
    `orders` is for orders (by end).
    """

    data: Ts
    orders: Ts

    def has_market(self, market: MarketRecord) -> bool:
        """Return whether a market and its candles are history."""
        return market.settled is not None and market.settled < self.data

    def has_moment(self, ts: Ts) -> bool:
        """Return whether a trade or fill at this time is history."""
        return ts < self.data

    def has_order(self, order: OrderRecord) -> bool:
        """Return whether an order is history; a resting order never is."""
        return order.status != RESTING and order.updated < self.orders


class TieredRoutes(Routes):
    """Routes of records that lie in one tier or the other."""

    def cutoff(self, now: Ts) -> HistoryCutoff:
        """Return the cutoffs at a time, in whole seconds like the filters."""
        options = self._state.options
        data, orders = now - options.history_after_ms, now - options.orders_after_ms
        return HistoryCutoff(Ts(max(0, data // 1000 * 1000)), Ts(max(0, orders // 1000 * 1000)))

    def event_of(self, ticker: str, default: str = "") -> str:
        """Return the event of a market, or the default where the market no longer exists."""
        market = self._state.markets.get(ticker)
        return market.spec.event_ticker if market is not None else default

    def series_of(self, market: MarketRecord) -> str:
        """Return the series of a market."""
        return self._state.events[market.spec.event_ticker].series_ticker

    def live_events(self, holdings: Iterable[PositionRecord], now: Ts) -> set[str]:
        """Return the events with live positions: the positions of an event become history together."""
        data = self.cutoff(now).data
        live = (one for one in holdings if not (one.is_settled and one.updated < data))
        return {self.event_of(one.ticker, one.ticker) for one in live}

    def listed(self, call: RouteCall) -> Iterator[MarketRecord]:
        """Yield the markets in the tier of the call."""
        cutoff = self.cutoff(call.now)
        return (market for market in self._state.markets.values() if cutoff.has_market(market) is call.is_old)

    def find_market(self, ticker: str, call: RouteCall) -> MarketRecord:
        """Return a market in the tier of the call, or raise a 404."""
        market = existing(self._state.markets.get(ticker))
        if self.cutoff(call.now).has_market(market) is not call.is_old:
            raise not_found()
        return market


class CutoffRoutes(TieredRoutes):
    """The endpoint with the current cutoffs."""

    @public("/historical/cutoff", "GetHistoricalCutoff")
    def shown(self, call: RouteCall) -> Json:
        """Return the cutoff of each kind of record."""
        cutoff = self.cutoff(call.now)
        kinds = ("market_settled_ts", "trades_created_ts", "market_positions_last_updated_ts")
        return dict.fromkeys(kinds, rfc3339(cutoff.data)) | {"orders_updated_ts": rfc3339(cutoff.orders)}
