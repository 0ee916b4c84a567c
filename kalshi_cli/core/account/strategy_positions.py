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

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.ledger import price_of_side
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement

UNOWNED_STRATEGY = ""
"""The owner of what no strategy traded."""

DAY_MS = 86_400_000


class LossStreak(msgspec.Struct):
    """What one owner lost by closing in this market, the fees of these closes included.

    A round is whatever it lost between two times that it opened something. Rounds are counted until they are earned
    back, or until there was no loss for a day.
    """

    at: Ts | None = None
    """When it last closed at a loss; None where that never was."""
    rounds: int = 0
    owed: int = 0
    """Of these rounds, what was not earned back since; micro-dollars."""
    has_opened: bool = True
    """Something, since the last loss."""

    def count(self, ts: Ts, gained: int, *, has_opened: bool) -> None:
        """It traded, and gained so much with what that closed."""
        if gained < 0:
            if self.at is not None and ts - self.at >= DAY_MS:
                self.rounds = self.owed = 0
            self.rounds += self.has_opened
            self.at, self.has_opened = ts, False
        self.owed = max(0, self.owed - gained)
        if not self.owed:
            self.rounds = 0
        self.has_opened = self.has_opened or has_opened


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


class StrategyPositions:
    """One market, by subaccount and owner. The sum over all owners is the position of the subaccount."""

    def __init__(self, entries: Iterable[Fill | Settlement], owner_of: Callable[[Fill], str]) -> None:
        self._held: dict[int, dict[str, _Share]] = {}
        self._losses: dict[str, LossStreak] = {}
        for entry in entries:
            if isinstance(entry, Fill):
                owner = owner_of(entry)
                gained, opened = self.trade(entry.subaccount, owner, entry.side.sign * entry.qty, entry.price)
                fee = entry.fee if opened < entry.qty else 0
                losses = self._losses.setdefault(owner, LossStreak())
                losses.count(entry.ts, gained - fee, has_opened=opened > 0)
            else:
                self._held.clear()

    def with_trades(self, trades: Iterable[tuple[int, str, int, Price]]) -> StrategyPositions:
        """The same with more trades after it: subaccount, owner, change, YES price."""
        more = StrategyPositions((), lambda _fill: UNOWNED_STRATEGY)
        more._held = {subaccount: dict(held) for subaccount, held in self._held.items()}
        for trade in trades:
            more.trade(*trade)
        return more

    def trade(self, subaccount: int, owner: str, change: int, price: Price) -> tuple[Money, Qty]:
        """Somebody traded: what that gained with what it closed, before fees, and how much it opened. What others hold
        and a strategy on the other side are then one thing, and gone.
        """
        held = self._held.setdefault(subaccount, {UNOWNED_STRATEGY: _NONE})
        was = held.get(owner, _NONE)
        closing = min(abs(change), abs(was.qty)) if change * was.qty < 0 else 0
        kept, opening = was.less(closing), abs(change) - closing
        held[owner] = _Share(was.qty + change, kept.cost + price_of_side(change, price) * opening)
        for name in sorted(held.keys() - {UNOWNED_STRATEGY}):
            own, others = held[name], held[UNOWNED_STRATEGY]
            if own.qty * others.qty < 0:
                gone = min(abs(own.qty), abs(others.qty))
                held[name], held[UNOWNED_STRATEGY] = own.less(gone), others.less(gone)
        return Money(price_of_side(was.qty, price) * closing - (was.cost - kept.cost)), Qty(opening)

    def of(self, owner: str, subaccount: int | None = None) -> Qty:
        """What one holds in a subaccount, or over all of them, signed."""
        found = (held for number, held in self._held.items() if subaccount in (None, number))
        return Qty(sum(held.get(owner, _NONE).qty for held in found))

    def losses(self, owner: str) -> LossStreak:
        """What one lost by closing."""
        return self._losses.get(owner) or LossStreak()

    def cost_of(self, owner: str, subaccount: int) -> Money:
        """What one paid for what it holds in a subaccount, without fees."""
        return Money(self._held.get(subaccount, {}).get(owner, _NONE).cost)
