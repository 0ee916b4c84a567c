"""REST bodies that change orders: amend, decrease and batches; and queue positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec import field

from kalshi_cli.base.units import Qty, Ts, format_price, format_qty
from kalshi_cli.core.account.order_index import ID_TAKEN
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.wire import replies, values
from kalshi_cli.exchange.wire.orders import cancel_params, check_about

# -- requests -----------------------------------------------------------------------------------------------------


class _Amend(msgspec.Struct, omit_defaults=True, kw_only=True):
    ticker: str
    side: str
    price: str
    count: str
    client_order_id: str = ""
    expiration_time: int | None = None
    exchange_index: int = 0


def amend_body(before: Order, wanted: Order) -> bytes:
    """Return the body of an amend. Its `count` is the total: filled plus remaining."""
    expires = None
    if wanted.expires != before.expires:
        expires = 0 if wanted.expires is None else wanted.expires // 1000
    return values.encoder.encode(
        _Amend(
            ticker=before.ticker,
            side=before.side.value,
            price=format_price(wanted.price),
            count=format_qty(wanted.qty),
            client_order_id=before.client_order_id,  # the exchange compares it: a second check of the order's identity
            expiration_time=expires,
            exchange_index=before.exchange_index,
        )
    )


def decrease_body(order: Order, *, by: Qty | None = None, to: Qty | None = None) -> bytes:
    """Return the body of a decrease, with one of the two."""
    return values.body_of(
        {"market_ticker": order.ticker},
        reduce_by=None if by is None else format_qty(by),
        reduce_to=None if to is None else format_qty(to),
        exchange_index=order.exchange_index,
    )


def cancel_many_body(orders: Sequence[Order]) -> bytes:
    """Return the body of a batch of cancels. Without the ticker an order of another shard is not found."""
    return values.body_of({"orders": [{"order_id": order.order_id, **cancel_params(order)} for order in orders]})


# -- responses ----------------------------------------------------------------------------------------------------


class _Amended(msgspec.Struct):
    order_id: str
    ts_ms: Ts
    remaining_count: str | None = None
    fill_count: str | None = None
    client_order_id: str | None = None


class _Decreased(msgspec.Struct):
    order_id: str
    remaining_count: str
    ts_ms: Ts
    client_order_id: str | None = None


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""
    details: str | None = None

    @property
    def text(self) -> str:
        return ": ".join(part for part in (self.message or self.code, self.details or "") if part)


class _Created(msgspec.Struct):
    order_id: str | None = None
    client_order_id: str | None = None
    fill_count: str | None = None
    remaining_count: str | None = None
    ts_ms: Ts | None = None
    error: _Error | None = None


class _CreatedMany(msgspec.Struct):
    orders: list[_Created]


class _Canceled(msgspec.Struct):
    order_id: str | None = None
    reduced_by: str | None = None
    ts_ms: Ts | None = None
    error: _Error | None = None


class _CanceledMany(msgspec.Struct):
    orders: list[_Canceled]


def _after_amend(wire: _Amended, before: Order, wanted: Order) -> messages.AmendEnded:
    """Return the order after an amend. The response has counts only if the order traded or its size changed."""
    check_about(wire.order_id, wire.client_order_id, before)
    filled = before.filled + (values.parse_non_negative_count(wire.fill_count) if wire.fill_count else 0)
    if wire.remaining_count is not None:
        left = values.parse_non_negative_count(wire.remaining_count)
        if left == 0 and filled < wanted.qty:  # for example PostOnlyCrossCancel; only a read shows which
            raise ValueError("the response does not say whether the rest filled or was canceled")
        filled = max(filled, wanted.qty - left)
    if filled > wanted.qty:
        raise ValueError(f"more than the requested {format_qty(wanted.qty)} has filled")
    status = OrderStatus.RESTING if filled < wanted.qty else OrderStatus.FILLED
    after = msgspec.structs.replace(
        wanted, filled=Qty(filled), status=status, updated=wire.ts_ms, fees=before.fees, fill_cost=before.fill_cost
    )
    return messages.AmendEnded(wire.ts_ms, after)


def _after_decrease(wire: _Decreased, order: Order) -> Order:
    check_about(wire.order_id, wire.client_order_id, order)
    left = values.parse_non_negative_count(wire.remaining_count)
    gone = order.qty - order.filled - left
    if gone < 0:
        raise ValueError(f"{format_qty(left)} of {format_qty(order.remaining)} remain")
    status = order.status if left else OrderStatus.CANCELED
    return msgspec.structs.replace(order, reduced=Qty(gone), status=status, updated=wire.ts_ms)


read_amended = values.whole(_Amended, _after_amend, "an amend")
"""The given order after an amend to the terms that were wanted."""
read_decreased = values.whole(_Decreased, _after_decrease, "a decrease")
"""The given order after a decrease."""


Placed = messages.OrderAccepted | messages.OrderRejected | messages.OrderUnknown
"""Outcome of one order of a batch."""


def _all_placed(wire: _CreatedMany, orders: Sequence[Order], now: Ts) -> list[Placed]:
    """Return the outcome of each order of a batch; OrderUnknown for one that the response does not mention.

    The results come in the order of the request, but those that name an order are matched by that name; only a
    rejection may come without one. Two results with one order id concern one order, and it is unknown which.
    """
    by_id = {item.client_order_id: item for item in wire.orders if item.client_order_id}
    shared = {each for each, count in Counter(item.order_id for item in wire.orders).items() if count > 1}
    is_whole = len(wire.orders) == len(orders)
    placed: list[Placed] = []
    for at, order in enumerate(orders):
        item = by_id.get(order.client_order_id)
        if item is None and is_whole and not wire.orders[at].client_order_id and wire.orders[at].error is not None:
            item = wire.orders[at]
        is_shared = item is not None and bool(item.order_id) and item.order_id in shared
        placed.append(_placed(None if is_shared else item, order.client_order_id, now))
    return placed


def _placed(item: _Created | None, name: str, now: Ts) -> Placed:
    if item is None:
        return messages.OrderUnknown(now, name, "the response does not mention this order")
    if item.error is not None:
        code = item.error.code.lower()
        if replies.is_definite(code) and not item.order_id:
            return messages.OrderRejected(now, name, code, item.error.text)
        reason = item.error.text or "an error without a reason"
        return messages.OrderUnknown(now, name, f"{ID_TAKEN}: {reason}" if code == ID_TAKEN else reason)
    if not item.order_id or item.fill_count is None or item.remaining_count is None:
        return messages.OrderUnknown(now, name, "the response does not say what happened to it")
    filled, left = map(values.parse_non_negative_count, (item.fill_count, item.remaining_count))
    return messages.OrderAccepted(now if item.ts_ms is None else item.ts_ms, name, item.order_id, filled, left)


TakenBack = messages.OrderCanceled | messages.CancelFailed
"""Outcome of one cancel of a batch."""


def _all_taken_back(wire: _CanceledMany, orders: Sequence[Order], now: Ts) -> list[TakenBack]:
    by_id = {item.order_id: item for item in wire.orders if item.order_id}
    return [_taken_back(by_id.get(order.order_id), order, now) for order in orders]


def _taken_back(item: _Canceled | None, order: Order, now: Ts) -> TakenBack:
    if item is None:
        return messages.CancelFailed(now, order.order_id, order.client_order_id, "unanswered")
    if item.error is not None:
        return messages.CancelFailed(now, order.order_id, order.client_order_id, item.error.code.lower() or "rejected")
    reduced = values.parse_non_negative_count(item.reduced_by) if item.reduced_by else None
    ts = now if item.ts_ms is None else item.ts_ms
    return messages.OrderCanceled(ts, order.order_id, order.client_order_id, reduced=reduced)


read_created_many = values.whole(_CreatedMany, _all_placed, "new orders")
"""The outcome of each of the given orders of a batch, as of now."""
read_canceled_many = values.whole(_CanceledMany, _all_taken_back, "cancels")
"""The outcome of each cancel of a batch, as of now."""


# -- the queue ----------------------------------------------------------------------------------------------------


class QueuePosition(msgspec.Struct, frozen=True):
    """Contracts that must trade before an order does: at better prices, and earlier at its own."""

    order_id: str
    ticker: str = field(name="market_ticker")
    ahead: values.QtyOfCount = field(name="queue_position_fp")


read_queue_position = values.single("queue_position_fp", str, values.parse_non_negative_count, "a place in the queue")
"""`GET /portfolio/orders/{order_id}/queue_position`."""
read_queue_positions = values.listed("queue_positions", *values.of(QueuePosition), "places in the queue")
"""`GET /portfolio/orders/queue_positions`."""
