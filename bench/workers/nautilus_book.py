"""Frame bytes to top of book with nautilus_trader's order book, and msgspec, which it uses itself, as the decoder.

Kalshi sends changes of a size and nautilus_trader wants the size, so the sizes are kept beside it.
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import BookOrder, OrderBookDelta
from nautilus_trader.model.enums import BookAction, BookType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity

from bench.worker import serve

frames = Path(sys.argv[1]).read_bytes().splitlines()
instrument = InstrumentId.from_str("MARKET.KALSHI")
Tops = list[tuple[int | None, int | None]]


class Body(msgspec.Struct):
    """Of a snapshot, or of a change."""

    side: str = ""
    price_dollars: str = ""
    delta_fp: str = ""
    ts_ms: int = 0
    yes_dollars_fp: list[tuple[str, str]] = []
    no_dollars_fp: list[tuple[str, str]] = []


class Frame(msgspec.Struct):
    """One frame of the stream."""

    type: str
    seq: int
    msg: Body


decode = msgspec.json.Decoder(Frame).decode


def prepare(count: int) -> Callable[[], Tops]:
    book = OrderBook(instrument, BookType.L2_MBP)
    sizes: dict[tuple[str, str], float] = {}

    def change(side: str, price: str, by: float, seq: int, ts: int) -> None:
        size = sizes[side, price] = round(sizes.get((side, price), 0.0) + by, 2)
        at = Price.from_str(price) if side == "yes" else Price(1 - float(price), 4)
        order = BookOrder(OrderSide.BUY if side == "yes" else OrderSide.SELL, at, Quantity(max(size, 0.0), 2), 0)
        action = BookAction.UPDATE if size > 0 else BookAction.DELETE
        book.apply_delta(OrderBookDelta(instrument, action, order, 0, seq, ts * 1_000_000, ts * 1_000_000))

    def run() -> Tops:
        tops: Tops = []
        for raw in frames[: count + 1]:
            frame = decode(raw)
            body = frame.msg
            if frame.type == "orderbook_delta":
                change(body.side, body.price_dollars, float(body.delta_fp), frame.seq, body.ts_ms)
            else:
                for side, levels in (("yes", body.yes_dollars_fp), ("no", body.no_dollars_fp)):
                    for price, size in levels:
                        change(side, price, float(size), frame.seq, body.ts_ms)
            tops.append((book.best_bid_price(), book.best_ask_price()))
        return tops

    return run


def describe(tops: Tops) -> str:
    ticks = [tuple(None if price is None else round(price.as_double() * 10_000) for price in top) for top in tops]
    return hashlib.sha256(repr(ticks).encode()).hexdigest()[:12]


serve({"book": prepare}, describe)
