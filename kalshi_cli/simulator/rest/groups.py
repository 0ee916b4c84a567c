"""The routes of order groups (API.md section 5.9). Reads trail, as all reads of an account do."""

from __future__ import annotations

from kalshi_cli.base.units import Qty, contracts, format_qty
from kalshi_cli.simulator.model.records import GroupRecord
from kalshi_cli.simulator.protocol.replies import Json, invalid, not_found
from kalshi_cli.simulator.protocol.routing import RouteCall, decode_body, private, write
from kalshi_cli.simulator.rest.order_writes import Fields, FloorRoutes, read_count

_GROUPS = "/portfolio/order_groups"
_GROUP = f"{_GROUPS}/:order_group_id"

HIGHEST_LIMIT = contracts(1_000_000)


class GroupRoutes(FloorRoutes):
    """Order groups are read, made and changed."""

    @private(_GROUPS, "GetOrderGroups")
    def groups(self, call: RouteCall) -> Json:
        """`{}` for an account with none, as recorded (on perps)."""
        owner = call.subaccount(None)
        found = [group for group in self._mirror(call).groups.values() if owner in (None, group.subaccount)]
        return {"order_groups": [{"id": group.group_id, **_json(group)} for group in found]} if found else {}

    @private(_GROUP, "GetOrderGroup")
    def group(self, call: RouteCall) -> Json:
        mirror, owner = self._mirror(call), call.subaccount(None)
        group = mirror.groups.get(call.path[0])
        if group is None or owner not in (None, group.subaccount):
            raise not_found()
        orders = [order.order_id for order in mirror.resting.values() if order.group_id == group.group_id]
        return {**_json(group), "orders": orders}

    @write("POST", f"{_GROUPS}/create", "CreateOrderGroup", success=201)
    def create(self, call: RouteCall) -> Json:
        fields = Fields(decode_body(call.body), "CreateOrderGroupRequest")
        made = self._floor.groups.create(
            call.caller,
            _limit(fields),
            call.now,
            subaccount=call.allowed(fields.whole("subaccount"), 0) or 0,
            exchange_index=fields.whole("exchange_index") or 0,
        )
        return {
            "order_group_id": made.group_id,
            "subaccount": made.subaccount,
            "exchange_index": made.exchange_index,
        }

    @write("PUT", f"{_GROUP}/limit", "UpdateOrderGroupLimit")
    def set_limit(self, call: RouteCall) -> Json:
        limit = _limit(Fields(decode_body(call.body), "UpdateOrderGroupLimitRequest"))
        self._floor.groups.set_limit(self._found(call), limit, call.now)
        return {}

    @write("PUT", f"{_GROUP}/trigger", "TriggerOrderGroup")
    def trigger(self, call: RouteCall) -> Json:
        self._floor.groups.trigger(self._found(call), call.now)
        return {}

    @write("PUT", f"{_GROUP}/reset", "ResetOrderGroup")
    def reset(self, call: RouteCall) -> Json:
        self._floor.groups.reset(self._found(call), call.now)
        return {}

    @write("DELETE", _GROUP, "DeleteOrderGroup")
    def delete(self, call: RouteCall) -> Json:
        self._floor.groups.delete(self._found(call), call.now)
        return {}

    def _found(self, call: RouteCall) -> GroupRecord:
        shard = call.query.number("exchange_index") or 0
        return self._floor.groups.find(call.caller, call.path[0], call.subaccount(0) or 0, shard)


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
        raise invalid("contracts_limit and contracts_limit_fp differ")
    if not contracts(1) <= limit <= HIGHEST_LIMIT:
        raise invalid("contracts_limit is 1 to 1000000")
    return limit
