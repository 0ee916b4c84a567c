"""What of the account's position belongs to which strategy, and what that cost.

A strategy holds what its own fills came to, until somebody else trades against it: a person who closes, an order placed
beside us. What others trade takes their own position first; then it takes from the strategies on the other side, in
order of their names, for good. What is gone does not come back when somebody buys again.

What is gone takes its part of the cost along, so a strategy that trades on begins with what it has left: its own fills
alone would close what is not there any more.

So together the strategies never hold more than the account does, and as long as nobody else trades each holds exactly
what its fills say. This is counted from what is booked, in the order of the ledger: whatever was heard of when, and
after a restart, it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kalshi_cli.core.ledger import held_price
from kalshi_cli.core.model import Fill, Settlement
from kalshi_cli.units import Money, Price, Qty, Ts

OTHERS = ""
"""The owner of what no strategy traded."""


class _Share(NamedTuple):
    """What one owner holds, signed, and what that cost: at average cost, as the ledger counts."""

    qty: int
    cost: int

    def less(self, gone: int) -> _Share:
        """Without so many contracts, and their part of the cost."""
        if not gone:
            return self
        sign = 1 if self.qty > 0 else -1
        return _Share(self.qty - sign * gone, self.cost - self.cost * gone // abs(self.qty))


_NONE = _Share(0, 0)


class Shares:
    """One market, by subaccount and owner. The sum over all owners is the position of the subaccount."""

    def __init__(self, entries: Iterable[Fill | Settlement], owner_of: Callable[[Fill], str]) -> None:
        self._held: dict[int, dict[str, _Share]] = {}
        self._lost: dict[str, Ts] = {}
        for entry in entries:
            if isinstance(entry, Fill):
                owner = owner_of(entry)
                if self.trade(entry.subaccount, owner, entry.side.sign * entry.qty, entry.price) < 0:
                    self._lost[owner] = entry.ts
            else:
                self._held.clear()

    def with_trades(self, trades: Iterable[tuple[int, str, int, Price]]) -> Shares:
        """The same with more trades after it: subaccount, owner, change, YES price."""
        more = Shares((), lambda _fill: OTHERS)
        more._held = {subaccount: dict(held) for subaccount, held in self._held.items()}
        for trade in trades:
            more.trade(*trade)
        return more

    def trade(self, subaccount: int, owner: str, change: int, price: Price) -> Money:
        """Somebody traded, and gained so much with what that closed, before fees; what others hold and a strategy on
        the other side are then one thing, and gone."""
        held = self._held.setdefault(subaccount, {OTHERS: _NONE})
        was = held.get(owner, _NONE)
        closing = min(abs(change), abs(was.qty)) if change * was.qty < 0 else 0
        kept, opening = was.less(closing), abs(change) - closing
        held[owner] = _Share(was.qty + change, kept.cost + held_price(change, price) * opening)
        for name in sorted(held.keys() - {OTHERS}):
            own, others = held[name], held[OTHERS]
            if own.qty * others.qty < 0:
                gone = min(abs(own.qty), abs(others.qty))
                held[name], held[OTHERS] = own.less(gone), others.less(gone)
        return Money(held_price(was.qty, price) * closing - (was.cost - kept.cost))

    def of(self, owner: str, subaccount: int | None = None) -> Qty:
        """What one holds in a subaccount, or over all of them, signed."""
        found = (held for number, held in self._held.items() if subaccount in (None, number))
        return Qty(sum(held.get(owner, _NONE).qty for held in found))

    def lost_at(self, owner: str) -> Ts | None:
        """When one last closed at a loss, before fees; None where that never was."""
        return self._lost.get(owner)

    def cost_of(self, owner: str, subaccount: int) -> Money:
        """What one paid for what it holds in a subaccount, without fees."""
        return Money(self._held.get(subaccount, {}).get(owner, _NONE).cost)
