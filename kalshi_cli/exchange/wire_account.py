"""The REST bodies of the account: orders, fills, positions, balance, settlements, limits. Strict, as `wire` is."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kalshi_cli.core.messages import OrderAccepted, OrderCanceled
from kalshi_cli.core.model import Balance, ExchangePosition, Fill, Order, Settlement
from kalshi_cli.exchange.scalars import (
    Moment,
    book_side,
    count,
    integer_cents,
    maybe_ts,
    no_negative,
    outcome_price,
    seconds,
    ts_of,
)
from kalshi_cli.exchange.wire import Page, read
from kalshi_cli.exchange.wire_order import OrderFields, order_of
from kalshi_cli.units import ONE_DOLLAR, Price, Ts, cents, format_price, format_qty, parse_money

# -- what we send -------------------------------------------------------------------------------------------------


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
    exchange_index: int = 0  # left out: the exchange finds the shard by the ticker


_encoder = msgspec.json.Encoder()


def create_body(order: Order) -> bytes:
    """The body of `POST /portfolio/events/orders`. Of two orders of ours that meet, the newcomer is cancelled."""
    return _encoder.encode(
        _Create(
            ticker=order.ticker,
            client_order_id=order.client_order_id,
            side=order.side.value,
            count=format_qty(order.qty),
            price=format_price(order.price),
            time_in_force=order.tif.value,
            self_trade_prevention_type="taker_at_cross",
            expiration_time=None if order.expires is None else order.expires // 1000,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
            exchange_index=order.exchange_index,
        )
    )


def cancel_params(order: Order) -> dict[str, str]:
    """The query of a cancel: without the ticker, shard 0 is asked and answers 404 for a live order of shard 2."""
    params = {"market_ticker": order.ticker}
    if order.exchange_index:
        params["exchange_index"] = str(order.exchange_index)
    return params


# -- what came of it ----------------------------------------------------------------------------------------------


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


_created = msgspec.json.Decoder(_Created)
_canceled = msgspec.json.Decoder(_Canceled)


def read_created(body: bytes, client_order_id: str) -> OrderAccepted:
    """The reply to a create. It must name an order, and not somebody else's."""

    def convert(wire: _Created) -> OrderAccepted:
        if not wire.order_id or (wire.client_order_id or client_order_id) != client_order_id:
            raise ValueError("it names no order, or another one")
        return OrderAccepted(
            wire.ts_ms, client_order_id, wire.order_id, no_negative(wire.fill_count), no_negative(wire.remaining_count)
        )

    return read(_created, convert, body, "a new order")


def read_canceled(body: bytes, order: Order) -> OrderCanceled:
    """The reply to a cancel. In May 2026 the exchange answered some with another order's: ids are compared."""

    def convert(wire: _Canceled) -> OrderCanceled:
        if wire.order_id != order.order_id:
            raise ValueError(f"it is about {wire.order_id[:64]}, not {order.order_id}")
        no_negative(wire.reduced_by)
        return OrderCanceled(wire.ts_ms, wire.order_id, order.client_order_id)

    return read(_canceled, convert, body, "a cancel")


# -- orders and fills ---------------------------------------------------------------------------------------------


class _Order(OrderFields, gc=False):
    created_time: Moment | None = None
    last_update_time: Moment | None = None
    expiration_time: Moment | None = None


class _OrderBody(msgspec.Struct):
    order: _Order


class _OrdersBody(msgspec.Struct):
    orders: list[_Order]
    cursor: str | None = None


def _order(wire: _Order) -> Order:
    created = wire.created_time or wire.last_update_time
    if created is None:
        raise ValueError(f"order {wire.order_id[:64]} has no time")
    return order_of(
        wire,
        created=ts_of(created),
        updated=ts_of(wire.last_update_time or created),
        expires=maybe_ts(wire.expiration_time),
    )


class _Fill(msgspec.Struct, gc=False):
    trade_id: str
    order_id: str
    ticker: str
    count_fp: str
    yes_price_dollars: str
    is_taker: bool
    fee_cost: str
    created_time: Moment
    book_side: str | None = None
    outcome_side: str | None = None


class _FillsBody(msgspec.Struct):
    fills: list[_Fill]
    cursor: str | None = None


def _fill(wire: _Fill) -> Fill:
    return Fill(
        trade_id=wire.trade_id,
        order_id=wire.order_id,
        ticker=wire.ticker,
        side=book_side(wire.book_side, wire.outcome_side),
        price=outcome_price(wire.yes_price_dollars),
        qty=no_negative(wire.count_fp),
        fee=parse_money(wire.fee_cost),
        is_taker=wire.is_taker,
        ts=ts_of(wire.created_time),
    )


_order_body = msgspec.json.Decoder(_OrderBody)
_orders_body = msgspec.json.Decoder(_OrdersBody)
_fills_body = msgspec.json.Decoder(_FillsBody)


def read_order(body: bytes) -> Order:
    """`GET /portfolio/orders/{order_id}`."""
    return read(_order_body, lambda wire: _order(wire.order), body, "an order")


def read_orders(body: bytes) -> Page[Order]:
    """`GET /portfolio/orders`."""
    return read(_orders_body, lambda w: Page([_order(o) for o in w.orders], w.cursor or ""), body, "orders")


def read_fills(body: bytes) -> Page[Fill]:
    """`GET /portfolio/fills`. Without client order ids since 30 March 2026."""
    return read(_fills_body, lambda w: Page([_fill(f) for f in w.fills], w.cursor or ""), body, "fills")


# -- positions, balance, settlements ------------------------------------------------------------------------------


class _Position(msgspec.Struct, gc=False):
    ticker: str
    position_fp: str
    total_traded_dollars: str
    market_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    last_updated_ts: Moment


class _PositionsBody(msgspec.Struct):
    market_positions: list[_Position]
    cursor: str | None = None


class _Shard(msgspec.Struct):
    exchange_index: int
    balance: str


class _Balance(msgspec.Struct):
    balance_dollars: str
    portfolio_value: int
    updated_ts: int
    balance_breakdown: list[_Shard] | None = None


class _Settlement(msgspec.Struct, gc=False):
    ticker: str
    event_ticker: str
    market_result: str
    yes_count_fp: str
    no_count_fp: str
    revenue: int
    settled_time: Moment
    fee_cost: str
    value: int | None = None


class _SettlementsBody(msgspec.Struct):
    settlements: list[_Settlement]
    cursor: str | None = None


def _position(wire: _Position) -> ExchangePosition:
    return ExchangePosition(
        ticker=wire.ticker,
        position=count(wire.position_fp),
        exposure=parse_money(wire.market_exposure_dollars),
        realized=parse_money(wire.realized_pnl_dollars),
        fees=parse_money(wire.fees_paid_dollars),
        traded=parse_money(wire.total_traded_dollars),
        updated=ts_of(wire.last_updated_ts),
    )


def _balance(wire: _Balance) -> Balance:
    return Balance(
        cash=parse_money(wire.balance_dollars),  # `balance` is the same in whole cents, cut off
        portfolio_value=integer_cents(wire.portfolio_value),
        ts=seconds(wire.updated_ts),
        shards={shard.exchange_index: parse_money(shard.balance) for shard in wire.balance_breakdown or ()},
    )


def _payout(wire: _Settlement) -> Price:
    if wire.value is None:
        known = {"yes": ONE_DOLLAR, "no": Price(0)}.get(wire.market_result)
        if known is None:
            raise ValueError(f"settlement of {wire.ticker}: result {wire.market_result[:20]!r} without a value")
        return known
    if not 0 <= wire.value <= 100:
        raise ValueError(f"settlement of {wire.ticker}: a value of {wire.value} cents")
    return cents(wire.value)


def _settlement(wire: _Settlement) -> Settlement:
    return Settlement(
        ticker=wire.ticker,
        event_ticker=wire.event_ticker,
        result=wire.market_result,
        value=_payout(wire),
        yes_qty=no_negative(wire.yes_count_fp),
        no_qty=no_negative(wire.no_count_fp),
        revenue=integer_cents(wire.revenue),
        fee=parse_money(wire.fee_cost),
        ts=ts_of(wire.settled_time),
    )


_positions_body = msgspec.json.Decoder(_PositionsBody)
_balance_body = msgspec.json.Decoder(_Balance)
_settlements_body = msgspec.json.Decoder(_SettlementsBody)


def read_positions(body: bytes) -> Page[ExchangePosition]:
    """`GET /portfolio/positions`."""
    return read(
        _positions_body, lambda w: Page([_position(p) for p in w.market_positions], w.cursor or ""), body, "positions"
    )


def read_balance(body: bytes) -> Balance:
    """`GET /portfolio/balance`."""
    return read(_balance_body, _balance, body, "the balance")


def read_settlements(body: bytes) -> Page[Settlement]:
    """`GET /portfolio/settlements`."""
    return read(
        _settlements_body, lambda w: Page([_settlement(s) for s in w.settlements], w.cursor or ""), body, "settlements"
    )


# -- limits -------------------------------------------------------------------------------------------------------


class Allowance(msgspec.Struct, frozen=True):
    """A token bucket of the exchange: tokens a second, and how many it holds."""

    refill_rate: int
    bucket_capacity: int


class Limits(msgspec.Struct, frozen=True):
    """`GET /account/limits`."""

    usage_tier: str
    read: Allowance
    write: Allowance


class EndpointCost(NamedTuple):
    """What a request takes from its bucket. Path parameters are written `:name`."""

    method: str
    path: str
    cost: int


class Costs(NamedTuple):
    """`GET /account/endpoint_costs`: the rule, and the exceptions from it."""

    default: int
    exceptions: tuple[EndpointCost, ...]


class _Cost(msgspec.Struct):
    method: str
    path: str
    cost: int


class _Costs(msgspec.Struct):
    default_cost: int
    endpoint_costs: list[_Cost]


def _limits(limits: Limits) -> Limits:
    if min(limits.read.refill_rate, limits.read.bucket_capacity) < 1:
        raise ValueError("a read allowance of nothing")
    if min(limits.write.refill_rate, limits.write.bucket_capacity) < 1:
        raise ValueError("a write allowance of nothing")
    return limits


def _costs(wire: _Costs) -> Costs:
    if wire.default_cost < 0 or any(each.cost < 0 for each in wire.endpoint_costs):
        raise ValueError("a negative cost")
    return Costs(wire.default_cost, tuple(EndpointCost(e.method, e.path, e.cost) for e in wire.endpoint_costs))


_limits_body = msgspec.json.Decoder(Limits)
_costs_body = msgspec.json.Decoder(_Costs)


def read_limits(body: bytes) -> Limits:
    """`GET /account/limits`."""
    return read(_limits_body, _limits, body, "the rate limits")


def read_costs(body: bytes) -> Costs:
    """`GET /account/endpoint_costs`."""
    return read(_costs_body, _costs, body, "the endpoint costs")
