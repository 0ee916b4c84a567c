"""Combos as a person names them: `MARKET:yes`, or `EVENT:MARKET:yes`."""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_cli.base.errors import UsageError
from kalshi_cli.core.model.markets import ComboLeg
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.combos import Collection, CreatedCombo
from kalshi_cli.views.combos import CollectionRow, CollectionView, ComboView, LegEventRow
from kalshi_cli.views.formats import TruncatableText

MAX_LEGS = 100


def legs(client: KalshiClient, typed: Sequence[str]) -> list[ComboLeg]:
    """The legs; where no event is named, the market is asked for its own."""
    if not 1 <= len(typed) <= MAX_LEGS:
        raise UsageError("a combo has legs", hint="--leg MARKET:yes --leg MARKET:no")
    return [_leg(client, word) for word in typed]


def _leg(client: KalshiClient, word: str) -> ComboLeg:
    *event, market, side = ["", *word.upper().split(":")]
    if not market or side not in ("YES", "NO") or len(event) > 2:
        raise UsageError(f"not a leg: {word[:80]!r}", hint="MARKET:yes, or EVENT:MARKET:no")
    named = event[-1] if len(event) == 2 else ""
    return ComboLeg(event_ticker=named or client.market(market).event_ticker, market_ticker=market, side=side.lower())


def titles(client: KalshiClient, collection: Collection) -> dict[str, str]:
    """What the events of a collection are called."""
    tickers = [event.ticker for event in collection.events]
    found: dict[str, str] = {}
    for start in range(0, len(tickers), MAX_LEGS):
        found |= {event.event_ticker: event.title for event in client.events(tickers=tickers[start : start + MAX_LEGS])}
    return found


def collection_row(found: Collection) -> CollectionRow:
    """Return a collection, with how many events it has."""
    return CollectionRow.of(found, events=len(found.events))


def collection_view(client: KalshiClient, ticker: str) -> CollectionView:
    """Return a collection, with its events and what they are called."""
    found = client.collection(ticker)
    called = titles(client, found)
    events = (LegEventRow.of(one, title=TruncatableText(called.get(one.ticker, "")) or None) for one in found.events)
    return CollectionView.of(found, events=tuple(events))


def combo_view(collection: str, made: CreatedCombo, chosen: Sequence[ComboLeg]) -> ComboView:
    """Return the market of some legs."""
    market = made.market
    return ComboView(
        ticker=made.market_ticker,
        event_ticker=made.event_ticker,
        collection=collection,
        title="" if market is None else market.title,
        status="" if market is None else market.status.value,
        exchange_index=None if market is None else market.exchange_index,
        close_time=None if market is None else market.close_time,
        legs=tuple(chosen),
    )
