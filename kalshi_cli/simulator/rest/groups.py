"""The routes of order groups (API.md section 5.9). Reads trail, as all reads of an account do."""

from __future__ import annotations

from collections.abc import Callable

from kalshi_cli.base.units import Qty, contracts, format_qty
from kalshi_cli.simulator.matching.mirror import DelayedView
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import OrderRejection
from kalshi_cli.simulator.model.records import GroupRecord
from kalshi_cli.simulator.protocol.replies import Json, nested, refused
from kalshi_cli.simulator.protocol.routing import Route, RouteCall, decode_body
from kalshi_cli.simulator.rest.order_writes import Fields, read_count
from kalshi_cli.simulator.trading.order_gateway import OrderGateway

_GROUPS = "/portfolio/order_groups"
_GROUP = f"{_GROUPS}/:order_group_id"

HIGHEST_LIMIT = contracts(1_000_000)


class GroupRoutes:
    """Every method answers the body of its success."""

    def __init__(self, state: SimulatorState, floor: OrderGateway) -> None:
        self._state = state
        self._groups = floor.groups

    def routes(self) -> list[Route]:
        """The table of these endpoints."""

        def read(path: str, operation: str, answer: Callable[[RouteCall], Json]) -> Route:
            return Route("GET", path, operation, answer, is_private=True)

        def write(
            method: str, path: str, operation: str, answer: Callable[[RouteCall], Json], success: int = 200
        ) -> Route:
            return Route(method, path, operation, answer, is_private=True, is_write=True, success=success)

        return [
            read(_GROUPS, "GetOrderGroups", self.groups),
            write("POST", f"{_GROUPS}/create", "CreateOrderGroup", self.create, 201),
            read(_GROUP, "GetOrderGroup", self.group),
            write("DELETE", _GROUP, "DeleteOrderGroup", self.delete),
            write("PUT", f"{_GROUP}/limit", "UpdateOrderGroupLimit", self.set_limit),
            write("PUT", f"{_GROUP}/trigger", "TriggerOrderGroup", self.trigger),
            write("PUT", f"{_GROUP}/reset", "ResetOrderGroup", self.reset),
        ]

    def groups(self, call: RouteCall) -> Json:
        """`{}` for an account with none, as recorded (on perps)."""
        owner = call.subaccount(None)
        found = [group for group in self._mirror(call).groups.values() if owner in (None, group.subaccount)]
        return {"order_groups": [{"id": group.group_id, **_json(group)} for group in found]} if found else {}

    def group(self, call: RouteCall) -> Json:
        mirror, owner = self._mirror(call), call.subaccount(None)
        group = mirror.groups.get(call.path[0])
        if group is None or owner not in (None, group.subaccount):
            raise nested(404, "not_found")
        orders = [order.order_id for order in mirror.resting.values() if order.group_id == group.group_id]
        return {**_json(group), "orders": orders}

    def create(self, call: RouteCall) -> Json:
        assert call.account is not None
        fields = Fields(decode_body(call.body), "CreateOrderGroupRequest")
        made = self._groups.create(
            call.account,
            _limit(fields),
            call.now,
            subaccount=call.allowed(fields.whole("subaccount"), 0) or 0,
            exchange_index=fields.whole("exchange_index") or 0,
        )
        if isinstance(made, OrderRejection):
            raise refused(made)
        return {
            "order_group_id": made.group_id,
            "subaccount": made.subaccount,
            "exchange_index": made.exchange_index,
        }

    def set_limit(self, call: RouteCall) -> Json:
        limit = _limit(Fields(decode_body(call.body), "UpdateOrderGroupLimitRequest"))
        self._groups.set_limit(self._found(call), limit, call.now)
        return {}

    def trigger(self, call: RouteCall) -> Json:
        self._groups.trigger(self._found(call), call.now)
        return {}

    def reset(self, call: RouteCall) -> Json:
        self._groups.reset(self._found(call), call.now)
        return {}

    def delete(self, call: RouteCall) -> Json:
        self._groups.delete(self._found(call), call.now)
        return {}

    def _found(self, call: RouteCall) -> GroupRecord:
        assert call.account is not None
        shard = call.query.number("exchange_index") or 0
        found = self._groups.find(call.account, call.path[0], call.subaccount(0) or 0, shard)
        if isinstance(found, OrderRejection):
            raise refused(found)
        return found

    def _mirror(self, call: RouteCall) -> DelayedView:
        assert call.account is not None
        mirror = self._state.members[call.account].mirror
        assert mirror is not None
        return mirror.at(call.now)


def _json(group: GroupRecord) -> Json:
    return {
        "contracts_limit_fp": format_qty(group.limit),
        "is_auto_cancel_enabled": True,
        "exchange_index": group.exchange_index,
    }


def _limit(fields: Fields) -> Qty:
    """`contracts_limit_fp`, or `contracts_limit` in whole contracts; both must be the same."""
    text, whole = fields.text("contracts_limit_fp", is_required=False), fields.whole("contracts_limit")
    limit = read_count(text) if text else contracts(whole or 0)
    if text and whole is not None and limit != contracts(whole):
        raise nested(400, "invalid_parameters", "contracts_limit and contracts_limit_fp differ")
    if not contracts(1) <= limit <= HIGHEST_LIMIT:
        raise nested(400, "invalid_parameters", "contracts_limit is 1 to 1000000")
    return limit
