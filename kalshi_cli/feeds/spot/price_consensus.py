"""Which of several venues' prices is believed.

That of the first venue, in the order they are listed, which is fresh and agrees with most of the fresh ones. So a venue
that falls silent is left for the next at once, and one that is alone in what it says is not believed; two that
contradict each other are both not, for nobody knows which of them is wrong. Where one venue alone has a fresh price,
what was believed last has a voice, too, while it is fresh: a jump counts once it has lasted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import SpotPrice

_BACK_MS = 1_000
"""A price that was heard longer than this after now is from before the clock was set back: it is not fresh."""


class PriceConsensus:
    """The newest price of each venue, of one coin. `max_apart_pct` is how far two may be apart, in percent."""

    def __init__(self, venues: Sequence[str], max_age_ms: int, max_apart_pct: float) -> None:
        self._order = list(venues)
        self._max_age_ms = max_age_ms
        self._max_apart_pct = max_apart_pct
        self._newest: dict[str, SpotPrice] = {}
        self._believed: SpotPrice | None = None
        self.is_disputed = False
        """Fresh prices are there, and contradict each other, or one alone what was believed until now."""

    def hear(self, price: SpotPrice, now: Ts) -> SpotPrice | None:
        """Take a price; it comes back where it is to be believed, at no later time than now."""
        if price.ts > now:  # a time ahead of ours would stay fresh for too long
            price = msgspec.structs.replace(price, ts=now)
        before = self._newest.get(price.venue)
        if before is not None and price.ts < before.ts <= now + _BACK_MS:
            return None
        self._newest[price.venue] = price
        if price.venue != self.venue(now):
            return None
        self._believed = price
        return price

    def is_fresh(self, price: SpotPrice, now: Ts) -> bool:
        """Whether it may be believed at all."""
        return -_BACK_MS <= now - price.ts <= self._max_age_ms

    def venue(self, now: Ts) -> str | None:
        """Whose prices are believed now; None where nobody's are."""
        fresh = [found for found in self._newest.values() if self.is_fresh(found, now)]
        voices = list(fresh)
        if len(fresh) == 1 and self._believed is not None and self.is_fresh(self._believed, now):
            voices.append(self._believed)
        believed = [one.venue for one in fresh if 2 * sum(self._agree(one, other) for other in voices) > len(voices)]
        self.is_disputed = bool(fresh) and not believed
        return min(believed, key=self._order.index, default=None)

    def _agree(self, one: SpotPrice, other: SpotPrice) -> bool:
        return abs(one.price - other.price) * 100 <= self._max_apart_pct * min(one.price, other.price)
