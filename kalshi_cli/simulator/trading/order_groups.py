"""Order groups: a limit on the contracts that its orders match within 15 seconds (API.md section 5.9).

A group that reaches its limit is triggered: all its orders are canceled, and new ones are refused until a reset. An
order that alone matches more than the limit is not cut, since the limit is checked after each execution (UNVERIFIED).
"""

from __future__ import annotations

from kalshi_cli.base.units import Qty, Ts
from kalshi_cli.simulator.matching.matching_engine import GROUP_WINDOW_MS, MatchingEngine
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.records import GroupRecord, OrderRecord
from kalshi_cli.simulator.protocol.replies import RejectionError, existing, invalid, not_found
from kalshi_cli.simulator.protocol.routing import check_subaccount


class OrderGroups:
    """Creates, changes and triggers order groups. A refusal changes nothing."""

    def __init__(self, state: SimulatorState, engine: MatchingEngine) -> None:
        self.state = state
        self.engine = engine

    def create(self, account: str, limit: Qty, now: Ts, *, subaccount: int = 0, exchange_index: int = 0) -> GroupRecord:
        """Create a group."""
        state, member = self.state, self.state.members[account]
        if not 0 <= exchange_index < state.options.shards:
            raise not_found()
        self._check_active(exchange_index)
        check_subaccount(member, subaccount)
        if len(member.groups) >= state.options.max_order_groups:
            raise invalid("too many order groups")
        group = GroupRecord(
            group_id=state.new_id(),
            account=account,
            number=state.group_count,
            limit=limit,
            subaccount=subaccount,
            exchange_index=exchange_index,
            created=now,
            updated=now,
        )
        state.group_count += 1
        state.add_group(group)
        state.touch_group(group, "created", now)
        return group

    def find(self, account: str, group_id: str, subaccount: int, exchange_index: int) -> GroupRecord:
        """Return a group of this account for a write, which must name its subaccount and shard.

        During a pause of the whole exchange it is refused, like a cancel.
        """
        group = existing(self.state.groups.get(group_id))
        if (group.account, group.subaccount, group.exchange_index) != (account, subaccount, exchange_index):
            raise not_found()
        self._check_active(exchange_index)
        return group

    def _check_active(self, shard: int) -> None:
        if self.state.switches.pause_of(shard) == "exchange":
            raise RejectionError(409, "exchange_is_paused")

    def check_joins(self, order: OrderRecord) -> None:
        """Refuse an order that may not join its group."""
        if not order.group_id:
            return
        try:
            group = self.find(order.account, order.group_id, order.subaccount, order.exchange_index)
        except RejectionError:
            raise not_found("order group") from None
        if group.is_triggered:
            raise RejectionError(400, self.state.options.triggered_group_code)

    def set_limit(self, group: GroupRecord, limit: Qty, now: Ts) -> None:
        """Set the limit; contracts that were matched already may trigger the group at once."""
        group.limit = limit
        self.state.touch_group(group, "limit_updated", now)
        self._check(group, now)

    def trigger(self, group: GroupRecord, now: Ts) -> None:
        """Trigger a group; a triggered group only cancels its orders again."""
        if not group.is_triggered:
            group.is_triggered = True
            self.state.touch_group(group, "triggered", now)
        self._cancel_orders(group, now)

    def reset(self, group: GroupRecord, now: Ts) -> None:
        """Accept orders again, and count from zero."""
        group.is_triggered = False
        group.matched.clear()
        self.state.touch_group(group, "reset", now)

    def delete(self, group: GroupRecord, now: Ts) -> None:
        """Delete a group and cancel its orders."""
        self._cancel_orders(group, now)
        group.is_deleted = True
        self.state.touch_group(group, "deleted", now)

    def check_traded(self, now: Ts) -> None:
        """Trigger the groups that reached their limit in the last execution."""
        traded = list(self.state.traded_groups)
        self.state.traded_groups.clear()
        for group_id in traded:
            group = self.state.groups[group_id]
            self.state.touch_own(group, now)
            self._check(group, now)

    def _check(self, group: GroupRecord, now: Ts) -> None:
        matched = matched_lately(group, now)
        is_over = matched > group.limit if self.state.options.group_trips == "exceeded" else matched >= group.limit
        if is_over and not group.is_triggered:
            self.trigger(group, now)

    def _cancel_orders(self, group: GroupRecord, now: Ts) -> None:
        purse = self.state.members[group.account].purse(group.subaccount, group.exchange_index)
        for order in [order for order in purse.orders() if order.group_id == group.group_id]:
            if order.order_id in self.state.live:  # the cancel before may have canceled it too, for lack of cash
                self.engine.release(order, "", now)


def matched_lately(group: GroupRecord, now: Ts) -> Qty:
    """Return the contracts matched in the last 15 seconds, and forget older fills."""
    group.matched[:] = [(ts, qty) for ts, qty in group.matched if ts > now - GROUP_WINDOW_MS]
    return Qty(sum(qty for _, qty in group.matched))
