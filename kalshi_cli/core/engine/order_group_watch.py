"""Order groups: which of them take no more orders, learned from whoever says it first."""

from __future__ import annotations

import re

import msgspec

from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderGroupStateChanged
from kalshi_cli.core.model.messages import GroupChange, OrderRejected, OrderState
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.state import EngineState

_ABOUT_A_GROUP = re.compile("order.?group", re.IGNORECASE)


class GroupWatch:
    """Keeps `state.triggered_groups`."""

    def __init__(self, state: EngineState) -> None:
        self._state = state

    def heard(self, message: GroupChange) -> list[Effect]:
        """A group that trips takes its orders with it; only a person resets it. One of ours that somebody deletes is
        as good as triggered: the exchange takes no order that names it.
        """
        group, triggered = message.order_group_id, self._state.triggered_groups
        is_ours = group in self._state.groups.values()
        if message.change == "reset" or (message.change == "deleted" and not is_ours):
            if group not in triggered:
                return []
            triggered.discard(group)
            return [OrderGroupStateChanged(group, is_triggered=False)]
        if message.change not in ("triggered", "deleted") or group in triggered:
            return []
        triggered.add(group)
        what = "cancels its orders and takes no new ones"
        text = f"the exchange {what} until it is reset: kalshi order group reset {group}"
        if message.change == "deleted":
            text = f"somebody deleted it: the exchange {what}; the next start makes another"
        alert = AlertRaised(self._state.now, "critical", "GROUP_TRIGGERED", group, text)
        return [alert, OrderGroupStateChanged(group, is_triggered=True)]

    def refused(self, order: Order, refusal: OrderRejected) -> list[Effect]:
        """How a trigger is learned without the stream. The code is not published (October 2026), so any text about an
        order group will do.
        """
        if not order.order_group_id or not _ABOUT_A_GROUP.search(f"{refusal.code} {refusal.detail}"):
            return []
        return self.heard(GroupChange(self._state.now, order.order_group_id, "triggered"))

    def with_cause(self, message: OrderState) -> OrderState:
        """The exchange gives no reason where the group of an order was triggered; we know it."""
        order = message.order
        if order.status is not OrderStatus.CANCELED or order.code:
            return message
        if order.order_group_id not in self._state.triggered_groups:
            return message
        return OrderState(message.ts, msgspec.structs.replace(order, code="GROUP_TRIGGERED"))
