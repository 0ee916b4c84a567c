"""Unusable state files are kept under another name and never deleted."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.store import rows
from kalshi_cli.store.database import PARTS
from kalshi_cli.store.pause import sync_directory
from kalshi_cli.store.records import MarketLock


def quarantine(path: Path, mark: str) -> Path | None:
    """Rename the file and its journals; return the new path, None for a missing file. Older copies stay.

    The file itself goes last: without it, its journals would be taken for those of the next file.
    """
    names = [f"{path.name}.{mark}", *(f"{path.name}.{mark}-{number}" for number in range(2, 100))]
    kept = next((path.with_name(name) for name in names if not os.path.lexists(path.with_name(name))), None)
    if kept is None:
        raise StateFileError(
            f"Too many backup files like {names[0]}",
            hint="delete the ones that you no longer need",
            code="state_unwritable",
        )
    was_there = os.path.lexists(path)
    try:
        for part in PARTS:
            with suppress(FileNotFoundError):
                path.with_name(path.name + part).rename(kept.with_name(kept.name + part))
    except OSError as error:
        raise StateFileError(f"Cannot rename {path}: {error.strerror}", code="state_unwritable") from error
    sync_directory(path.parent)
    return kept if was_there else None


def recover_locks(path: Path) -> tuple[list[MarketLock], bool]:
    """Return the locked markets of an unusable state file, and whether these are all. Raises nothing.

    No other source has them.
    """
    return rows.recover(path, rows.MARKET_LOCKS, partial(rows.read, MarketLock))
