"""The routes of order groups (API.md section 5.9). Reads lag behind, like all reads of an account."""

from __future__ import annotations

from kalshi_cli.base.units import Qty, contracts
from kalshi_cli.simulator.model.records import GroupRecord
from kalshi_cli.simulator.protocol.replies import Json, existing, invalid, matching, not_found
from kalshi_cli.simulator.protocol.routing import RouteCall, decode_body, private, write
from kalshi_cli.simulator.protocol.shapes import show
from kalshi_cli.simulator.rest.order_writes import Fields, GatewayRoutes, read_count

_GROUPS = "/portfolio/order_groups"
_GROUP = f"{_GROUPS}/:order_group_id"

HIGHEST_LIMIT = contracts(1_000_000)


class GroupRoutes(GatewayRoutes):
    """Routes that read and change order groups."""

    @private(_GROUPS, "GetOrderGroups")
    def groups(self, call: RouteCall) -> Json:
        """Return the order groups; `{}` for an account without any, as recorded for perpetuals."""
        groups = matching(self._mirror(call).groups.values(), subaccount=call.subaccount(None))
        found = [{"id": group.group_id, **_json(group)} for group in groups]
        return {"order_groups": found} if found else {}

    @private(_GROUP, "GetOrderGroup")
    def group(self, call: RouteCall) -> Json:
        """Return one order group with its resting orders."""
        mirror, owner = self._mirror(call), call.subaccount(None)
        group = existing(mirror.groups.get(call.path[0]))
        if owner not in (None, group.subaccount):
            raise not_found()
        orders = [order.order_id for order in matching(mirror.resting.values(), group_id=group.group_id)]
        return {**_json(group), "orders": orders}

    @write("POST", f"{_GROUPS}/create", "CreateOrderGroup", success=201)
    def create(self, call: RouteCall) -> Json:
        """Create an order group."""
        fields = Fields(decode_body(call.body), "CreateOrderGroupRequest")
        made = self._gateway.groups.create(
            call.caller,
            _limit(fields),
            call.now,
            subaccount=call.allowed(fields.whole("subaccount"), 0) or 0,
            exchange_index=fields.whole("exchange_index") or 0,
        )
        return show(made, "order_group_id subaccount exchange_index")

    @write("PUT", f"{_GROUP}/limit", "UpdateOrderGroupLimit")
    def set_limit(self, call: RouteCall) -> Json:
        """Set the limit of a group."""
        limit = _limit(Fields(decode_body(call.body), "UpdateOrderGroupLimitRequest"))
        self._gateway.groups.set_limit(self._found(call), limit, call.now)
        return {}

    @write("PUT", f"{_GROUP}/trigger", "TriggerOrderGroup")
    @write("PUT", f"{_GROUP}/reset", "ResetOrderGroup")
    @write("DELETE", _GROUP, "DeleteOrderGroup")
    def change(self, call: RouteCall) -> Json:
        """Trigger, reset or delete a group."""
        groups = self._gateway.groups
        act = {"Trigger": groups.trigger, "Reset": groups.reset, "Delete": groups.delete}
        act[call.query.operation.removesuffix("OrderGroup")](self._found(call), call.now)
        return {}

    def _found(self, call: RouteCall) -> GroupRecord:
        shard = call.query.number("exchange_index") or 0
        return self._gateway.groups.find(call.caller, call.path[0], call.subaccount(0) or 0, shard)


def _json(group: GroupRecord) -> Json:
    return show(group, "contracts_limit_fp exchange_index") | {"is_auto_cancel_enabled": True}


def _limit(fields: Fields) -> Qty:
    """Return `contracts_limit_fp`, or `contracts_limit` in whole contracts; both must agree."""
    text, whole = fields.text("contracts_limit_fp", is_required=False), fields.whole("contracts_limit")
    limit = read_count(text) if text else contracts(whole or 0)
    if text and whole is not None and limit != contracts(whole):
        raise invalid("contracts_limit and contracts_limit_fp differ")
    if not contracts(1) <= limit <= HIGHEST_LIMIT:
        raise invalid("contracts_limit is 1 to 1000000")
    return limit
