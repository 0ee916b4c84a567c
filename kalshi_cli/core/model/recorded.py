"""The events of a recording that are not messages of the exchange: what its recorder noted."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import Message


class RecordedInput(Message, frozen=True):
    """An external input at the time it was received (`ts`); its own times are by other clocks."""

    said: Message


class RecordedConnection(Message, frozen=True):
    """The start of the connection `number`. Sequence numbers restart, and earlier books are no longer updated."""

    number: int


class WatchNote(msgspec.Struct, frozen=True, kw_only=True):
    """A note that a market is followed, without the market itself. `close_time` stays None if it is unknown."""

    ticker: str
    close_time: Ts | None = None
    strike: float | None = None
    status: str = "active"


class LifecycleNote(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange's news of a market (`created`, `settled` ...), with the rest of it as JSON. A replay skips it."""

    ticker: str
    kind: str
    detail: str = ""


RecordedItem = Message | WatchNote | LifecycleNote
"""A message of the exchange, or an event of this file."""

RecordedEvent = tuple[Ts, RecordedItem, bytes]
"""The time received, what was recorded, and the frame it came from (empty for a note)."""
