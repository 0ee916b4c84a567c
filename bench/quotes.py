"""Quotes of one market, made up but always the same: they wander around 50 cents. Knows only the standard library.

The work for all contestants: buy ten contracts at the best ask of 40 cents or less without a position, and sell them at
the best bid of 60 cents or more.
"""

from __future__ import annotations

import random
from typing import NamedTuple

BUY_AT, SELL_AT, SIZE = 40, 60, 10
START_MS, EVERY_MS = 1_780_000_000_000, 10


class MadeQuote(NamedTuple):
    """Milliseconds, cents and contracts; `trade` is the size of a public trade at the ask just before it."""

    ts: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int
    trade: int


def quotes(count: int, trade_every: int = 0) -> list[MadeQuote]:
    """Quotes of which half move a price and half a size."""
    rng = random.Random(20260513)
    mid, made = 50, []
    bid, bid_size, ask, ask_size = 49, 500, 51, 500
    for number in range(count):
        if rng.random() < 0.5:
            pull = 0.5 + (50 - mid) / 200
            mid = min(90, max(10, mid + (1 if rng.random() < pull else -1)))
            bid, ask = mid - rng.choice((1, 1, 2)), mid + rng.choice((1, 1, 2))
        bid_size, ask_size = rng.randrange(50, 5_000), rng.randrange(50, 5_000)
        trade = rng.randrange(1, 20) if trade_every and number % trade_every == 0 else 0
        made.append(MadeQuote(START_MS + number * EVERY_MS, bid, bid_size, ask, ask_size, trade))
    return made
