"""The events of a recording that are not messages of the exchange: what its recorder noted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

import msgspec

from kalshi_cli.base.units import Price, Ts
from kalshi_cli.core.model.messages import BookDelta, Message


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


class ContinuationNote(msgspec.Struct, frozen=True):
    """The end of a recording of a lake that another one continues in these markets, without a gap."""

    tickers: frozenset[str]


class ChangeRows(ABC):
    """Changes of order books that no other event interrupts, as rows for compiled code. Positions count from 0."""

    __slots__ = ()

    @property
    @abstractmethod
    def ts(self) -> Ts:
        """Return the time of the first row."""

    @property
    @abstractmethod
    def last_ts(self) -> Ts:
        """Return the time of the last row."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def __iter__(self) -> Iterator[BookDelta]:
        """Yield the rows as messages."""

    @abstractmethod
    def received(self, position: int) -> Ts:
        """Return the time at which a row was received."""

    @abstractmethod
    def cut(self, start: int, stop: int) -> Self:
        """Return the rows from `start` to before `stop`."""

    @abstractmethod
    def count_before(self, ts: Ts) -> int:
        """Return the number of rows before a time. The times must not go back."""

    @abstractmethod
    def off_step(self, step: Price) -> list[tuple[int, str, Price]]:
        """Return position, market and price of the first row of each market and price that is no multiple of `step`."""

    @abstractmethod
    def place(self, after: Ts, limit: int) -> tuple[int, int]:
        """Place the rows of whole milliseconds in time; return the first of them and the first after them.

        These rows come after `after`, their times never go back, and each says whether another change of the same time
        and market follows. Rows before may belong to a millisecond that has begun, rows after to one that goes on. With
        `limit` or more rows in a millisecond, no row is placed.
        """


RecordedItem = Message | WatchNote | LifecycleNote
"""A message of the exchange, or an event of this file."""

RecordedEvent = tuple[Ts, RecordedItem, bytes]
"""The time received, what was recorded, and the frame it came from (empty for a note)."""

LaneEvent = RecordedEvent | tuple[Ts, ChangeRows | ContinuationNote, bytes]
"""The same, or rows, with the time the last one was received, or a note at the end."""
