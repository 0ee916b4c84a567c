"""Events and series as far as trading needs them: relations and fees."""

from __future__ import annotations

from kalshi_cli.core.model.markets import Event, Family, FeeSchedule, Market, Series
from kalshi_cli.exchange.client import KalshiClient

MAX_SERIES = 20
"""Series that are read for the fees of resting orders, each with a request; others are assumed to have usual fees."""


class EventFamilyCache:
    """Events and series, each read once: related markets and fees."""

    def __init__(self, client: KalshiClient) -> None:
        self._client = client
        self._events: dict[str, Event] = {}
        self._series: dict[str, Series] = {}

    def event(self, event_ticker: str) -> Event:
        """Return an event."""
        if event_ticker not in self._events:
            self._events[event_ticker] = self._client.event(event_ticker)
        return self._events[event_ticker]

    def series(self, series_ticker: str) -> Series:
        """Return a series."""
        if series_ticker not in self._series:
            self._series[series_ticker] = self._client.series(series_ticker)
        return self._series[series_ticker]

    def fees_anew(self, market: Market) -> FeeSchedule:
        """Return the fee schedule of a market, read again."""
        self._events.pop(market.event_ticker, None)
        return self.fees(market)

    def fees(self, market: Market) -> FeeSchedule:
        """Return the fee schedule of a market: the event's override, else the series'."""
        event = self.event(market.event_ticker)
        return current_fees(event, self.series(event.series_ticker))

    def family(self, market: Market) -> Family:
        """Return the relations of a market for limits and strategies."""
        event = self.event(market.event_ticker)
        category = event.category or self.series(event.series_ticker).category
        return Family(
            event_ticker=market.event_ticker,
            series_ticker=event.series_ticker,
            category=category,
            is_exclusive=event.mutually_exclusive,
        )


def current_fees(event: Event, series: Series) -> FeeSchedule:
    """Return the fee schedule of an event: its own if set, else that of its series."""
    own = event.fee_multiplier_override
    return FeeSchedule(event.fee_type_override or series.fees.type, series.fees.multiplier if own is None else own)
