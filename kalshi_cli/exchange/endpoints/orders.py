"""Endpoints that place, change, cancel and list orders.

A create or an amend is sent again only if it provably did not arrive; see `exchange/rest/call.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kalshi_cli.base.errors import CredentialsError, ExchangeError, KalshiError, OutcomeUnknownError, UnreachableError
from kalshi_cli.base.units import Qty, Ts, pluralize
from kalshi_cli.core.model import messages, order_terms
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.endpoints import base
from kalshi_cli.exchange.rest.call import CANCEL, CREATE, CREATE_PATH, NO_CONTENT, ONCE, RetryPolicy
from kalshi_cli.exchange.wire import changes as wire_changes
from kalshi_cli.exchange.wire import orders as wire_orders
from kalshi_cli.exchange.wire.changes import Placed, QueuePosition, TakenBack
from kalshi_cli.exchange.wire.values import ResponseFormatError

_ORDERS = CREATE_PATH
_BATCH = f"{_ORDERS}/batched"

MAX_OPEN_ORDERS = 200_000
"""Maximum open orders of a user at the exchange."""


class OrderEndpoints(base.Endpoints):
    """The account's orders."""

    def create_order(self, order: Order, reviewed: TradingState = TradingState.ACTIVE) -> messages.OrderAccepted:
        """Place an order, once. OutcomeUnknownError if it may be live; any other error means that it is not.

        `reviewed` is the trading state of the review: in a stricter one it is not sent.
        """
        return self._create(order, CREATE, reviewed)

    def _create(self, order: Order, retry: RetryPolicy, reviewed: TradingState) -> messages.OrderAccepted:
        subject, body = f"order {order.client_order_id} on {order.ticker}", wire_orders.create_body(order)
        reply = self._rest.call("POST", _ORDERS, retry, subject=subject, body=body, reviewed=reviewed)
        with base.understood(subject):
            return wire_orders.read_created(reply, order.client_order_id)

    def close_order(self, order: Order) -> messages.OrderAccepted:
        """Place an order that can only close, once. Unlike `create_order`, a halt does not stop it.

        ValueError for any other order.
        """
        if not order.reduce_only or order.tif is not order_terms.TimeInForce.IOC:
            raise ValueError(f"order {order.client_order_id} could do more than close")
        return self._create(order, ONCE, TradingState.HALTED)

    def create_orders(self, orders: Sequence[Order], reviewed: TradingState = TradingState.ACTIVE) -> list[Placed]:
        """Place a batch, once, and return each outcome in the same order. At most `largest_batch()` orders.

        It raises only for a halt or read-only mode: a rejected batch is a rejection of each order, and without a
        response the outcome of each is unknown.
        """
        subject = f"placing a batch of {pluralize(len(orders), 'order')}"
        body = wire_orders.create_many_body(orders)
        try:
            reply = self._rest.call(
                "POST", _BATCH, CREATE, subject=subject, body=body, items=len(orders), reviewed=reviewed
            )
            with base.understood(subject):
                return wire_changes.read_created_many(reply, orders, self._clock.now())
        except OutcomeUnknownError as error:
            now, why = self._clock.now(), error.message
            return [messages.OrderUnknown(now, order.client_order_id, why) for order in orders]
        except (ExchangeError, UnreachableError) as error:
            code = "credentials" if isinstance(error, CredentialsError) else error.code
            return [
                messages.OrderRejected(self._clock.now(), each.client_order_id, code, error.message) for each in orders
            ]

    def largest_batch(self) -> int:
        """Return the maximum orders of one batch at this account's rate limit."""
        return self._limiter.largest_batch("POST", _BATCH)

    def amend_order(
        self, before: Order, wanted: Order, reviewed: TradingState = TradingState.ACTIVE
    ) -> messages.AmendEnded:
        """Change `before` into `wanted`: price, size, expiration. OutcomeUnknownError if either may be live.

        `reviewed` is as for a create.
        """
        subject = f"amending order {before.order_id}"
        path = f"{_ORDERS}/{base.quote_part(before.order_id)}/amend"
        params, body = wire_orders.subaccount_params(before), wire_changes.amend_body(before, wanted)
        reply = self._rest.call("POST", path, CREATE, subject=subject, params=params, body=body, reviewed=reviewed)
        with base.understood(subject):
            return wire_changes.read_amended(reply, before, wanted)

    def decrease_order(self, order: Order, *, by: Qty | None = None, to: Qty | None = None) -> Order:
        """Reduce the remaining size, keeping the place in the queue; return the order. Give one of the two.

        `to` is harmless twice and repeated without a response; `by` never is.
        """
        subject = f"decreasing order {order.order_id}"
        path = f"{_ORDERS}/{base.quote_part(order.order_id)}/decrease"
        params, body = wire_orders.subaccount_params(order), wire_changes.decrease_body(order, by=by, to=to)
        reply = self._rest.call("POST", path, ONCE if to is None else CANCEL, subject=subject, params=params, body=body)
        with base.understood(subject):
            return wire_changes.read_decreased(reply, order)

    def cancel_order(self, order: Order) -> messages.OrderCanceled:
        """Cancel an order. NotFoundError proves nothing: it filled, is gone already, or is not visible yet."""
        subject = f"canceling order {order.order_id}"
        path = f"{_ORDERS}/{base.quote_part(order.order_id)}"
        reply = self._rest.call("DELETE", path, CANCEL, subject=subject, params=wire_orders.cancel_params(order))
        with base.understood(subject):
            return wire_orders.read_canceled(reply, order)

    def cancel_orders(self, orders: Sequence[Order]) -> list[TakenBack]:
        """Cancel many orders in as few requests as the rate limit allows; return each outcome in the same order.

        A batch that was rejected or not answered is CancelFailed for each of its orders, and the next one is sent. Only
        CredentialsError is raised, because it will not pass.
        """
        most = self._limiter.largest_batch("DELETE", _BATCH)
        starts = range(0, len(orders), most)
        return [outcome for at in starts for outcome in self._cancel_few(orders[at : at + most])]

    def _cancel_few(self, orders: Sequence[Order]) -> list[TakenBack]:
        subject, body = f"canceling {pluralize(len(orders), 'order')}", wire_changes.cancel_many_body(orders)
        try:
            reply = self._rest.call("DELETE", _BATCH, CANCEL, subject=subject, body=body, items=len(orders))
            return wire_changes.read_canceled_many(reply, orders, self._clock.now())
        except CredentialsError:
            raise
        except KalshiError as error:
            code = "unanswered" if isinstance(error, OutcomeUnknownError | ResponseFormatError) else error.code
            return [
                messages.CancelFailed(self._clock.now(), each.order_id, each.client_order_id, code) for each in orders
            ]

    def cancel_all(self, subaccount: int | None = None) -> None:
        """Cancel all resting orders on all shards, and orders placed within the next minute. Verify by a fresh list.

        The exchange answers 204. OutcomeUnknownError for any other success: a gateway may send it without forwarding
        the request.
        """
        params = {"subaccount": self.whose(subaccount)}
        self._rest.call("DELETE", _ORDERS, CANCEL, subject="canceling all orders", params=params, answered=NO_CONTENT)

    def orders(
        self,
        status: str | None = None,
        ticker: str | None = None,
        min_ts: Ts | None = None,
        *,
        event: str | None = None,
        subaccount: int | None = None,
        exchange_index: int | None = None,
    ) -> Iterator[Order]:
        """Return orders of the last two weeks, of all subaccounts and shards unless one is given.

        `status` is resting, canceled or executed; `event` is one event ticker, or up to ten with commas between.
        """
        params = {
            "status": status,
            "ticker": ticker,
            "min_ts": base.seconds(min_ts),
            "event_ticker": event,
            "subaccount": self.whose(subaccount),
            "exchange_index": exchange_index,
        }
        most = MAX_OPEN_ORDERS if status == "resting" else None
        return self._pages("/portfolio/orders", params, wire_orders.read_orders, most_items=most)

    def queue_position(self, order_id: str) -> Qty:
        """Return the contracts that must trade before this resting order does."""
        return wire_changes.read_queue_position(
            self._get(f"/portfolio/orders/{base.quote_part(order_id)}/queue_position")
        )

    def queue_positions(self, tickers: Sequence[str] = (), *, subaccount: int | None = None) -> Iterator[QueuePosition]:
        """Return the queue positions of all resting orders of one subaccount, by markets on request."""
        for at in range(0, max(1, len(tickers)), base.NAMES_A_CALL):
            names = ",".join(tickers[at : at + base.NAMES_A_CALL])
            params = {"market_tickers": names or None, "subaccount": self.whose(subaccount)}
            yield from wire_changes.read_queue_positions(self._get("/portfolio/orders/queue_positions", params))

    def order(self, order_id: str) -> Order:
        """Return one order. Right after a create or a cancel it may be missing or stale."""
        order = wire_orders.read_order(self._get(f"/portfolio/orders/{base.quote_part(order_id)}"))
        if order.order_id != order_id:
            raise ResponseFormatError(f"Requested order {order_id}, but the exchange returned {order.order_id[:64]}")
        return order
