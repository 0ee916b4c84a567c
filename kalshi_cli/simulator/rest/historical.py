"""The two tiers of data: what is older than a cutoff left the live endpoints for `/historical/*` (API.md 5.11).

Nothing is moved or copied: on which side a record lies follows from its age, so it is never on both and never on none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.records import RESTING, MarketRecord, OrderRecord, PositionRecord
from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.protocol.routing import Route, RouteCall
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


class DataTiers:
    """Where the line is now, and the endpoint that tells."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """The table of these endpoints."""
        return [Route("GET", "/historical/cutoff", "GetHistoricalCutoff", self.cutoff)]

    def cutoff(self, call: RouteCall) -> Json:
        now = self.at(call.now)
        return {
            "market_settled_ts": rfc3339(now.data),
            "trades_created_ts": rfc3339(now.data),
            "orders_updated_ts": rfc3339(now.orders),
            "market_positions_last_updated_ts": rfc3339(now.data),
        }

    def at(self, now: Ts) -> HistoryCutoff:
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
        cutoff = self.at(now)
        return {
            self.event_of(holding) for holding in holdings if not (holding.is_settled and holding.updated < cutoff.data)
        }
