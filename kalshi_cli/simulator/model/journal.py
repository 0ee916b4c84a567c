"""Where the simulated exchange writes down what it acknowledged, so that `kill -9` loses nothing."""

from __future__ import annotations

from typing import Protocol


class ExchangeJournal(Protocol):
    """A durable dictionary. `store.sqlite.SqliteJournal` is the one on disk."""

    def save(self, items: dict[str, bytes | None]) -> None:
        """Write all of them or none, durably, before returning; None deletes a key."""
        ...

    def load(self) -> dict[str, bytes]:
        """Everything saved and not deleted."""
        ...


class MemoryJournal:
    """A journal for tests: it outlives the exchange, not the process."""

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.saves = 0

    def save(self, items: dict[str, bytes | None]) -> None:
        self.saves += 1
        for key, value in items.items():
            if value is None:
                self.items.pop(key, None)
            else:
                self.items[key] = value

    def load(self) -> dict[str, bytes]:
        return dict(self.items)
