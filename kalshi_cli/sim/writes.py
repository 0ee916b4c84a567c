"""The endpoints that change something: create, cancel, batches, cancel all. Bodies are checked as the exchange does."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from kalshi_cli.core.model import Side, Tif
from kalshi_cli.sim.floor import Floor
from kalshi_cli.sim.listing import NewOrder, Receipt, Refusal
from kalshi_cli.sim.replies import Json, WireError, flat, nested, refused
from kalshi_cli.sim.routing import Call, batch_items, decode_body, json_name
from kalshi_cli.sim.state import State
from kalshi_cli.units import Price, Qty, Ts, format_price, format_qty, parse_price, parse_qty

E = TypeVar("E", bound=StrEnum)
_STPS = ("taker_at_cross", "maker")


class Writes:
    """Every method answers the body of its success, or None where there is none."""

    def __init__(self, state: State, floor: Floor) -> None:
        self._state = state
        self._floor = floor

    def create(self, call: Call) -> Json:
        order = read_order(decode_body(call.body))
        return self._create(call, order)

    def create_batch(self, call: Call) -> Json:
        return {"orders": [self._create_item(call, item) for item in batch_items(call.body)]}

    def cancel(self, call: Call) -> Json:
        return self._cancel(call, call.path[0])

    def cancel_batch(self, call: Call) -> Json:
        return {"orders": [self._cancel_item(call, item) for item in batch_items(call.body)]}

    def cancel_all(self, call: Call) -> None:
        assert call.account is not None
        if not self._state.switches.is_active:
            raise nested(409, "exchange_is_paused")
        self._floor.cancel_all(call.account, call.now)

    def _create(self, call: Call, order: NewOrder) -> Json:
        assert call.account is not None
        outcome = self._floor.submit(call.account, order, call.now)
        if isinstance(outcome, Refusal):
            raise refused(outcome)
        return receipt_json(outcome)

    def _create_item(self, call: Call, item: Json) -> Json:
        try:
            return self._create(call, read_order(item))
        except WireError as error:
            return {"client_order_id": item.get("client_order_id"), "error": error.body.get("error", error.body)}

    def _cancel(self, call: Call, order_id: str) -> Json:
        assert call.account is not None
        order = self._state.live.get(order_id)
        outcome = self._floor.cancel(call.account, order_id, call.now)
        if isinstance(outcome, Refusal):
            raise refused(outcome)
        assert order is not None
        shown: Json = {"order_id": order_id, "reduced_by": format_qty(outcome), "ts_ms": call.now}
        if order.client_order_id:
            shown["client_order_id"] = order.client_order_id
        return shown

    def _cancel_item(self, call: Call, item: Json) -> Json:
        order_id = str(item.get("order_id", ""))
        try:
            return self._cancel(call, order_id)
        except WireError as error:
            return {"order_id": order_id, "reduced_by": "0.00", "error": error.body.get("error", error.body)}


def receipt_json(receipt: Receipt) -> Json:
    """The slim answer to a create: averages only where something filled; the fee is per contract, to four places."""
    shown: Json = {
        "order_id": receipt.order_id,
        "fill_count": format_qty(receipt.filled),
        "remaining_count": format_qty(receipt.remaining),
        "ts_ms": receipt.ts,
    }
    if receipt.client_order_id:
        shown["client_order_id"] = receipt.client_order_id
    if receipt.filled:
        shown["average_fill_price"] = format_price(Price(_nearest(receipt.cost, receipt.filled)))
        shown["average_fee_paid"] = format_price(Price(_nearest(receipt.fees, receipt.filled)))
    return shown


def _nearest(total: int, count: int) -> int:
    """The average, to the nearest whole unit."""
    return (2 * total + count) // (2 * count)


def read_order(body: Json) -> NewOrder:
    """A create request as an order. A number where a string is due is refused in the words of the real decoder."""
    fields = _Fields(body)
    ticker, side = fields.text("ticker"), fields.choice("side", Side)
    count, price = fields.text("count"), fields.text("price")
    tif = fields.choice("time_in_force", Tif)
    stp = fields.text("self_trade_prevention_type")
    if stp not in _STPS:
        raise nested(400, "invalid_parameters", f"self_trade_prevention_type is one of {', '.join(_STPS)}")
    client_order_id = fields.text("client_order_id", is_required=False)
    if "." in client_order_id or len(client_order_id) > 128:
        raise nested(400, "invalid_parameters", "client_order_id")
    expires = fields.whole("expiration_time")
    return NewOrder(
        ticker=ticker,
        side=side,
        price=_price(price),
        qty=_count(count),
        tif=tif,
        post_only=fields.flag("post_only"),
        reduce_only=fields.flag("reduce_only"),
        expires=None if expires is None else Ts(expires * 1000),
        client_order_id=client_order_id,
        stp_maker=stp == "maker",
        cancel_on_pause=fields.flag("cancel_order_on_pause"),
    )


def _price(text: str) -> Price:
    try:
        return parse_price(text)
    except ValueError as error:
        raise nested(400, "invalid_price") from error


def _count(text: str) -> Qty:
    try:
        return parse_qty(text)
    except ValueError as error:
        raise nested(400, "invalid_order_size") from error


class _Fields:
    """The fields of a JSON object, one type at a time."""

    def __init__(self, body: Json) -> None:
        self._body = body

    def text(self, name: str, *, is_required: bool = True) -> str:
        value = self._typed(name, str, "string")
        if is_required and not value:
            raise nested(400, "invalid_parameters", f"{name} is required")
        return value or ""

    def choice(self, name: str, kind: type[E]) -> E:
        try:
            return kind(self.text(name))
        except ValueError as error:
            raise nested(400, "invalid_parameters", f"{name} is one of {', '.join(kind)}") from error

    def flag(self, name: str) -> bool:
        return bool(self._typed(name, bool, "bool"))

    def whole(self, name: str) -> int | None:
        value = self._typed(name, int, "int64")
        return None if value is None else int(value)

    def _typed(self, name: str, kind: type[Any], go_type: str) -> Any:
        value = self._body.get(name)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise flat(
                f"json: cannot unmarshal {json_name(value)} into Go struct field "
                f"CreateOrderV2Request.{name} of type {go_type}"
            )
        return value
