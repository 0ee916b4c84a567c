"""Frames from the socket to the best prices, with pykalshi's feed and its order book."""

import hashlib
import sys
import threading
from collections.abc import Callable
from decimal import Decimal

from pykalshi import KalshiClient
from pykalshi.feed import Feed, OrderbookDeltaMessage
from pykalshi.orderbook import OrderbookManager

from bench.deltas import TICKER
from bench.worker import serve

url, key_path = sys.argv[1:]
client = KalshiClient(api_key_id="bench", private_key_path=key_path)

Tops = list[tuple[str | None, str | None]]


def prepare(count: int) -> Callable[[], Tops]:
    feed, book, is_over = Feed(client), OrderbookManager(""), threading.Event()
    feed._ws_url = url
    tops: Tops = []

    def take(message) -> None:  # type: ignore[no-untyped-def]
        if isinstance(message, OrderbookDeltaMessage):
            book.apply_delta(message.side, message.price_dollars, message.delta_fp)
        else:
            book.apply_snapshot(message.yes_dollars, message.no_dollars)
        tops.append((book.best_bid, book.best_ask))
        if len(tops) > count:
            is_over.set()

    def run() -> Tops:
        feed.on("orderbook_delta", take)
        feed.subscribe("orderbook_delta", market_ticker=TICKER)
        feed.start()
        if not is_over.wait(30):
            raise SystemExit(f"the feed stopped after {len(tops)} frames")
        feed.stop()
        return tops

    return run


def describe(tops: Tops) -> str:
    ticks = [tuple(None if price is None else int(Decimal(price) * 10_000) for price in top) for top in tops]
    return hashlib.sha256(repr(ticks).encode()).hexdigest()[:12]


serve({"stream": prepare}, describe)
