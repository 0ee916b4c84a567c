"""Frames from the socket to the best prices, with our stream and its reader thread."""

import hashlib
import random
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bench.deltas import TICKER
from bench.worker import serve
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot
from kalshi_cli.exchange.rest.signing import Signer, load_key
from kalshi_cli.exchange.stream.reader import Stream
from kalshi_cli.exchange.stream.sequencing import Said

url, key_path = sys.argv[1:]
clock = SystemClock()
signer = Signer("bench", load_key(Path(key_path)), clock)

Tops = list[tuple[int | None, int | None]]


def prepare(count: int) -> Callable[[], Tops]:
    stream = Stream(url, signer, clock, random.Random(1), tickers=[TICKER], channels=("orderbook_delta",))

    def run() -> Tops:
        tops: Tops = []
        book = OrderBook("")
        pending: deque[Said] = deque()
        stream.start()
        while len(tops) <= count:
            stream.inbox.take(pending, 10.0)
            if stream.failure is not None or not pending:
                raise SystemExit(f"the stream ended: {stream.failure}")
            while pending:
                message = pending.popleft()
                if isinstance(message, BookDelta):
                    book.apply(message.side, message.price, message.delta, message.ts)
                elif isinstance(message, BookSnapshot):
                    book.load(message.bids, message.asks, message.ts)
                else:
                    continue
                tops.append((book.best_bid, book.best_ask))
        stream.stop()
        return tops

    return run


serve({"stream": prepare}, lambda tops: hashlib.sha256(repr(tops).encode()).hexdigest()[:12])
