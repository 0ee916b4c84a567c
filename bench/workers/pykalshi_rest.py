"""pykalshi's client over loopback, without its optional rate limiter."""

import sys

from pykalshi import Action, KalshiClient, MarketStatus, Side

from bench.loopback import CLIENT_ORDER_ID, TICKER
from bench.worker import repeat, serve

base_url, key_path = sys.argv[1:]
with KalshiClient(api_key_id="bench", private_key_path=key_path, api_base=base_url) as client:
    serve(
        {
            "get": repeat(client.portfolio.get_balance),
            "create": repeat(
                lambda: client.portfolio.place_order(
                    TICKER, Action.BUY, Side.YES, "10.00", yes_price_dollars="0.4700", client_order_id=CLIENT_ORDER_ID
                )
            ),
            "markets": repeat(lambda: client.get_markets(status=MarketStatus.OPEN, limit=1000)),
        },
        lambda found: str(len(found)) if found else "",
    )
