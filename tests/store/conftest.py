"""A store on a real file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.values import Child, Open, fork

from kalshi_cli.store.sqlite_store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kalshi" / "sim" / "state.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[Open]:
    """Open the state file, again and again; all are closed in the end."""
    opened: list[Store] = []

    def open_store(at: Path = path, *, account: str = "account-1", environment: str = "sim", **more: Any) -> Store:
        store = Store.open(at, account=account, environment=environment, **more)
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def in_child() -> Child:
    """Run something in a forked process; its exit code, or minus the signal that ended it. An exception is 99."""

    def run(work: Callable[[], None]) -> int:
        child = fork(work)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return run
