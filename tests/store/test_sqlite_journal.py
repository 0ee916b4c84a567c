"""The durable dictionary of the simulated exchange."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from support.values import Child

from kalshi_cli.store.simulator_journal import SqliteJournal


def test_what_was_saved_and_not_deleted_comes_back(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.save({"a": b"1", "b": b"", "c": b"\x00\xff"})
    journal.save({"a": b"2", "b": None, "never there": None})
    journal.close()
    again = SqliteJournal(path)
    assert again.load() == {"a": b"2", "c": b"\x00\xff"}
    again.close()


def test_a_save_is_all_or_nothing(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.save({"a": b"1"})
    with pytest.raises(sqlite3.Error):
        journal.save({"a": b"2", "b": object()})  # type: ignore[dict-item]
    assert journal.load() == {"a": b"1"}
    journal.close()


def test_a_save_is_there_after_the_process_is_gone(path: Path, in_child: Child) -> None:
    def save_and_die() -> None:
        SqliteJournal(path).save({"order": b"accepted"})
        os._exit(7)

    assert in_child(save_and_die) == 7
    journal = SqliteJournal(path)
    assert journal.load() == {"order": b"accepted"}
    assert journal._database.read("PRAGMA journal_mode") == [("wal",)]
    journal.save({})
    assert journal._database.read("PRAGMA synchronous") == [(2,)]
    journal.close()
