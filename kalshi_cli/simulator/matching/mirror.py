"""The read side of an account: some milliseconds behind the matching engine, as on the real exchange."""

from __future__ import annotations

import copy
from collections import deque

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model import records

Mirrored = (
    records.BalanceRecord
    | records.GroupRecord
    | records.OrderRecord
    | records.FillRecord
    | records.PositionRecord
    | records.SettlementRecord
)


class DelayedView:
    """The records of one account as reads show them: `put` adds changes, `at` shows those that are old enough."""

    def __init__(self, lag_ms: int) -> None:
        self.lag_ms = lag_ms
        self.purses: dict[tuple[int, int], records.BalanceRecord] = {}
        self.groups: dict[str, records.GroupRecord] = {}
        self.orders: dict[str, records.OrderRecord] = {}
        self.resting: dict[str, records.OrderRecord] = {}
        self.fills: list[records.FillRecord] = []
        self.holdings: dict[tuple[int, str], records.PositionRecord] = {}
        self.settlements: list[records.SettlementRecord] = []
        self._pending: deque[tuple[Ts, Mirrored]] = deque()

    def put(self, record: Mirrored, now: Ts) -> None:
        """Add a changed record; without a lag the live record itself is shown, with one a copy."""
        if self.lag_ms == 0:
            self._show(record)
        else:
            self._pending.append((now, copy.copy(record)))

    def at(self, now: Ts) -> DelayedView:
        """Show the changes that are old enough at `now`, and return the view."""
        while self._pending and self._pending[0][0] <= now - self.lag_ms:
            self._show(self._pending.popleft()[1])
        return self

    def _show(self, record: Mirrored) -> None:
        match record:
            case records.OrderRecord():
                self.orders[record.order_id] = record
                if record.status == records.RESTING:
                    self.resting[record.order_id] = record
                else:
                    self.resting.pop(record.order_id, None)
            case records.FillRecord():
                self.fills.append(record)
            case records.PositionRecord():
                self.holdings[record.subaccount, record.ticker] = record
            case records.SettlementRecord():
                self.settlements.append(record)
            case records.GroupRecord():
                self.groups[record.group_id] = record
                if record.is_deleted:
                    del self.groups[record.group_id]
            case records.BalanceRecord():
                self.purses[record.subaccount, record.exchange_index] = record
