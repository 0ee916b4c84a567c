"""The two tiers of data: what is older than a cutoff left the live endpoints for `/historical/*` (API.md 5.11).

Nothing is moved or copied: on which side a record lies follows from its age, so it is never on both and never on none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.records import RESTING, MarketRecord, OrderRecord, PositionRecord
from kalshi_cli.simulator.protocol.replies import Json, not_found
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, public
from kalshi_cli.simulator.protocol.shapes import rfc3339


class HistoryCutoff(NamedTuple):
    """Markets by settlement, trades and fills by time, settled positions by their last change: `data`. Orders by their
    end: `orders`.
    """

    data: Ts
    orders: Ts

    def has_market(self, market: MarketRecord) -> bool:
        """Whether it, and its candles, are history."""
        return market.settled is not None and market.settled < self.data

    def has_moment(self, ts: Ts) -> bool:
        """Whether a trade or a fill of then is history."""
        return ts < self.data

    def has_order(self, order: OrderRecord) -> bool:
        """A resting order never is."""
        return order.status != RESTING and order.updated < self.orders


class TieredRoutes(Routes):
    """Routes of records that lie in one tier or the other."""

    def cutoff(self, now: Ts) -> HistoryCutoff:
        """In whole seconds, as filters are."""
        options = self._state.options
        data, orders = now - options.history_after_ms, now - options.orders_after_ms
        return HistoryCutoff(Ts(max(0, data // 1000 * 1000)), Ts(max(0, orders // 1000 * 1000)))

    def event_of(self, holding: PositionRecord) -> str:
        """The event of a position; a market that is long gone stands for itself."""
        market = self._state.markets.get(holding.ticker)
        return market.spec.event_ticker if market is not None else holding.ticker

    def live_events(self, holdings: Iterable[PositionRecord], now: Ts) -> set[str]:
        """The events of which an account's positions are live: they move to history together, never one by one."""
        cutoff = self.cutoff(now)
        return {
            self.event_of(holding) for holding in holdings if not (holding.is_settled and holding.updated < cutoff.data)
        }

    def find_market(self, ticker: str, call: RouteCall) -> MarketRecord:
        """The market in the tier of the call."""
        market = self._state.markets.get(ticker)
        if market is None or self.cutoff(call.now).has_market(market) is not call.is_old:
            raise not_found()
        return market


class CutoffRoutes(TieredRoutes):
    """The endpoint that tells where the line is now."""

    @public("/historical/cutoff", "GetHistoricalCutoff")
    def shown(self, call: RouteCall) -> Json:
        """The cutoff by kind of record."""
        now = self.cutoff(call.now)
        return {
            "market_settled_ts": rfc3339(now.data),
            "trades_created_ts": rfc3339(now.data),
            "orders_updated_ts": rfc3339(now.orders),
            "market_positions_last_updated_ts": rfc3339(now.data),
        }
