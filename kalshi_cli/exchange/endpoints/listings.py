"""Endpoints that read whole listings page by page, so that a copy can stop and continue later."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Event, Market
from kalshi_cli.exchange.endpoints.base import PAGE, Endpoints, seconds
from kalshi_cli.exchange.endpoints.events import EVENTS_A_PAGE
from kalshi_cli.exchange.wire import events as wire_events
from kalshi_cli.exchange.wire import markets as wire_markets
from kalshi_cli.exchange.wire.values import Page


class ListingEndpoints(Endpoints):
    """Public endpoints. The exchange restarts an expired cursor from the beginning without an error (June 2026)."""

    def market_page(self, cursor: str, status: str | None = None, min_updated: Ts | None = None) -> Page[Market]:
        """Return a page of markets without combos: of one status, or of those changed since a time, not both."""
        params: dict[str, str | int | None] = {
            "status": status,
            "min_updated_ts": seconds(min_updated),
            "mve_filter": "exclude",
            "limit": PAGE,
            "cursor": cursor or None,
        }
        return wire_markets.read_markets(self._public("/markets", params))

    def event_page(self, cursor: str, status: str | None = None, min_updated: Ts | None = None) -> Page[Event]:
        """Return a page of events without their markets: of one status, and changed since a time."""
        params: dict[str, str | int | None] = {
            "status": status,
            "min_updated_ts": seconds(min_updated),
            "limit": EVENTS_A_PAGE,
            "cursor": cursor or None,
        }
        return wire_events.read_events(self._public("/events", params))
