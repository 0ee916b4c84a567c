"""`python -m verification.kill.placer [GROUP]`: place orders as the loop does, as fast as allowed, until it is killed.

A rejection does not stop it: it continues, as a program would that never read a halt. Each order is recorded before it
is sent, and the client reads the halt before each attempt; nothing else stops it.
"""

from __future__ import annotations

import os
import sys
import time

import msgspec
from support.served import TWO_SIDED

from kalshi_cli.app.environment import opened
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.config.sources import load
from kalshi_cli.core.model.effects import OrderChanged, SubmitOrder
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus


def main() -> None:
    group = sys.argv[1] if len(sys.argv) > 1 else ""
    with opened(load(None, os.environ, {}), lambda _text: None) as app:
        while True:
            now = app.clock.now()
            order = Order(
                client_order_id=app.new_id(), ticker=TWO_SIDED, side=BID, price=cents(4), qty=contracts(1),
                status=OrderStatus.SUBMITTED, created=now, updated=now, strategy="placer", order_group_id=group,
            )  # fmt: skip
            try:
                app.store.record(SubmitOrder(order))
            except KalshiError:
                time.sleep(0.002)
                continue
            try:
                accepted = app.client.create_order(order)
                after = msgspec.structs.replace(order, order_id=accepted.order_id, status=OrderStatus.RESTING)
            except KalshiError:
                after = msgspec.structs.replace(order, status=OrderStatus.REJECTED)
            app.store.record(OrderChanged(after))


if __name__ == "__main__":
    main()
