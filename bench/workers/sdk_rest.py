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


def all_markets(pages: int):  # type: ignore[no-untyped-def]
    def run():  # type: ignore[no-untyped-def]
        found, cursor = [], None
        while cursor != "":
            page = markets.get_markets(status="open", limit=1000, series_ticker=f"P{pages}", cursor=cursor)
            found += page.markets
            cursor = page.cursor
        return found

    return run


serve(
    {
        "all": all_markets,
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
        "markets": repeat(lambda: markets.get_markets(status="open", limit=1000).markets),
    },
    lambda found: str(len(found)) if found else "",
)
