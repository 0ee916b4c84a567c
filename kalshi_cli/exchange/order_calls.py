"""Calls that place, cancel and list orders.

A create is sent again only where it provably did not arrive; see `rest`.
"""

from __future__ import annotations

from collections.abc import Iterator

from kalshi_cli.core.messages import OrderAccepted, OrderCanceled
from kalshi_cli.core.model import Order
from kalshi_cli.exchange import wire_orders
from kalshi_cli.exchange.calls import Calls, part, seconds, unknown
from kalshi_cli.exchange.rest import CANCEL, CREATE
from kalshi_cli.exchange.wire import WireError
from kalshi_cli.units import Ts

_ORDERS = "/portfolio/events/orders"


class OrderCalls(Calls):
    """The account's orders."""

    def create_order(self, order: Order) -> OrderAccepted:
        """Place it, once. OutcomeUnknownError where it may be live; any other error means that it is not."""
        subject = f"order {order.client_order_id} on {order.ticker}"
        reply = self._rest.call("POST", _ORDERS, CREATE, subject=subject, body=wire_orders.create_body(order))
        try:
            return wire_orders.read_created(reply, order.client_order_id)
        except WireError as error:
            raise unknown(subject, error) from error

    def cancel_order(self, order: Order) -> OrderCanceled:
        """Take it back. NotFoundError proves nothing: filled, gone already, or not visible yet."""
        subject = f"the cancel of order {order.order_id}"
        path = f"{_ORDERS}/{part(order.order_id)}"
        reply = self._rest.call("DELETE", path, CANCEL, subject=subject, params=wire_orders.cancel_params(order))
        try:
            return wire_orders.read_canceled(reply, order)
        except WireError as error:
            raise unknown(subject, error) from error

    def cancel_all(self) -> None:
        """Everything that rests, on all shards; also orders placed within the next minute. Verify by a fresh list."""
        self._rest.call("DELETE", _ORDERS, CANCEL, subject="the cancel of all orders")

    def orders(self, status: str | None = None, ticker: str | None = None, min_ts: Ts | None = None) -> Iterator[Order]:
        """Orders of the last two weeks; `status` is resting, canceled or executed."""
        params = {"status": status, "ticker": ticker, "min_ts": seconds(min_ts)}
        return self._pages("/portfolio/orders", params, wire_orders.read_orders)

    def order(self, order_id: str) -> Order:
        """One order. Right after a create or a cancel it may be missing or stale."""
        return wire_orders.read_order(self._get(f"/portfolio/orders/{part(order_id)}"))
