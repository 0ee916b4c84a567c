"""Calls that place, change, cancel and list orders.

A create or an amend is sent again only where it provably did not arrive; see `rest`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kalshi_cli.base.errors import CredentialsError, ExchangeError, KalshiError, OutcomeUnknownError, UnreachableError
from kalshi_cli.base.units import Qty, Ts, pluralize
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.endpoints import base
from kalshi_cli.exchange.rest.call import CANCEL, CREATE, NO_CONTENT, ONCE, RetryPolicy
from kalshi_cli.exchange.wire import changes as wire_changes
from kalshi_cli.exchange.wire import orders as wire_orders
from kalshi_cli.exchange.wire.changes import Placed, QueuePosition, TakenBack
from kalshi_cli.exchange.wire.values import ResponseFormatError

_ORDERS = "/portfolio/events/orders"
_BATCH = f"{_ORDERS}/batched"

MAX_OPEN_ORDERS = 200_000
"""The most that the exchange lets a user have open."""


class OrderEndpoints(base.Endpoints):
    """The account's orders."""

    def create_order(self, order: Order, reviewed: TradingState = TradingState.ACTIVE) -> messages.OrderAccepted:
        """Place it, once. OutcomeUnknownError where it may be live; any other error means that it is not.

        `reviewed` is the trading state that the controls knew of: under a stricter one it is not sent.
        """
        return self._create(order, CREATE, reviewed)

    def _create(self, order: Order, retry: RetryPolicy, reviewed: TradingState) -> messages.OrderAccepted:
        subject, body = f"order {order.client_order_id} on {order.ticker}", wire_orders.create_body(order)
        reply = self._rest.call("POST", _ORDERS, retry, subject=subject, body=body, reviewed=reviewed)
        with base.understood(subject):
            return wire_orders.read_created(reply, order.client_order_id)

    def close_order(self, order: Order) -> messages.OrderAccepted:
        """Place an order that can only close, once. As `create_order`, but that a halt does not stop it.

        ValueError for any other order.
        """
        if not order.reduce_only or order.tif is not TimeInForce.IOC:
            raise ValueError(f"order {order.client_order_id} could do more than close")
        return self._create(order, ONCE, TradingState.HALTED)

    def create_orders(self, orders: Sequence[Order], reviewed: TradingState = TradingState.ACTIVE) -> list[Placed]:
        """Place a batch, once; what became of each, in the same order. Never more than `largest_batch()` of them.

        Nothing is raised but for a halt or read-only: where the whole batch was refused so was each of it, and where no
        answer came nobody knows of any.
        """
        subject = f"a batch of {pluralize(len(orders), 'order')}"
        body = wire_orders.create_many_body(orders)
        try:
            reply = self._rest.call(
                "POST", _BATCH, CREATE, subject=subject, body=body, items=len(orders), reviewed=reviewed
            )
            return wire_changes.read_created_many(reply, orders, self._clock.now())
        except (OutcomeUnknownError, ResponseFormatError) as error:
            why = (
                base.unreadable_reply_error(subject, error).message
                if isinstance(error, ResponseFormatError)
                else error.message
            )
            return [messages.OrderUnknown(self._clock.now(), order.client_order_id, why) for order in orders]
        except (ExchangeError, UnreachableError) as error:
            code = "credentials" if isinstance(error, CredentialsError) else error.code
            return [
                messages.OrderRejected(self._clock.now(), each.client_order_id, code, error.message) for each in orders
            ]

    def largest_batch(self) -> int:
        """How many orders one batch may have at this account's pace."""
        return self._limiter.largest_batch("POST", _BATCH)

    def amend_order(
        self, before: Order, wanted: Order, reviewed: TradingState = TradingState.ACTIVE
    ) -> messages.AmendEnded:
        """Make `before` into `wanted`: price, size, expiry. OutcomeUnknownError where nobody knows which it is.

        `reviewed` as for a create.
        """
        subject = f"the amend of order {before.order_id}"
        path = f"{_ORDERS}/{base.quote_part(before.order_id)}/amend"
        params, body = wire_orders.subaccount_params(before), wire_changes.amend_body(before, wanted)
        reply = self._rest.call("POST", path, CREATE, subject=subject, params=params, body=body, reviewed=reviewed)
        with base.understood(subject):
            return wire_changes.read_amended(reply, before, wanted)

    def decrease_order(self, order: Order, *, by: Qty | None = None, to: Qty | None = None) -> Order:
        """Take some of what is left off, keeping its place in the queue; the order as it is then. One of the two.

        `to` is harmless twice and repeated where no answer came; `by` never is.
        """
        subject = f"the decrease of order {order.order_id}"
        path = f"{_ORDERS}/{base.quote_part(order.order_id)}/decrease"
        params, body = wire_orders.subaccount_params(order), wire_changes.decrease_body(order, by=by, to=to)
        reply = self._rest.call("POST", path, ONCE if to is None else CANCEL, subject=subject, params=params, body=body)
        with base.understood(subject):
            return wire_changes.read_decreased(reply, order)

    def cancel_order(self, order: Order) -> messages.OrderCanceled:
        """Take it back. NotFoundError proves nothing: filled, gone already, or not visible yet."""
        subject = f"the cancel of order {order.order_id}"
        path = f"{_ORDERS}/{base.quote_part(order.order_id)}"
        reply = self._rest.call("DELETE", path, CANCEL, subject=subject, params=wire_orders.cancel_params(order))
        with base.understood(subject):
            return wire_orders.read_canceled(reply, order)

    def cancel_orders(self, orders: Sequence[Order]) -> list[TakenBack]:
        """Take many back, in as few requests as this account's pace allows; what became of each, in the same order.

        A batch that was refused or not answered is CancelFailed for each order of it, and the next one is sent. Raises
        CredentialsError alone: that will not pass.
        """
        most = self._limiter.largest_batch("DELETE", _BATCH)
        starts = range(0, len(orders), most)
        return [outcome for at in starts for outcome in self._cancel_few(orders[at : at + most])]

    def _cancel_few(self, orders: Sequence[Order]) -> list[TakenBack]:
        subject, body = f"the cancel of {pluralize(len(orders), 'order')}", wire_changes.cancel_many_body(orders)
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
        """Everything that rests, on all shards; also orders placed within the next minute. Verify by a fresh list.

        The exchange answers 204. OutcomeUnknownError for any other success: a gateway may say it of a request that it
        kept to itself.
        """
        params = {"subaccount": self.whose(subaccount)}
        self._rest.call(
            "DELETE", _ORDERS, CANCEL, subject="the cancel of all orders", params=params, answered=NO_CONTENT
        )

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
        """Orders of the last two weeks, of all subaccounts and shards where none is named.

        `status` is resting, canceled or executed; `event` is one event ticker or up to ten with commas between.
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
        """How many contracts must trade before this resting order does."""
        return wire_changes.read_queue_position(
            self._get(f"/portfolio/orders/{base.quote_part(order_id)}/queue_position")
        )

    def queue_positions(
        self, tickers: Sequence[str] = (), *, event: str | None = None, subaccount: int | None = None
    ) -> Iterator[QueuePosition]:
        """The places of all resting orders of one subaccount; of these markets, or of an event, where given."""
        for at in range(0, max(1, len(tickers)), base.NAMES_A_CALL):
            names = ",".join(tickers[at : at + base.NAMES_A_CALL])
            params = {"market_tickers": names or None, "event_ticker": event, "subaccount": self.whose(subaccount)}
            yield from wire_changes.read_queue_positions(self._get("/portfolio/orders/queue_positions", params))

    def order(self, order_id: str) -> Order:
        """One order. Right after a create or a cancel it may be missing or stale."""
        order = wire_orders.read_order(self._get(f"/portfolio/orders/{base.quote_part(order_id)}"))
        if order.order_id != order_id:
            raise ResponseFormatError(f"asked for order {order_id}, the exchange answered with {order.order_id[:64]}")
        return order
