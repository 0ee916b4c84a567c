"""What of the account's position belongs to which strategy.

A strategy holds what its own fills came to, until somebody else trades against it: a person who closes, an order placed
beside us. What others trade takes their own position first; then it takes from the strategies on the other side, in
order of their names, for good. What is gone does not come back when somebody buys again.

So together the strategies never hold more than the account does, and as long as nobody else trades each holds exactly
what its fills say. This is counted from what is booked, in the order of the ledger: whatever was heard of when, and
after a restart, it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kalshi_cli.core.model import Fill, Settlement
from kalshi_cli.units import Qty

OTHERS = ""
"""The owner of what no strategy traded."""


class Shares:
    """One market, by subaccount and owner. The sum over all owners is the position of the subaccount."""

    def __init__(self, entries: Iterable[Fill | Settlement], owner_of: Callable[[Fill], str]) -> None:
        self._held: dict[int, dict[str, int]] = {}
        for entry in entries:
            if isinstance(entry, Fill):
                self.trade(entry.subaccount, owner_of(entry), entry.side.sign * entry.qty)
            else:
                self._held.clear()

    def with_trades(self, trades: Iterable[tuple[int, str, int]]) -> Shares:
        """The same with more trades after it: subaccount, owner, change."""
        more = Shares((), lambda _fill: OTHERS)
        more._held = {subaccount: dict(held) for subaccount, held in self._held.items()}
        for trade in trades:
            more.trade(*trade)
        return more

    def trade(self, subaccount: int, owner: str, change: int) -> None:
        """Somebody traded; what others hold and a strategy on the other side are then one thing, and gone."""
        held = self._held.setdefault(subaccount, {OTHERS: 0})
        held[owner] = held.get(owner, 0) + change
        for name in sorted(held.keys() - {OTHERS}):
            if held[name] * held[OTHERS] < 0:
                gone = min(abs(held[name]), abs(held[OTHERS])) * (1 if held[name] > 0 else -1)
                held[name] -= gone
                held[OTHERS] += gone

    def of(self, owner: str, subaccount: int | None = None) -> Qty:
        """What one holds in a subaccount, or over all of them, signed."""
        return Qty(sum(held.get(owner, 0) for number, held in self._held.items() if subaccount in (None, number)))
