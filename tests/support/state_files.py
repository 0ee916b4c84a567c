"""New state files as copies of one: to run every migration takes six times as long as to open the file."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

from kalshi_cli.store import migrations
from kalshi_cli.store.database import Database


def new_state_file(path: Path) -> Path:
    """Create a state file of the current format that belongs to no account yet, unless there is one; return its path.

    `tests/store` lets the store create its files itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path
    os.write(file, _content())
    os.close(file)
    return path


@functools.cache
def _content() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        Database(path, migrations.STATE).close()
        assert [each.name for each in Path(folder).iterdir()] == [path.name]  # nothing is left in a log beside it
        return path.read_bytes()
