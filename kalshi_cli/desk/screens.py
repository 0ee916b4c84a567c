"""One market, event or series, with what belongs to it: read whole, for a person to look at."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Event, FeeSchedule, MarketDetails, Series
from kalshi_cli.desk.listing import Families, in_force
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.events import EventMetadata, FeeChange


class MarketScreen(msgspec.Struct, frozen=True, kw_only=True):
    """A market, the event that names its sources, and its fees now and later."""

    market: MarketDetails
    event: Event
    fees: FeeSchedule
    changes: tuple[FeeChange, ...]


class EventScreen(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its markets."""

    event: Event
    fees: FeeSchedule
    metadata: EventMetadata
    changes: tuple[FeeChange, ...]


class SeriesScreen(msgspec.Struct, frozen=True, kw_only=True):
    series: Series
    changes: tuple[FeeChange, ...]


def read_market(client: KalshiClient, families: Families, ticker: str, now: Ts) -> MarketScreen:
    """From whichever tier has it."""
    market = client.market(ticker)
    event = families.event(market.event_ticker)
    return MarketScreen(market=market, event=event, fees=families.fees(market), changes=_changes(client, event, now))


def read_event(client: KalshiClient, families: Families, ticker: str, now: Ts) -> EventScreen:
    """Its markets are those of both tiers."""
    event = client.event(ticker, with_markets=True)
    known = {market.ticker for market in event.markets}
    old = [market for market in client.historical_markets_of(ticker) if market.ticker not in known]
    return EventScreen(
        event=msgspec.structs.replace(event, markets=(*event.markets, *old)),
        fees=in_force(event, families.series(event.series_ticker)),
        metadata=client.event_metadata(ticker),
        changes=_changes(client, event, now),
    )


def read_series(client: KalshiClient, ticker: str) -> SeriesScreen:
    """With its volume, and the fees it had and will have."""
    series = client.series(ticker, with_volume=True)
    changes = client.series_fee_changes(ticker, with_past=True)
    return SeriesScreen(series=series, changes=tuple(sorted(changes, key=lambda change: change.scheduled)))


def _changes(client: KalshiClient, event: Event, now: Ts) -> tuple[FeeChange, ...]:
    """Of the series and of the event, those that are still to come."""
    found = (*client.series_fee_changes(event.series_ticker), *client.event_fee_changes(event.event_ticker))
    return tuple(sorted((c for c in found if c.scheduled > now), key=lambda change: change.scheduled))
