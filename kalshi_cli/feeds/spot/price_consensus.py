"""The choice of one price among several venues.

The accepted price is that of the first listed venue that is fresh and agrees with most of the fresh prices. So a silent
venue is replaced by the next at once, and a price that no other venue confirms is not accepted; if only two venues are
fresh and disagree, neither is. If one venue alone is fresh, the last accepted price counts as well while it is fresh:
a jump is accepted only after it has lasted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import SpotPrice

_BACK_MS = 1_000
"""Tolerance for a price in the future; beyond it the clock was set back since, and the price is not fresh."""


class PriceConsensus:
    """The newest price of each venue for one coin. `max_apart_pct` is the largest agreeing difference in percent."""

    def __init__(self, venues: Sequence[str], max_age_ms: int, max_apart_pct: float) -> None:
        self._order = list(venues)
        self._max_age_ms = max_age_ms
        self._max_apart_pct = max_apart_pct
        self._newest: dict[str, SpotPrice] = {}
        self._accepted: SpotPrice | None = None
        self.is_disputed = False
        """The fresh prices disagree, or a single one disagrees with the last accepted price."""

    def hear(self, price: SpotPrice, now: Ts) -> SpotPrice | None:
        """Add a price; return it if it is accepted, with a time no later than now."""
        if price.ts > now:  # A time ahead of the local clock would stay fresh for too long.
            price = msgspec.structs.replace(price, ts=now)
        before = self._newest.get(price.venue)
        if before is not None and price.ts < before.ts <= now + _BACK_MS:
            return None
        self._newest[price.venue] = price
        if price.venue != self.venue(now):
            return None
        self._accepted = price
        return price

    def is_fresh(self, price: SpotPrice, now: Ts) -> bool:
        """Return whether a price is recent enough to be accepted."""
        return -_BACK_MS <= now - price.ts <= self._max_age_ms

    def venue(self, now: Ts) -> str | None:
        """Return the venue whose prices are accepted now, if any."""
        fresh = [found for found in self._newest.values() if self.is_fresh(found, now)]
        votes = list(fresh)
        if len(fresh) == 1 and self._accepted is not None and self.is_fresh(self._accepted, now):
            votes.append(self._accepted)
        accepted = [one.venue for one in fresh if 2 * sum(self._agree(one, other) for other in votes) > len(votes)]
        self.is_disputed = bool(fresh) and not accepted
        return min(accepted, key=self._order.index, default=None)

    def _agree(self, one: SpotPrice, other: SpotPrice) -> bool:
        return abs(one.price - other.price) * 100 <= self._max_apart_pct * min(one.price, other.price)
