"""A frame of the book in, an order acknowledged, with pykalshi: it records nothing on this machine."""

import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from pykalshi import Action, KalshiClient, Side
from pykalshi.feed import OrderbookDeltaMessage, _parse_message
from pykalshi.orderbook import OrderbookManager

from bench.loopback import CLIENT_ORDER_ID, TICKER
from bench.worker import Each, serve

base_url, key_path, file = sys.argv[1:]
frames = cycle(Path(file).read_bytes().splitlines())
book = OrderbookManager("")
with KalshiClient(api_key_id="bench", private_key_path=key_path, api_base=base_url) as client:

    def react(now: Callable[[], int]) -> int:
        message = _parse_message(next(frames))[2]
        if isinstance(message, OrderbookDeltaMessage):
            book.apply_delta(message.side, message.price_dollars, message.delta_fp)
        else:
            book.apply_snapshot(message.yes_dollars, message.no_dollars)
        price = book.best_bid
        client.portfolio.place_order(
            TICKER, Action.BUY, Side.YES, "10.00", yes_price_dollars=price, client_order_id=CLIENT_ORDER_ID
        )
        return now()

    serve({"order": Each(react, lambda: None)})
