"""Our client over loopback."""

import random
import sys
from pathlib import Path

from bench.loopback import CLIENT_ORDER_ID, TICKER
from bench.worker import repeat, serve
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.rate_limits import KNOWN_COSTS, RateLimiter
from kalshi_cli.exchange.rest.signing import Signer, load_key
from kalshi_cli.exchange.wire.account import ApiLimits, TokenBucketLimits

base_url, key_path = sys.argv[1:]
clock = SystemClock()
no_limit = TokenBucketLimits(10**9, 10**9)
with KalshiClient(
    base_url,
    clock=clock,
    rng=random.Random(1),
    signer=Signer("bench", load_key(Path(key_path)), clock),
    limiter=RateLimiter(clock, ApiLimits("bench", no_limit, no_limit), KNOWN_COSTS),
) as client:
    order = Order(
        client_order_id=CLIENT_ORDER_ID,
        ticker=TICKER,
        side=BID,
        price=cents(47),
        qty=contracts(10),
        status=OrderStatus.SUBMITTED,
        created=clock.now(),
        updated=clock.now(),
    )
    serve(
        {
            "get": repeat(client.balance),
            "create": repeat(lambda: client.create_order(order)),
            "all": lambda pages: lambda: list(client.listed_markets(status="open", series=f"P{pages}")),
            "markets": repeat(lambda: list(client.listed_markets(status="open", limit=1000))),
        },
        lambda found: str(len(found)) if found else "",
    )
