"""Frame bytes to top of book with pykalshi's parser of frames and its order book; its dispatching is left out."""

import hashlib
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from pykalshi.feed import OrderbookDeltaMessage, _parse_message
from pykalshi.orderbook import OrderbookManager

from bench.worker import serve

frames = Path(sys.argv[1]).read_bytes().splitlines()

Tops = list[tuple[str | None, str | None]]


def prepare(count: int) -> Callable[[], Tops]:
    book = OrderbookManager("")

    def run() -> Tops:
        tops: Tops = []
        for raw in frames[: count + 1]:
            message = _parse_message(raw)[2]
            if isinstance(message, OrderbookDeltaMessage):
                book.apply_delta(message.side, message.price_dollars, message.delta_fp)
            else:
                book.apply_snapshot(message.yes_dollars, message.no_dollars)
            tops.append((book.best_bid, book.best_ask))
        return tops

    return run


def describe(tops: Tops) -> str:
    ticks = [tuple(None if price is None else int(Decimal(price) * 10_000) for price in top) for top in tops]
    return hashlib.sha256(repr(ticks).encode()).hexdigest()[:12]


serve({"book": prepare}, describe)
