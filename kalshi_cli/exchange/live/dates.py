"""Times that the exchange gives, held to what our own clock allows.

What happened cannot have happened later than now. A wild time that is believed lets an order outlive its term, empties
the windows of the order rate, and makes reads of "everything since" begin after what they are to find.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement

MAX_AHEAD_MS = 7_000
"""How much later than our clock such a time may be: with a clock that is five seconds behind nothing is traded, and a
bit for the exchange's own machines."""

_TIMES = ("ts", "created", "updated")
_PARTS = ("order", "fill", "settlement")

S = TypeVar("S", bound=msgspec.Struct)


def limit_future_times(said: S, now: Ts, there: Ts) -> S:
    """The same; of its times, and those of the order or fill in it, one that cannot be true is as late as can be.

    Fills and settlements are held to the exchange's own clock, which shows at most `there`: they are filed under their
    times for good, and ours may be set wrong for a moment. When an order expires is left alone: that is to come.
    """
    is_filed = isinstance(said, Fill | Settlement)
    latest = max(now, there) + MAX_AHEAD_MS if is_filed else now + MAX_AHEAD_MS
    changes = {name: Ts(latest) for name in _TIMES if (getattr(said, name, None) or 0) > latest}
    for name in _PARTS:
        part = getattr(said, name, None)
        if part is not None and (held := limit_future_times(part, now, there)) is not part:
            changes[name] = held
    return msgspec.structs.replace(said, **changes) if changes else said
