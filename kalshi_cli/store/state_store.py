"""The part of a store that placing an order needs, and a store that is only looked at."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

import msgspec

from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring.source_watch import Source
from kalshi_cli.store.records import NO_HALT, Halt, RecoveredState

if TYPE_CHECKING:
    pass
RESUMED = "resumed"
"""The mark that a person resumed, for alerting, which looks now and then: the loop may have stopped again by then."""


def pack_sources(sources: tuple[Source, ...]) -> str:
    """Return what `Heartbeat.sources` holds of them."""
    return msgspec.json.encode(sources).decode() if sources else ""


class OrderStore(Protocol):
    """The part of a store that placing an order needs."""

    def record(self, effect: Effect) -> None:
        """Commit what must survive: SubmitOrder, OrderChanged, FillBooked, SettlementBooked, StateChanged, Denied,
        Alert.

        Returns only after intents, fills, settlements and halts are on disk. Anything else is not kept. The store has
        no opinion on what follows from what: the engine decides, the store writes it down.

        HaltedError where an order may not begin any more, MovedError where it must be reviewed again first.
        """
        ...

    def together(self) -> AbstractContextManager[None]:
        """Whatever is recorded meanwhile is committed at the end, all or nothing: for what can be read again."""
        ...

    def load(self) -> RecoveredState:
        """Orders that were live, moved since the oldest open position or were begun last; all fills and settlements."""
        ...

    def news(self) -> tuple[Order, ...]:
        """Orders begun or amended since `load`, or since the last look: those of other programs are among them."""
        ...

    def order(self, any_id: str) -> Order | None:
        """The order with this id, ours or theirs."""
        ...

    def halt(self) -> Halt:
        """The trading state as of now; another process may have changed it. Cheap: read before every send.

        HALTED with the code PAUSED while there is a pause, unless a halt is there as well.
        """
        ...


class ReadOnlyStore:
    """A store that is looked at and never written to: what a dry run sees. Without a state file it is empty."""

    def __init__(self, store: OrderStore | None) -> None:
        self._store = store

    def record(self, effect: Effect) -> None:
        """Forget it."""

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def load(self) -> RecoveredState:
        if self._store is not None:
            return self._store.load()
        return RecoveredState(orders=(), fills=(), settlements=(), halt=NO_HALT)

    def news(self) -> tuple[Order, ...]:
        return self._store.news() if self._store is not None else ()

    def order(self, any_id: str) -> Order | None:
        return self._store.order(any_id) if self._store is not None else None

    def halt(self) -> Halt:
        return self._store.halt() if self._store is not None else NO_HALT
