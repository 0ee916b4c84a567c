"""The part of the account's position that belongs to each strategy, and its cost.

A strategy's position is the sum of its own fills until another party trades against it: the user who closes, or an
external order. External trades first reduce the external position, then those of strategies on the other side, in order
of their names. That reduction is final: a later external purchase does not restore it.

The reduction takes its share of the cost, so a strategy that continues starts from its remaining position.

Together the strategies never have more than the account, and without external trades each has exactly the sum of its
fills. The result follows from the booked entries in the order of the ledger, so it is the same for any order of arrival
and after a restart.
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
"""The owner of trades that no strategy made."""

DAY_MS = 86_400_000


class LossStreak(msgspec.Struct):
    """The losses of an owner from closing in this market, including the fees of those closes.

    A round is everything lost between two times that the owner opened something. Rounds count until they are earned
    back, or until a day passes without a loss.
    """

    at: Ts | None = None
    """The last time it closed at a loss; None if never."""
    rounds: int = 0
    owed: int = 0
    """The part of these losses that was not earned back, in micro-dollars."""
    has_opened: bool = True
    """True if it opened anything since the last loss."""

    def count(self, ts: Ts, gained: int, *, has_opened: bool) -> None:
        """Count a trade and the gain of what it closed."""
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
    """The signed position of an owner and its average cost, as the ledger counts."""

    qty: int
    cost: int

    def less(self, gone: int) -> _Share:
        """Return the position reduced by this many contracts and their part of the cost."""
        if not gone:
            return self
        sign = 1 if self.qty > 0 else -1
        return _Share(self.qty - sign * gone, self.cost - self.cost * gone // abs(self.qty))


_NONE = _Share(0, 0)


class StrategyPositions:
    """The positions of one market by subaccount and owner. The owners of a subaccount add up to its position."""

    def __init__(
        self,
        entries: Iterable[Fill | Settlement] = (),
        owner_of: Callable[[Fill], str] = lambda _fill: UNOWNED_STRATEGY,
    ) -> None:
        self._held: dict[int, dict[str, _Share]] = {}
        self._losses: dict[str, LossStreak] = {}
        self.count(entries, owner_of)

    def count(self, entries: Iterable[Fill | Settlement], owner_of: Callable[[Fill], str]) -> None:
        """Count the entries that follow those counted so far."""
        for entry in entries:
            if isinstance(entry, Fill):
                owner = owner_of(entry)
                gained, opened = self.trade(entry.subaccount, owner, entry.side.sign * entry.qty, entry.price)
                fee = entry.fee if opened < entry.qty else 0
                losses = self._losses.setdefault(owner, LossStreak())
                losses.count(entry.ts, gained - fee, has_opened=opened > 0)
            else:
                self._held.clear()

    @property
    def is_flat(self) -> bool:
        """Return whether no owner has a position."""
        return not any(share.qty for held in self._held.values() for share in held.values())

    def with_trades(self, trades: Iterable[tuple[int, str, int, Price]]) -> StrategyPositions:
        """Return a copy with more trades applied: subaccount, owner, change, YES price."""
        more = StrategyPositions()
        more._held = {subaccount: dict(held) for subaccount, held in self._held.items()}
        for trade in trades:
            more.trade(*trade)
        return more

    def trade(self, subaccount: int, owner: str, change: int, price: Price) -> tuple[Money, Qty]:
        """Apply a trade; return the gain of what it closed, before fees, and the contracts that it opened.

        External positions and opposite positions of strategies then cancel out.
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
        """Return the signed position of an owner in a subaccount, or over all of them."""
        total = 0
        for number, held in self._held.items():
            if owner in held and (subaccount is None or subaccount == number):
                total += held[owner].qty
        return Qty(total)

    def losses(self, owner: str) -> LossStreak:
        """Return the losses of an owner from closing."""
        return self._losses.get(owner) or LossStreak()

    def cost_of(self, owner: str, subaccount: int) -> Money:
        """Return what an owner paid for its position in a subaccount, without fees."""
        return Money(self._held.get(subaccount, {}).get(owner, _NONE).cost)
