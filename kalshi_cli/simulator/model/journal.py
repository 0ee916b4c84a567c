"""The journal of the simulated exchange: everything it acknowledged survives `kill -9`."""

from __future__ import annotations

from typing import Protocol


class ExchangeJournal(Protocol):
    """A durable dictionary. `store.simulator_journal.SqliteJournal` keeps it on disk."""

    def save(self, items: dict[str, bytes | None]) -> None:
        """Write all items or none, durably, before returning; None deletes a key."""
        ...

    def load(self) -> dict[str, bytes]:
        """Return everything that was saved and not deleted."""
        ...


class MemoryJournal:
    """A journal for tests: it outlives the exchange but not the process."""

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.saves = 0

    def save(self, items: dict[str, bytes | None]) -> None:
        """Write all items; None deletes a key."""
        self.saves += 1
        for key, value in items.items():
            if value is None:
                self.items.pop(key, None)
            else:
                self.items[key] = value

    def load(self) -> dict[str, bytes]:
        """Return a copy of all items."""
        return dict(self.items)
