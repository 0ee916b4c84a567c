"""Reads over both tiers: live data first, then the historical tier. Complete, or an error.

Markets, trades and positions stay live for about three months, ended orders for two weeks (API.md section 5.11).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import islice
from typing import TypeVar

from kalshi_cli.base.errors import NotFoundError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Candle, Market
from kalshi_cli.core.model.messages import PublicTrade
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.events import EventEndpoints
from kalshi_cli.exchange.endpoints.history import HistoryEndpoints
from kalshi_cli.exchange.endpoints.markets import MarketEndpoints
from kalshi_cli.exchange.endpoints.orders import OrderEndpoints
from kalshi_cli.exchange.endpoints.portfolio import PortfolioEndpoints

RECENT_MS = 26 * 3_600_000
"""Newer data is never historical, so loops and checks, which read one day, do not ask for the cutoff.

The shortest period that was announced is two weeks (24 September 2026), but a shorter one must lose no data.
"""
_ENDED = {"canceled": (OrderStatus.CANCELED, OrderStatus.EXPIRED), "executed": (OrderStatus.FILLED,)}


class FullHistoryReads(MarketEndpoints, EventEndpoints, HistoryEndpoints, OrderEndpoints, PortfolioEndpoints):
    """Complete history of data that the other groups read by tier."""

    def all_trades(
        self, ticker: str | None = None, min_ts: Ts | None = None, max_ts: Ts | None = None, limit: int | None = None
    ) -> list[PublicTrade]:
        """Return public trades of a period, newest first: all, or the newest `limit`."""
        live = list(self.trades(ticker, min_ts, max_ts, limit))
        if len(live) == limit or not self._reaches_back(min_ts, lambda cutoff: cutoff.trades):
            return live
        old = self.historical_trades(ticker, min_ts, max_ts, limit)
        return newest_first(live, old, lambda trade: trade.trade_id, lambda trade: trade.ts)[:limit]

    def all_fills(
        self, ticker: str | None = None, min_ts: Ts | None = None, limit: int | None = None, max_ts: Ts | None = None
    ) -> list[Fill]:
        """Return the account's fills of a period, of all subaccounts, newest first: all, or the newest `limit`."""
        live = list(islice(self.fills(ticker, min_ts, max_ts), limit))
        if len(live) == limit or not self._reaches_back(min_ts, lambda cutoff: cutoff.trades):
            return live
        old = islice(self.historical_fills(ticker, min_ts, max_ts=max_ts), limit)
        # A trade between two subaccounts of the account is two fills with one id.
        return newest_first(live, old, lambda fill: (fill.trade_id, fill.order_id), lambda fill: fill.ts)[:limit]

    def all_orders(
        self,
        status: str | None = None,
        ticker: str | None = None,
        min_ts: Ts | None = None,
        *,
        event: str | None = None,
        subaccount: int | None = None,
    ) -> list[Order]:
        """Return orders, newest first; `status` is resting, canceled or executed. Resting orders are always live."""
        live = list(self.orders(status, ticker, min_ts, event=event, subaccount=subaccount))
        if status == "resting" or not self._reaches_back(min_ts, lambda cutoff: cutoff.orders):
            return live
        old = (
            order
            for order in self.historical_orders(ticker, min_ts, subaccount)
            if status is None or order.status in _ENDED[status]
        )
        if event is not None:  # the historical tier does not filter by event
            markets = {market.ticker for market in self.event(event, with_markets=True).markets}
            markets |= {market.ticker for market in self.historical_markets(event=event)}
            old = (order for order in old if order.ticker in markets)
        return newest_first(live, old, lambda order: order.order_id, lambda order: order.created)

    def all_candles(self, market: Market, start: Ts, end: Ts, interval_min: int) -> list[Candle]:
        """Return the candles of one market, oldest first, of both tiers if it settled before the cutoff."""
        live: list[Candle] = []
        is_gone = False
        try:
            live = self.candles(self.event(market.event_ticker).series_ticker, market.ticker, start, end, interval_min)
        except NotFoundError:
            is_gone = True
        settled = market.settlement_ts
        if not is_gone and (settled is None or settled >= self.historical_cutoff().markets):
            return live
        try:
            old = self.historical_candles(market.ticker, start, end, interval_min)
        except NotFoundError:
            if is_gone:
                raise
            old = []
        return newest_first(live, old, lambda candle: candle.end, lambda candle: candle.end)[::-1]

    def _reaches_back(self, min_ts: Ts | None, which: Callable[[wire.candles.Cutoff], Ts]) -> bool:
        """Return whether a period may include historical data. Call it after reading the live tier.

        The cutoff moves on meanwhile.
        """
        if min_ts is None:
            return True
        return self._clock.now() - min_ts >= RECENT_MS and min_ts < which(self.historical_cutoff())


T = TypeVar("T")


def newest_first(
    live: Iterable[T], historical: Iterable[T], key: Callable[[T], Hashable], ts: Callable[[T], Ts]
) -> list[T]:
    """Merge both, each `key` once, preferring the live tier. At equal times the order stays.

    Read the live tier first and to its end: an item that moves over in between is then in both; the other way round it
    would be in neither.
    """
    found: dict[Hashable, T] = {}
    for item in (*live, *historical):
        found.setdefault(key(item), item)
    return sorted(found.values(), key=lambda item: -ts(item))
