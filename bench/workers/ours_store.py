"""One intent on the disk, through our store."""

import itertools
import sys
from pathlib import Path

import msgspec

from bench.loopback import TICKER
from bench.worker import repeat, serve
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.store.sqlite_store import Store

NOW = Ts(1_780_000_000_000)
order = Order(
    client_order_id="",
    ticker=TICKER,
    side=BID,
    price=cents(47),
    qty=contracts(10),
    status=OrderStatus.SUBMITTED,
    created=NOW,
    updated=NOW,
    strategy="fade",
    fair=cents(49),
    reason="cheap against fair",
)
numbers = itertools.count()
with Store.open(Path(sys.argv[1]) / "ours.db", account="bench", environment="bench") as store:

    def intend() -> None:
        store.record(SubmitOrder(msgspec.structs.replace(order, client_order_id=f"bench-{next(numbers)}")))

    serve({"intend": repeat(intend)})
