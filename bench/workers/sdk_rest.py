"""The official SDK over loopback. Its 3.2.0 knows only the old order endpoint."""

import sys
from pathlib import Path

from kalshi_python_sync import ApiClient, Configuration, KalshiAuth, MarketApi, OrdersApi, PortfolioApi

from bench.loopback import CLIENT_ORDER_ID, TICKER
from bench.worker import repeat, serve

base_url, key_path = sys.argv[1:]
api = ApiClient(Configuration(host=base_url))
api.kalshi_auth = KalshiAuth("bench", Path(key_path).read_text())  # 3.2.0: set_kalshi_auth has lost its import
portfolio, orders, markets = PortfolioApi(api), OrdersApi(api), MarketApi(api)


def every_market() -> list[object]:
    """All pages, as one list."""
    found, cursor = [], None
    while cursor != "":
        page = markets.get_markets(status="open", limit=1000, cursor=cursor)
        found += page.markets
        cursor = page.cursor
    return found


serve(
    {
        "get": repeat(portfolio.get_balance),
        "create": repeat(
            lambda: orders.create_order(
                ticker=TICKER,
                client_order_id=CLIENT_ORDER_ID,
                side="yes",
                action="buy",
                count=10,
                type="limit",
                yes_price=47,
            )
        ),
        "markets": repeat(every_market),
        "traded": repeat(every_market),
    }
)
