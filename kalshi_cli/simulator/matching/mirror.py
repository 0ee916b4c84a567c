"""An account as reads show it: some milliseconds behind the matching engine, as on the real exchange."""

from __future__ import annotations

import copy
from collections import deque

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.records import (
    RESTING,
    BalanceRecord,
    FillRecord,
    GroupRecord,
    OrderRecord,
    PositionRecord,
    SettlementRecord,
)

Mirrored = BalanceRecord | GroupRecord | OrderRecord | FillRecord | PositionRecord | SettlementRecord


class DelayedView:
    """The read side of one account. `put` what changed; `at` shows it once it is old enough."""

    def __init__(self, lag_ms: int) -> None:
        self.lag_ms = lag_ms
        self.purses: dict[tuple[int, int], BalanceRecord] = {}
        self.groups: dict[str, GroupRecord] = {}
        self.orders: dict[str, OrderRecord] = {}
        self.resting: dict[str, OrderRecord] = {}
        self.fills: list[FillRecord] = []
        self.holdings: dict[tuple[int, str], PositionRecord] = {}
        self.settlements: list[SettlementRecord] = []
        self._pending: deque[tuple[Ts, Mirrored]] = deque()

    def put(self, record: Mirrored, now: Ts) -> None:
        """Without a lag the live record itself is shown; with one, a copy of what it was."""
        if self.lag_ms == 0:
            self._show(record)
        else:
            self._pending.append((now, copy.copy(record)))

    def at(self, now: Ts) -> DelayedView:
        """Let in what is old enough now."""
        while self._pending and self._pending[0][0] <= now - self.lag_ms:
            self._show(self._pending.popleft()[1])
        return self

    def _show(self, record: Mirrored) -> None:
        match record:
            case OrderRecord():
                self.orders[record.order_id] = record
                if record.status == RESTING:
                    self.resting[record.order_id] = record
                else:
                    self.resting.pop(record.order_id, None)
            case FillRecord():
                self.fills.append(record)
            case PositionRecord():
                self.holdings[record.subaccount, record.ticker] = record
            case SettlementRecord():
                self.settlements.append(record)
            case GroupRecord():
                self.groups[record.group_id] = record
                if record.is_deleted:
                    del self.groups[record.group_id]
            case BalanceRecord():
                self.purses[record.subaccount, record.exchange_index] = record
