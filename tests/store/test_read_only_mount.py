"""The state file on a read-only mount, as the dashboard of systemd sees it: read, never written, never old."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.read_only import code, is_possible

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.store.sqlite_store import Store

pytestmark = pytest.mark.skipif(not is_possible(), reason="mounting a folder read-only needs root on Linux")

TESTS = Path(__file__).resolve().parents[1]
READER = """
import sys
{first}
from pathlib import Path
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.store.sqlite_store import Store
store = Store.open(Path({path!r}), account="alice", environment="sim", create=False)
for line in sys.stdin:
    try:
        if line.strip() == "write":
            store.record(AlertRaised(Ts(9), "critical", "WRITTEN", "a", "b"))
        print(store.alerts(Ts(0))[0].code, flush=True)
    except KalshiError as error:
        print(error.code, flush=True)
"""


def open_store(path: Path) -> Store:
    return Store.open(path, account="alice", environment="sim")


def note(path: Path, code: str, ts: int = 1) -> None:
    with open_store(path) as store:
        raise_alert(store, code, ts)


def raise_alert(store: Store, code: str, ts: int) -> None:
    store.record(AlertRaised(Ts(ts), "critical", code, "a", "b"))


class Reader:
    """A process that opened the file through the read-only mount."""

    def __init__(self, path: Path) -> None:
        script = READER.format(first=code(path.parent), path=str(path))
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, word: str = "read") -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate("", 30)


def test_the_file_of_a_loop_that_ended_is_read_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    note(path, "ONE")
    assert [each.name for each in tmp_path.iterdir()] == ["state.db"], "the last program took its log away"
    before = path.read_bytes()
    with Reader(path) as reader:
        assert reader.ask() == "ONE"
        assert reader.ask("write") == "state_unwritable"
        assert reader.ask() == "ONE"
    assert [each.name for each in tmp_path.iterdir()] == ["state.db"]
    assert path.read_bytes() == before


def test_a_reader_follows_a_loop_that_starts_writes_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    note(path, "ONE")
    with Reader(path) as reader:
        assert reader.ask() == "ONE"
        with open_store(path) as store:
            raise_alert(store, "TWO", 2)
            assert reader.ask() == "TWO", "from its log"
            raise_alert(store, "THREE", 3)
            assert reader.ask() == "THREE"
        assert reader.ask() == "THREE"
        note(path, "FOUR", 4)
        assert reader.ask() == "FOUR"


def test_a_short_write_between_two_reads_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    note(path, "ONE")
    with Reader(path) as reader:
        assert reader.ask() == "ONE"
        note(path, "TWO", 2)
        assert not path.with_name("state.db-wal").exists()
        assert reader.ask() == "TWO"


def test_a_file_of_an_older_version_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    note(path, "ONE")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    ended = Reader(path).process.communicate("", 30)
    assert "has the format of an older version, and is mounted read-only" in ended[1]
