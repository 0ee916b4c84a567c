"""Counters of one run: order requests, refusals, orders, fills and closed trades."""

from __future__ import annotations

from collections import Counter

import msgspec

from kalshi_cli.base.units import Money, Qty
from kalshi_cli.core.model.orders import Fill, is_own_code


class RunCounters(msgspec.Struct):
    """Counters of what strategies did, not the user. A closing trade is won if it made money after its own fee."""

    intents: int = 0
    orders: int = 0
    rejected: int = 0
    fills: int = 0
    maker_fills: int = 0
    taker_fills: int = 0
    contracts: Qty = Qty(0)
    won: int = 0
    lost: int = 0
    denied_by: dict[tuple[str, str], int] = {}
    """The refusals by strategy and code."""

    def count_fill(self, fill: Fill) -> None:
        """Count a fill of a strategy's order."""
        self.fills += 1
        self.contracts = Qty(self.contracts + fill.qty)
        self.taker_fills += fill.is_taker
        self.maker_fills += not fill.is_taker

    def count_close(self, profit: Money) -> None:
        """Count a closed or settled position, or part of one."""
        self.won += profit > 0
        self.lost += profit <= 0

    def count_rejected(self, strategy: str, code: str) -> None:
        """Count the rejection of a reviewed request; a code of kalshi means that it was refused and never sent."""
        if is_own_code(code):
            self.orders -= 1
            self.count_denied(strategy, code)
        else:
            self.rejected += 1

    def take_back(self) -> None:
        """Stop counting an order that was not sent and is reviewed again."""
        self.intents -= 1
        self.orders -= 1

    def count_denied(self, strategy: str, code: str) -> None:
        """Count a refused order request."""
        self.denied_by[strategy, code] = self.denied_by.get((strategy, code), 0) + 1

    @property
    def denied(self) -> dict[str, int]:
        """Return the refusals by code."""
        found: Counter[str] = Counter()
        for (_, code), count in self.denied_by.items():
            found[code] += count
        return dict(found)

    @property
    def win_rate(self) -> float | None:
        """Return the share of closing fills and settlements with a gain; None before the first."""
        closed = self.won + self.lost
        return self.won / closed if closed else None
