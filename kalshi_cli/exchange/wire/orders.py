"""Orders and fills as JSON, in both directions, over REST and on the `user_order` channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import field

from kalshi_cli.base.units import Money, Ts, format_price, format_qty, parse_money
from kalshi_cli.core.model.messages import OrderAccepted, OrderCanceled
from kalshi_cli.core.model.order_terms import SelfTradePrevention
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.exchange.wire import values


class OrderFields(msgspec.Struct, gc=False):
    """Every field but the times, which the two sources write differently."""

    order_id: str
    ticker: str
    status: str
    yes_price_dollars: str
    initial_count_fp: str
    fill_count_fp: str
    remaining_count_fp: str
    taker_fees_dollars: str
    maker_fees_dollars: str
    taker_fill_cost_dollars: str
    maker_fill_cost_dollars: str
    client_order_id: str
    """Always present, empty on orders that were not placed by API. Without it an own order would not be recognized."""
    book_side: str | None = None
    outcome_side: str | None = None
    exchange_index: int = 0
    order_group_id: str | None = None
    subaccount_number: int | None = None
    self_trade_prevention_type: str | None = None
    cancel_order_on_pause: bool = False


def order_of(wire: OrderFields, *, created: Ts, updated: Ts, expires: Ts | None, why: str = "") -> Order:
    """Return the order on the YES scale; ValueError for an invalid field. `why` is the reason of the last update."""
    status = values.order_status(wire.status, why)
    side = values.book_side(wire.book_side, wire.outcome_side)
    initial, filled = map(values.parse_non_negative_count, (wire.initial_count_fp, wire.fill_count_fp))
    return Order(
        client_order_id=wire.client_order_id,
        order_id=wire.order_id,
        ticker=wire.ticker,
        side=side,
        price=values.outcome_price(wire.yes_price_dollars),
        qty=initial,
        filled=filled,
        reduced=values.reduced(status, initial, filled, values.parse_non_negative_count(wire.remaining_count_fp)),
        status=status,
        created=created,
        updated=updated,
        expires=expires,
        exchange_index=wire.exchange_index,
        fees=Money(parse_money(wire.taker_fees_dollars) + parse_money(wire.maker_fees_dollars)),
        fill_cost=values.yes_cost(side, filled, wire.taker_fill_cost_dollars, wire.maker_fill_cost_dollars),
        code=why,
        order_group_id=wire.order_group_id or "",
        subaccount=wire.subaccount_number or 0,
        self_trade_prevention=_STP_MODES.get(wire.self_trade_prevention_type or ""),
        cancel_on_pause=wire.cancel_order_on_pause,
    )


_STP_MODES = {mode.value: mode for mode in SelfTradePrevention}
"""Self-trade prevention by the exchange's name; an unknown name reads as None."""


# -- requests -----------------------------------------------------------------------------------------------------
class _Create(msgspec.Struct, omit_defaults=True, kw_only=True):
    ticker: str
    client_order_id: str
    side: str
    count: str  # text: the exchange refuses a JSON number here
    price: str
    time_in_force: str
    self_trade_prevention_type: str
    expiration_time: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    cancel_order_on_pause: bool = False
    order_group_id: str = ""
    subaccount: int = 0  # left out: the primary one, or that of a restricted key
    exchange_index: int = 0  # left out: the exchange finds the shard by the ticker


class _CreateMany(msgspec.Struct):
    orders: list[_Create]


def create_body(order: Order) -> bytes:
    """Return the body of `POST /portfolio/events/orders`."""
    return values.encoder.encode(_create(order))


def create_many_body(orders: Sequence[Order]) -> bytes:
    """Return the body of `POST /portfolio/events/orders/batched`."""
    return values.encoder.encode(_CreateMany([_create(order) for order in orders]))


def _create(order: Order) -> _Create:
    return _Create(
        ticker=order.ticker,
        client_order_id=order.client_order_id,
        side=order.side.value,
        count=format_qty(order.qty),
        price=format_price(order.price),
        time_in_force=order.tif.value,
        self_trade_prevention_type=(order.self_trade_prevention or SelfTradePrevention.TAKER).value,
        expiration_time=None if order.expires is None else order.expires // 1000,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        cancel_order_on_pause=order.cancel_on_pause,
        order_group_id=order.order_group_id,
        subaccount=order.subaccount,
        exchange_index=order.exchange_index,
    )


def cancel_params(order: Order) -> dict[str, str | int]:
    """Return the query of a cancel. Without the ticker, shard 0 answers 404 for a live order of another shard."""
    params: dict[str, str | int] = {"market_ticker": order.ticker}
    if order.exchange_index:
        params["exchange_index"] = order.exchange_index
    return params | subaccount_params(order)


def subaccount_params(order: Order) -> dict[str, str | int]:
    """Return the query that names the subaccount of an order; empty for the primary one."""
    return {"subaccount": order.subaccount} if order.subaccount else {}


# -- responses ----------------------------------------------------------------------------------------------------
class _Created(msgspec.Struct):
    order_id: str
    fill_count: str
    remaining_count: str
    ts_ms: Ts
    client_order_id: str | None = None


class _Canceled(msgspec.Struct):
    order_id: str
    reduced_by: str
    ts_ms: Ts
    client_order_id: str | None = None


def _accepted(wire: _Created, client_order_id: str) -> OrderAccepted:
    if not wire.order_id or (wire.client_order_id or client_order_id) != client_order_id:
        raise ValueError("the response names no order, or another one")
    return OrderAccepted(
        wire.ts_ms,
        client_order_id,
        wire.order_id,
        values.parse_non_negative_count(wire.fill_count),
        values.parse_non_negative_count(wire.remaining_count),
    )


def check_about(order_id: str, client_order_id: str | None, order: Order) -> None:
    """Raise ValueError if a response names another order, by either id; the client order id is not always present."""
    if order_id != order.order_id:
        raise ValueError(f"the response is about {order_id[:64]}, not {order.order_id}")
    if client_order_id and order.client_order_id not in ("", client_order_id):
        raise ValueError(f"the response is about {client_order_id[:64]}, not {order.client_order_id}")


def _cancel(wire: _Canceled, order: Order) -> OrderCanceled:
    """Return the cancel. Ids are compared: in May 2026 the exchange answered some with another order's."""
    check_about(wire.order_id, wire.client_order_id, order)
    reduced = values.parse_non_negative_count(wire.reduced_by)
    return OrderCanceled(wire.ts_ms, wire.order_id, order.client_order_id, reduced=reduced)


read_created = values.whole(_Created, _accepted, "a new order")
"""The accepted order, which is given by its client order id; the response must name it and no other."""
read_canceled = values.whole(_Canceled, _cancel, "a cancel")
"""The cancel of the given order."""


# -- orders and fills ---------------------------------------------------------------------------------------------
class _Order(OrderFields, gc=False):
    created_time: values.Moment | None = None
    last_update_time: values.Moment | None = None
    expiration_time: values.Moment | None = None


def _order(wire: _Order) -> Order:
    created = wire.created_time or wire.last_update_time
    if created is None:
        raise ValueError(f"order {wire.order_id[:64]} has no time")
    return order_of(
        wire,
        created=values.ts_of(created),
        updated=values.ts_of(wire.last_update_time or created),
        expires=values.parse_optional_time(wire.expiration_time),
    )


class _Fill(msgspec.Struct, gc=False):
    trade_id: str
    order_id: str
    ticker: str
    qty: values.Count = field(name="count_fp")
    price: Annotated[str, values.Unit(values.outcome_price)] = field(name="yes_price_dollars")
    is_taker: bool
    fee: values.Dollars = field(name="fee_cost")
    ts: values.Moment = field(name="created_time")
    book_side: str | None = None
    outcome_side: str | None = None
    subaccount: values.Number = field(name="subaccount_number", default=None)


def _fill(wire: _Fill) -> Fill:
    return values.convert(Fill, wire, side=values.book_side(wire.book_side, wire.outcome_side))


read_order = values.single("order", _Order, _order, "an order")
"""`GET /portfolio/orders/{order_id}`."""
read_orders = values.paged("orders", _Order, _order, "orders", is_required=True)
"""`GET /portfolio/orders`."""
read_fills = values.paged("fills", _Fill, _fill, "fills", is_required=True)
"""`GET /portfolio/fills`. Without client order ids since 30 March 2026."""
