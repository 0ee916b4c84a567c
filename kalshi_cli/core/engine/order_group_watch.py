"""Order groups: the groups that accept no orders, from whichever source reports it first.

A run with simulated fills has no groups. Its fills are counted as the exchange counts them: it says once where live
trading would have stopped, and continues.
"""

from __future__ import annotations

import re
from collections import deque

import msgspec

from kalshi_cli.base.units import Qty, Ts, show_qty
from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderGroupStateChanged
from kalshi_cli.core.model.messages import GroupChange, OrderRejected, OrderState
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.state.state import EngineState

WINDOW_MS = 15_000
"""The exchange counts the contracts that the orders of a group matched in this time."""

_ABOUT_A_GROUP = re.compile("order.?group", re.IGNORECASE)
_NOT_FOUND = re.compile("not.?found", re.IGNORECASE)


class OrderGroupWatch:
    """The watch that maintains `state.triggered_groups`."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._matched: dict[int, deque[tuple[Ts, Qty]]] = {}
        """The simulated fills of the last 15 seconds by shard."""
        self._is_over_limit = False

    def on_change(self, message: GroupChange, rejection: str = "") -> list[Effect]:
        """Note a triggered group until the user resets it. A deleted group of this run counts as triggered.

        `rejection` is the text of the rejection that revealed the change; the alert quotes it.
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
        what = "canceled its orders and accepts no new ones"
        # An order group is not reset while trading is paused, which this alert does by default: one command does both.
        text = f"The exchange {what} until it is reset: kalshi resume --reason TEXT --reset-groups"
        if message.change == "deleted":
            text = f"The order group was deleted by someone else: the exchange {what}; the next start creates a new one"
        text += f". An order was rejected: {rejection}" if rejection else ""
        alert = AlertRaised(self._state.now, "critical", "GROUP_TRIGGERED", group, text)
        return [alert, OrderGroupStateChanged(group, is_triggered=True)]

    def on_fill(self, order: Order, fill: Fill) -> list[Effect]:
        """Report once that the simulated fills reached the limit of an order group.

        Only orders that would be in a group count: of a strategy, of the own subaccount, and not reduce-only.
        """
        state, limit = self._state, self._state.simulated_group_limit
        is_in_a_group = order.strategy and not order.reduce_only and order.subaccount == state.home
        if limit is None or self._is_over_limit or not is_in_a_group:
            return []
        matched = self._matched.setdefault(order.exchange_index, deque())
        matched.append((fill.ts, fill.qty))
        while matched[0][0] <= fill.ts - WINDOW_MS:
            matched.popleft()
        contracts = Qty(sum(qty for _, qty in matched))
        if contracts < limit:
            return []
        self._is_over_limit = True
        text = (
            f"{show_qty(contracts)} contracts traded within 15 s, and trade.group_limit is {show_qty(limit)}: live, "
            "the exchange would cancel the orders of this run here, and accept no new ones until a reset"
        )
        return [AlertRaised(fill.ts, "warning", "GROUP_LIMIT", fill.ticker, text)]

    def on_rejected(self, order: Order, refusal: OrderRejected) -> list[Effect]:
        """Note a trigger that a rejection reveals, or that a group of this run was deleted.

        The code of a trigger is unpublished (October 2026), so any other text about an order group counts. A mistake
        blocks orders and pauses trading; without it a strategy would send orders that are all rejected.
        A group that is not found and is not of this run, such as a mistyped one, stops nothing.
        """
        said = f"{refusal.code} {refusal.detail}".rstrip()
        if not order.order_group_id or not _ABOUT_A_GROUP.search(said):
            return []
        change = "deleted" if _NOT_FOUND.search(said) else "triggered"
        return self.on_change(GroupChange(self._state.now, order.order_group_id, change), said)

    def with_cause(self, message: OrderState) -> OrderState:
        """Add the reason to a canceled order of a triggered group; the exchange gives none."""
        order = message.order
        if order.status is not OrderStatus.CANCELED or order.code:
            return message
        if order.order_group_id not in self._state.triggered_groups:
            return message
        return OrderState(message.ts, msgspec.structs.replace(order, code="GROUP_TRIGGERED"))
