"""The endpoints that create and cancel orders, one or many. They validate bodies like the exchange."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts, format_price, format_qty, parse_price, parse_qty
from kalshi_cli.core.model.order_terms import Side, TimeInForce
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from kalshi_cli.simulator.protocol.replies import HttpError, Json, RejectionError, flat, invalid, refusing
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, batch_items, decode_body, json_name, write
from kalshi_cli.simulator.protocol.shapes import show
from kalshi_cli.simulator.trading.order_gateway import BalanceKey, OrderGateway

E = TypeVar("E", bound=StrEnum)
_STPS = ("taker_at_cross", "maker")


_ORDERS = "/portfolio/events/orders"


class GatewayRoutes(Routes):
    """Base of the routes that change orders."""

    def __init__(self, state: SimulatorState, gateway: OrderGateway) -> None:
        super().__init__(state)
        self._gateway = gateway

    def shard(self, named: int | None, ticker: str | None) -> int:
        """Return the shard of a write: the one it names, else that of its market, else 0."""
        if named is not None and named >= 0:
            return named
        if named is not None and not ticker:
            raise invalid("exchange_index -1 needs the market")
        return self._state.shard_of(ticker) if ticker else 0


class Writes(GatewayRoutes):
    """Routes that create and cancel orders."""

    @write("POST", _ORDERS, "CreateOrderV2", success=201, is_routed=True)
    def create(self, call: RouteCall) -> Json:
        """Create an order."""
        return self._create(call, decode_body(call.body))

    @write("POST", f"{_ORDERS}/batched", "BatchCreateOrdersV2", success=201, is_per_item=True)
    def create_batch(self, call: RouteCall) -> Json:
        """Create several orders, each with its own result."""
        items = batch_items(call.body)
        for item in items:  # another subaccount than that of a restricted key fails the whole batch
            _subaccount_of(call, item)
        return {"orders": [self._create_item(call, item) for item in items]}

    @write("DELETE", _ORDERS, "CancelAllOrdersV2", cost=2, success=204)
    def cancel_all(self, call: RouteCall) -> None:
        """Cancel all orders."""
        if not self._state.switches.is_active:
            raise RejectionError(409, "exchange_is_paused")
        owner = call.subaccount(None)
        self._gateway.cancel_all(call.caller, call.now, subaccount=owner)
        self._gateway.keep_canceling(call.caller, call.now, owner)

    @write("DELETE", f"{_ORDERS}/batched", "BatchCancelOrdersV2", cost=2, is_per_item=True)
    def cancel_batch(self, call: RouteCall) -> Json:
        """Cancel several orders, each with its own result."""
        items = batch_items(call.body)
        owners = [_subaccount_of(call, item) for item in items]
        return {"orders": [self._cancel_item(call, *each) for each in zip(items, owners, strict=True)]}

    @write("DELETE", f"{_ORDERS}/:order_id", "CancelOrderV2", cost=2, is_routed=True)
    def cancel(self, call: RouteCall) -> Json:
        """Cancel an order. Without a shard and a market in the query the order is on shard 0."""
        shard = self.shard(call.query.number("exchange_index", least=-1), call.query.text("market_ticker"))
        return self._cancel(call, call.path[0], (call.subaccount(0) or 0, shard))

    def _create(self, call: RouteCall, body: Json) -> Json:
        """Create an order; a key that is restricted to a subaccount uses it even if the body names none."""
        order = msgspec.structs.replace(read_order(body), subaccount=_subaccount_of(call, body))
        return receipt_json(self._gateway.submit(call.caller, order, call.now))

    def _create_item(self, call: RouteCall, item: Json) -> Json:
        try:
            return self._create(call, item)
        except HttpError as error:
            return {"client_order_id": item.get("client_order_id"), "error": error.body.get("error", error.body)}

    def _cancel(self, call: RouteCall, order_id: str, key: BalanceKey) -> Json:
        order = self._gateway.find(call.caller, order_id, key)
        taken = self._gateway.cancel(call.caller, order_id, call.now, key)
        return show(order, "order_id", "client_order_id") | {"reduced_by": format_qty(taken), "ts_ms": call.now}

    def _cancel_item(self, call: RouteCall, item: Json, subaccount: int) -> Json:
        order_id = str(item.get("order_id", ""))
        try:
            fields = Fields(item)
            named, ticker = fields.whole("exchange_index"), fields.text("market_ticker", is_required=False)
            return self._cancel(call, order_id, (subaccount, self.shard(named, ticker)))
        except HttpError as error:
            return {"order_id": order_id, "reduced_by": "0.00", "error": error.body.get("error", error.body)}


def _subaccount_of(call: RouteCall, item: Json) -> int:
    """Return the subaccount in the body of a write, else the primary one or that of the key."""
    return call.allowed(Fields(item).whole("subaccount"), 0) or 0


def receipt_json(receipt: OrderReceipt) -> Json:
    """Return the reply to a create: averages only with fills; the fee is per contract, to four decimals."""
    shown = show(receipt, "order_id fill_count remaining_count ts_ms", "client_order_id")
    if receipt.filled:
        shown["average_fill_price"] = format_price(Price(_nearest(receipt.cost, receipt.filled)))
        shown["average_fee_paid"] = format_price(Price(_nearest(receipt.fees, receipt.filled)))
    return shown


def _nearest(total: int, count: int) -> int:
    """Return the average, rounded to the nearest unit."""
    return (2 * total + count) // (2 * count)


def read_order(body: Json) -> NewOrder:
    """Return the order of a create request. A number for a string is refused in the words of the real decoder."""
    fields = Fields(body)
    ticker, side = fields.text("ticker"), fields.choice("side", Side)
    count, price = fields.text("count"), fields.text("price")
    tif = fields.choice("time_in_force", TimeInForce)
    stp = fields.text("self_trade_prevention_type")
    if stp not in _STPS:
        raise invalid(f"self_trade_prevention_type is one of {', '.join(_STPS)}")
    client_order_id = fields.text("client_order_id", is_required=False)
    if "." in client_order_id or len(client_order_id) > 128:
        raise invalid("client_order_id")
    expires, shard = fields.whole("expiration_time"), fields.whole("exchange_index")
    return NewOrder(
        ticker=ticker,
        side=side,
        price=read_price(price),
        qty=read_count(count),
        tif=tif,
        post_only=fields.flag("post_only"),
        reduce_only=fields.flag("reduce_only"),
        expires=None if expires is None else Ts(expires * 1000),
        client_order_id=client_order_id,
        stp_maker=stp == "maker",
        cancel_on_pause=fields.flag("cancel_order_on_pause"),
        subaccount=fields.whole("subaccount") or 0,
        exchange_index=None if shard is None or shard < 0 else shard,
        group_id=fields.text("order_group_id", is_required=False),
    )


def read_price(text: str) -> Price:
    """Return a price, or refuse it (invalid_price)."""
    with refusing(RejectionError(400, "invalid_price")):
        return parse_price(text)


def read_count(text: str) -> Qty:
    """Return a number of contracts, or refuse it (invalid_order_size)."""
    with refusing(RejectionError(400, "invalid_order_size")):
        return parse_qty(text)


class Fields:
    """The fields of a JSON object, with the type checks of the real decoder; `struct` is its name there."""

    def __init__(self, body: Json, struct: str = "CreateOrderV2Request") -> None:
        self._body = body
        self._struct = struct

    def text(self, name: str, *, is_required: bool = True) -> str:
        """Return a string."""
        value = self._typed(name, str, "string")
        if is_required and not value:
            raise invalid(f"{name} is required")
        return value or ""

    def choice(self, name: str, kind: type[E]) -> E:
        """Return a value of an enumeration."""
        with refusing(invalid(f"{name} is one of {', '.join(kind)}")):
            return kind(self.text(name))

    def flag(self, name: str) -> bool:
        """Return a boolean, False if absent."""
        return bool(self._typed(name, bool, "bool"))

    def whole(self, name: str) -> int | None:
        """Return an integer, or None if absent."""
        value = self._typed(name, int, "int64")
        return None if value is None else int(value)

    def _typed(self, name: str, kind: type[Any], go_type: str) -> Any:
        value = self._body.get(name)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise flat(
                f"json: cannot unmarshal {json_name(value)} into Go struct field "
                f"{self._struct}.{name} of type {go_type}"
            )
        return value
