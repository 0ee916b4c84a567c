"""A state file that fails under a running loop: locked, full, read-only, deleted.

No order is sent without a record. The loop stops gracefully with exit code 8 and cancels its orders. A short lock is
waited for.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification.crash.process import Started
from verification.crash.stage import Stage

TROUBLE = "trouble"


@dataclass(frozen=True)
class Trouble:
    """`begin` runs while the loop trades, in the parent; `inside` in the child, at the n-th intent. What the loop must
    end with: 8, or 0 after its time.
    """

    name: str
    code: int
    begin: Callable[[Stage, Started], None] = lambda _stage, _process: None
    inside: Callable[[Any], None] | None = None


def _hold(seconds: float) -> Callable[[Stage, Started], None]:
    """Another program holds the file for so long, or until the loop has ended."""

    def hold(stage: Stage, process: Started) -> None:
        with closing(sqlite3.connect(stage.state, isolation_level=None, timeout=10)) as other:
            other.execute("BEGIN EXCLUSIVE")
            until = time.monotonic() + seconds
            while process.poll() is None and time.monotonic() < until:
                stage.stir()
                time.sleep(0.05)
            other.execute("ROLLBACK")

    return hold


def _delete(stage: Stage, _process: Started) -> None:
    for file in stage.state.parent.glob("state.db*"):
        file.rename(stage.home / f"gone-{file.name}")


def _limit_file_size(database: Any) -> None:
    import resource

    size = max(file.stat().st_size for file in database.path.parent.glob("state.db*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _fill(database: Any) -> None:
    (pages,) = database._connection.execute("PRAGMA page_count").fetchone()
    database._connection.execute(f"PRAGMA max_page_count = {pages}")


def _seal(database: Any) -> None:
    database._connection.execute("PRAGMA query_only = 1")


TROUBLES = {
    trouble.name: trouble
    for trouble in (
        Trouble("locked 1 s", 0, begin=_hold(1)),
        Trouble("locked for good", 8, begin=_hold(60)),
        Trouble("no room", 8, inside=_fill),
        Trouble("file size limit", 8, inside=_limit_file_size),
        Trouble("read only", 8, inside=_seal),
        Trouble("deleted", 8, begin=_delete),
    )
}


def of_seed(seed: int) -> Trouble:
    return list(TROUBLES.values())[seed % len(TROUBLES)]


def arm(name: str, nth: int, mark: str) -> None:
    """In the child: the trouble begins before the n-th intent, and leaves a mark."""
    from kalshi_cli.core.model.effects import SubmitOrder
    from kalshi_cli.store.sqlite_store import Store

    inside, left, record = TROUBLES[name].inside, [nth], Store.record
    if inside is None:
        return

    def recorded(store: Any, effect: Any) -> None:
        if isinstance(effect, SubmitOrder):
            left[0] -= 1
            if left[0] == 0:
                Path(mark).write_bytes(b"1")
                inside(store._database)
        record(store, effect)

    Store.record = recorded  # type: ignore[method-assign,assignment]


def nth_of(dice: random.Random) -> int:
    return dice.randint(1, 8)
