"""The part of a store that placing an order needs, and a read-only store."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import msgspec

from kalshi_cli.base.units import Price, Ts
from kalshi_cli.core.account.closed_markets import ClosedMarket
from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring.source_watch import Source
from kalshi_cli.store.records import NO_HALT, Halt, RecoveredState

RESUMED = "resumed"
"""The mark of a manual resume, its time, for alerting, which reads it now and then: the loop may have stopped again."""

ACCOUNT_READ = "account_read"
"""The mark of the last complete account read of the loop; `kalshi status` shows its age when reads fail."""

RUN_ENDS = "run_ends"
"""The mark of the time at which the last run ends by its duration; 0 without one."""


def pack_sources(sources: tuple[Source, ...]) -> str:
    """Return the sources as the text of `Heartbeat.sources`."""
    return msgspec.json.encode(sources).decode() if sources else ""


class OrderStore(Protocol):
    """The part of a store that placing an order needs."""

    def record(self, effect: Effect) -> None:
        """Commit data that must survive: orders, fills, settlements, trading states, refusals, alerts.

        Returns only after order requests, fills, settlements and halts are on disk. Other effects are not kept. The
        engine decides what follows from an effect; the store only writes. HaltedError where an order may not be sent
        any more, ConcurrentChangeError where it must be reviewed again first.
        """

    def together(self) -> AbstractContextManager[None]:
        """Commit all effects recorded in the block at its end, all or nothing: for data that can be read again."""

    def load(self) -> RecoveredState:
        """Return the fills and settlements of open markets, the results of closed ones, and the orders for a start.

        These are orders that were live, that traded in an open market, or that are recent.
        """

    def close_markets(self, now: Ts, limit: int) -> None:
        """Close up to `limit` markets that are final, so that the next start reads only their results."""

    def closed_market(self, ticker: str) -> ClosedMarket | None:
        """Return the history of a market that was closed, to reopen it; None for any other."""

    def opening_marks(self, start: Ts, marks: Mapping[str, Price] | None = None) -> dict[str, Price]:
        """Save closing prices at the start of a trading day, where none is saved; return all that are."""

    def news(self) -> tuple[Order, ...]:
        """Return orders placed or amended since `load` or the last call, including those of other programs."""

    def order(self, any_id: str) -> Order | None:
        """Return the order with this client order id or exchange id."""

    def halt(self) -> Halt:
        """Return the current trading state; another process may have changed it. Cheap: read before every send.

        HALTED with the code PAUSED during a pause, unless there is also a halt.
        """


class ReadOnlyStore(OrderStore):
    """A store that is never written to, for a dry run. Without a state file it is empty."""

    def __init__(self, store: OrderStore | None) -> None:
        self._store = store

    def record(self, effect: Effect) -> None:
        """Discard the effect."""

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def load(self) -> RecoveredState:
        if self._store is not None:
            return self._store.load()
        return RecoveredState(orders=(), fills=(), settlements=(), halt=NO_HALT)

    def close_markets(self, now: Ts, limit: int) -> None:
        """Close nothing."""

    def closed_market(self, ticker: str) -> ClosedMarket | None:
        return self._store.closed_market(ticker) if self._store is not None else None

    def opening_marks(self, start: Ts, marks: Mapping[str, Price] | None = None) -> dict[str, Price]:
        return {**(marks or {}), **(self._store.opening_marks(start) if self._store is not None else {})}

    def news(self) -> tuple[Order, ...]:
        return self._store.news() if self._store is not None else ()

    def order(self, any_id: str) -> Order | None:
        return self._store.order(any_id) if self._store is not None else None

    def halt(self) -> Halt:
        return self._store.halt() if self._store is not None else NO_HALT
