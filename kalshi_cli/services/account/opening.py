"""The closing prices at the start of a trading day, of the positions that were carried into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from kalshi_cli.base.errors import KalshiError, StateFileError
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.markets import Candle
from kalshi_cli.core.state.state import EngineState, closing_price
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.store.state_store import OrderStore

HOUR_MS = 3_600_000

WITHIN_S = 3.0
"""The longest time that the exchange may take: an order waits for it, once a day."""


def opening_marks(
    client: KalshiClient | None, store: OrderStore | None, start: Ts, held: Mapping[str, Qty]
) -> dict[str, Price]:
    """Return the closing prices at the start of a trading day of the markets held then, as far as they are known.

    The state file has those that a loop saw, or that were read before. The others come from the exchange's one-minute
    candles, and are saved, so that every program counts with the same price. Without a client nothing is read there.
    """
    known: dict[str, Price] = {}
    if store is not None:
        with suppress(StateFileError):
            known = store.opening_marks(start)
    missing = [ticker for ticker in held if ticker not in known]
    if client is None or not missing:
        return known
    with suppress(KalshiError), client.reading_within(WITHIN_S):
        candles = client.batch_candles(missing, Ts(start - HOUR_MS), start, 1, with_previous=True)
        marks = {ticker: _mark(candles.get(ticker, ()), start, held[ticker]) for ticker in missing}
        found = {ticker: mark for ticker, mark in marks.items() if mark is not None}
        known = found | known
        if store is not None:
            known |= store.opening_marks(start, found)
    return known


def use_opening_marks(state: EngineState, client: KalshiClient | None, store: OrderStore) -> None:
    """Give an engine the opening prices. Without a client it never waits for the exchange, as a loop must not."""
    state.opening_marks = partial(opening_marks, client, store)


def _mark(candles: Sequence[Candle], start: Ts, qty: Qty) -> Price | None:
    """Return the closing price of a position by the last candle up to a time; None without a price."""
    last = max((each for each in candles if each.end <= start), key=lambda each: each.end, default=None)
    if last is None:
        return None
    traded = last.price.close if last.price.close is not None else last.previous
    return closing_price(last.yes_bid.close, last.yes_ask.close, traded, qty)
