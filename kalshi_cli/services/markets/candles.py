"""Candles of several markets at once, from both tiers of the exchange's data."""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Candle
from kalshi_cli.exchange.client import KalshiClient


def of_markets(
    client: KalshiClient, tickers: Sequence[str], start: Ts, end: Ts, interval_min: int
) -> dict[str, list[Candle]]:
    """By ticker, oldest first. What the live tier has nothing of is asked for by itself, wherever it lies.

    NotFoundError where a name is unknown.
    """
    live = client.batch_candles(tickers, start, end, interval_min)
    return {
        name: live.get(name) or client.all_candles(client.market(name), start, end, interval_min) for name in tickers
    }


def of_event(client: KalshiClient, event_ticker: str, start: Ts, end: Ts, interval_min: int) -> dict[str, list[Candle]]:
    """Of all markets of an event, by ticker; NotFoundError where there is no such event."""
    event = client.event(event_ticker)
    return client.event_candles(event.series_ticker, event.event_ticker, start, end, interval_min)
