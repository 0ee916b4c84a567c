"""Frame bytes to top of book, as the stream does it."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

from bench.worker import serve
from kalshi_cli.base.units import Ts
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot
from kalshi_cli.exchange.stream.frames import decode_frame, to_message

frames = Path(sys.argv[1]).read_bytes().splitlines()

Tops = list[tuple[int | None, int | None]]


def prepare(count: int) -> Callable[[], Tops]:
    book = OrderBook("")

    def run() -> Tops:
        tops: Tops = []
        for raw in frames[: count + 1]:
            frame = decode_frame(raw)
            message = frame and to_message(frame, recv_ts=Ts(0), use_yes_price=False)
            if isinstance(message, BookDelta):
                book.apply(message.side, message.price, message.delta, message.ts)
            elif isinstance(message, BookSnapshot):
                book.load(message.bids, message.asks, message.ts)
            tops.append((book.best_bid, book.best_ask))
        return tops

    return run


serve({"book": prepare}, lambda tops: hashlib.sha256(repr(tops).encode()).hexdigest()[:12])
