"""Times from the exchange, limited to what the local clock allows.

A past event cannot be later than now. A wrong future time would let an order outlive its expiration, empty the windows
of the order rate limit, and make incremental reads start too late.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model import orders, positions

MAX_AHEAD_MS = 7_000
"""Maximum that such a time may be ahead of the local clock: trading stops at a skew of five seconds, and the exchange's
own machines differ a little."""

_TIMES = ("ts", "created", "updated")
_PARTS = ("order", "fill", "settlement")

S = TypeVar("S", bound=msgspec.Struct)


def limit_future_times(said: S, now: Ts, there: Ts) -> S:
    """Return the message with impossible future times, also of its order or fill, reduced to the latest possible.

    Fills and settlements are limited by the exchange's own clock, which shows at most `there`: they are booked under
    their times for good, and the local clock may be wrong for a moment. Expiration times, which lie in the future, are
    not limited.
    """
    is_filed = isinstance(said, orders.Fill | positions.Settlement)
    latest = max(now, there) + MAX_AHEAD_MS if is_filed else now + MAX_AHEAD_MS
    changes = {name: Ts(latest) for name in _TIMES if (getattr(said, name, None) or 0) > latest}
    for name in _PARTS:
        part = getattr(said, name, None)
        if part is not None and (held := limit_future_times(part, now, there)) is not part:
            changes[name] = held
    return msgspec.structs.replace(said, **changes) if changes else said
