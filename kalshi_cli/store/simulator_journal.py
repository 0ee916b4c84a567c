"""The journal of the simulated exchange, in its own SQLite file."""

from __future__ import annotations

from pathlib import Path

from kalshi_cli.store import migrations
from kalshi_cli.store.database import Database


class SqliteJournal:
    """The simulated exchange's journal on disk."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, migrations.JOURNAL, is_handed_over=True)

    def save(self, items: dict[str, bytes | None]) -> None:
        """Write all items durably, or none. None deletes a key."""
        with self._database.writing(durable=True) as execute:
            for key, value in items.items():
                if value is None:
                    execute("DELETE FROM journal WHERE key = ?", (key,))
                else:
                    execute("INSERT OR REPLACE INTO journal (key, value) VALUES (?, ?)", (key, value))

    def load(self) -> dict[str, bytes]:
        """Return every saved item."""
        return dict(self._database.read("SELECT key, value FROM journal"))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
