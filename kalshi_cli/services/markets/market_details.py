"""One market, event or series, with what belongs to it: read whole, for a person to look at."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Event
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.families import EventFamilyCache, current_fees
from kalshi_cli.exchange.wire.events import FeeChange
from kalshi_cli.views.events import EventView, SeriesView, WholeEvent
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.markets import FeeChangeRow, MarketRow, MarketView, fee_rows


def read_market(client: KalshiClient, families: EventFamilyCache, ticker: str, now: Ts) -> MarketView:
    """Return a market from whichever tier has it, with its sources, and its fees now and later."""
    market = client.market(ticker)
    event, fees = families.event(market.event_ticker), families.fees(market)
    return MarketView.of(
        market,
        series_ticker=event.series_ticker,
        fee_type=fees.type,
        fee_multiplier=fees.factor,
        settlement_sources=_named(event.settlement_sources),
        fees=fee_rows(market, fees, now),
        fee_changes=_to_come(client, event, now),
    )


def read_event(
    client: KalshiClient, families: EventFamilyCache, ticker: str, now: Ts, *, is_whole: bool
) -> EventView | WholeEvent:
    """Return an event with its markets, those of both tiers; `is_whole` with all they have."""
    event = client.event(ticker, with_markets=True)
    known = {market.ticker for market in event.markets}
    markets = (*event.markets, *(old for old in client.historical_markets_of(ticker) if old.ticker not in known))
    fees, metadata = current_fees(event, families.series(event.series_ticker)), client.event_metadata(ticker)
    found = {
        "fee_type": fees.type,
        "fee_multiplier": fees.factor,
        "settlement_sources": _named(event.settlement_sources),
        "competition": metadata.competition or None,
        "competition_scope": metadata.competition_scope or None,
        "fee_changes": _to_come(client, event, now),
    }
    if is_whole:
        return WholeEvent.of(
            msgspec.structs.replace(event, markets=markets), **found, image_url=metadata.image_url or None
        )
    # By what tells them apart: what they have in common is above them.
    rows = tuple(MarketRow.of(market, title=TruncatableText(market.subtitle or market.title)) for market in markets)
    return EventView.of(event, **found, markets=rows)


def read_series(client: KalshiClient, ticker: str) -> SeriesView:
    """Return a series with its volume, and the fees it had and will have."""
    series = client.series(ticker, with_volume=True)
    return SeriesView.of(
        series,
        settlement_sources=_named(series.settlement_sources),
        fee_changes=_by_time(client.series_fee_changes(ticker, with_past=True)),
    )


def _named(sources: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{name} {url}".strip() for name, url in sources)


def _to_come(client: KalshiClient, event: Event, now: Ts) -> tuple[FeeChangeRow, ...]:
    """Of the series and of the event, those that are still to come."""
    found = (*client.series_fee_changes(event.series_ticker), *client.event_fee_changes(event.event_ticker))
    return _by_time(change for change in found if change.scheduled > now)


def _by_time(changes: Iterable[FeeChange]) -> tuple[FeeChangeRow, ...]:
    found = sorted(changes, key=lambda change: change.scheduled)
    return tuple(FeeChangeRow.of(each, applies_to=each.event_ticker or each.series_ticker) for each in found)
