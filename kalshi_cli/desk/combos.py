"""Combos as a person names them: `MARKET:yes`, or `EVENT:MARKET:yes`."""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_cli.base.errors import UsageError
from kalshi_cli.core.model.markets import MveLeg
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.combos import Collection

MOST_LEGS = 100


def legs(client: KalshiClient, typed: Sequence[str]) -> list[MveLeg]:
    """The legs; where no event is named, the market is asked for its own."""
    if not 1 <= len(typed) <= MOST_LEGS:
        raise UsageError("a combo has legs", hint="--leg MARKET:yes --leg MARKET:no")
    return [_leg(client, word) for word in typed]


def _leg(client: KalshiClient, word: str) -> MveLeg:
    *event, market, side = ["", *word.upper().split(":")]
    if not market or side not in ("YES", "NO") or len(event) > 2:
        raise UsageError(f"not a leg: {word[:80]!r}", hint="MARKET:yes, or EVENT:MARKET:no")
    named = event[-1] if len(event) == 2 else ""
    return MveLeg(event_ticker=named or client.market(market).event_ticker, market_ticker=market, side=side.lower())


def titles(client: KalshiClient, collection: Collection) -> dict[str, str]:
    """What the events of a collection are called."""
    tickers = [event.ticker for event in collection.events]
    found: dict[str, str] = {}
    for start in range(0, len(tickers), MOST_LEGS):
        found |= {
            event.event_ticker: event.title for event in client.events(tickers=tickers[start : start + MOST_LEGS])
        }
    return found
