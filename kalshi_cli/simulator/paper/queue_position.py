"""The queue position of a simulated order in a real book, and the real size it has used up.

The true position cannot be known from outside, so the rules are conservative:

- An order joins behind everything that is displayed at its price.
- A public trade at the price first takes the contracts ahead; the remainder reaches us.
- A level that shrinks without a trade never fills us. It shrinks evenly, ahead of us and behind; or, for an optimistic
  bound, ahead of us first; or, for a pessimistic one, behind us first. In the recordings of May 2026 at most one in
  twenty decreases of a best level coincides with a trade report; the others are cancellations as far as is known.
- A trade and the decrease that it causes arrive on two channels, in either order, and count once if they are at most a
  second apart.
- The size that we took from a level stays taken as long as the level exists; only added size can be taken again.
"""

from __future__ import annotations

from enum import StrEnum

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import Level
from kalshi_cli.core.model.order_terms import BID, Side

PAIRED_MS = 1_000
"""The maximum time between a trade report and the decrease that it causes."""


def reaches(side: Side, price: Price, other: Price) -> bool:
    """Return whether an order on `side` at `price` trades with one of the other side at `other`."""
    return price >= other if side is BID else price <= other


class FillModel(StrEnum):
    """The assumed place of contracts that left a level without a trade: in proportion, ahead of us, or behind us."""

    PROPORTIONAL = "proportional"
    OPTIMISTIC = "optimistic"
    PESSIMISTIC = "pessimistic"


class QueuePlace:
    """The queue position of one order. `ahead` is the size that must trade or leave before it; it only falls."""

    __slots__ = ("_foreseen", "_traded", "_ts", "ahead", "model")

    def __init__(self, ahead: Qty, model: FillModel = FillModel.PROPORTIONAL) -> None:
        self.ahead = ahead
        self.model = model
        self._ts = Ts(0)
        self._foreseen = 0  # taken off `ahead` for decreases that a trade report may still explain
        self._traded = 0  # trades whose decrease has not arrived yet

    @property
    def state(self) -> tuple[int, int, int, int]:
        """Return everything that changes: the size ahead, both halves that wait for their counterpart, and the time."""
        return self.ahead, self._foreseen, self._traded, self._ts

    @state.setter
    def state(self, state: tuple[int, int, int, int]) -> None:
        ahead, self._foreseen, self._traded, ts = state
        self.ahead, self._ts = Qty(ahead), Ts(ts)

    def trade(self, qty: Qty, ts: Ts) -> Qty:
        """Process a trade of `qty` at our price; return how much of it reaches us."""
        self._pair(ts)
        self._traded += qty
        counted = min(qty, self._foreseen)
        self._foreseen -= counted
        passed = min(self.ahead, qty - counted)
        self.ahead = Qty(self.ahead - passed)
        return Qty(qty - counted - passed)

    def shrink(self, by: Qty, left: Qty, ts: Ts) -> None:
        """Process a level that lost `by` and now shows `left`."""
        self._pair(ts)
        explained = min(by, self._traded)
        self._traded -= explained
        ahead = Qty(min(self.ahead - self._gone_ahead(by - explained, left + by), left))
        self._foreseen += self.ahead - ahead
        self.ahead = ahead

    def _gone_ahead(self, gone: int, level: int) -> int:
        """Return how many of the canceled contracts of a level stood ahead; `min` with what is left does the rest."""
        match self.model:
            case FillModel.OPTIMISTIC:
                return min(self.ahead, gone)
            case FillModel.PESSIMISTIC:
                return 0
            case FillModel.PROPORTIONAL:
                return self.ahead * gone // level

    def _pair(self, ts: Ts) -> None:
        """Forget halves that no longer wait for their counterpart."""
        if ts - self._ts > PAIRED_MS:
            self._foreseen = self._traded = 0
        self._ts = ts


class Taken:
    """The size that simulated orders took from the displayed levels of one market."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: dict[tuple[Side, Price], int] = {}

    def available(self, book: OrderBook, side: Side, limit: Price, wanted: Qty) -> list[Level]:
        """Return the levels that an order on `side` with this limit can still take, best first."""
        found: list[Level] = []
        for price, qty in book.levels(side.opposite):
            if not wanted or not reaches(side, limit, price):
                break
            left = min(wanted, qty - self._taken.get((side.opposite, price), 0))
            if left > 0:
                found.append((price, Qty(left)))
                wanted = Qty(wanted - left)
        return found

    @property
    def is_any(self) -> bool:
        """Return whether anything is taken."""
        return bool(self._taken)

    @property
    def levels(self) -> list[tuple[Side, Price]]:
        """Return the levels from which something is taken."""
        return list(self._taken)

    def take(self, side: Side, price: Price, qty: Qty) -> None:
        """Record that `qty` was taken from the level of `side` at this price."""
        self._taken[side, price] = self._taken.get((side, price), 0) + qty

    def follow(self, book: OrderBook, side: Side, price: Price) -> None:
        """Process a changed level: it limits what is taken from it, and a level that disappeared is forgotten."""
        taken = self._taken.get((side, price))
        if taken is not None:
            left = min(taken, book.qty_at(side, price))
            if left:
                self._taken[side, price] = left
            else:
                del self._taken[side, price]

    def follow_all(self, book: OrderBook) -> None:
        """Process a replaced book."""
        for side, price in tuple(self._taken):
            self.follow(book, side, price)
