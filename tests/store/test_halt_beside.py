"""A halt is kept twice: a state file that is lost, old or broken does not lift it."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.values import NOW, Open, full_order

from kalshi_cli.base.errors import HaltedError, StateFileError
from kalshi_cli.core.model.effects import CloseOrder, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.store import database
from kalshi_cli.store.halt_file import FILE, read_halt_file, remove_halt_file, write_halt_file
from kalshi_cli.store.records import Halt

HALT = Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", NOW)
RESUMED = Halt(TradingState.ACTIVE, "RESUMED", "looked into it", NOW)


def lose(path: Path) -> None:
    for file in path.parent.glob("state.db*"):
        file.unlink()


def test_a_deleted_state_file_lifts_no_halt(open_store: Open, path: Path) -> None:
    with open_store() as store:
        store.set_halt(HALT)
    lose(path)
    store = open_store()
    assert store.halt() == HALT
    with pytest.raises(HaltedError):
        store.record(SubmitOrder(full_order()))
    store.record(CloseOrder(full_order("c2", strategy="", tif=TimeInForce.IOC)))
    assert [order.client_order_id for order in store.live_orders()] == ["c2"]


def test_an_older_copy_of_the_state_file_lifts_no_halt(open_store: Open, path: Path, tmp_path: Path) -> None:
    open_store().close()
    shutil.copy(path, tmp_path / "backup.db")
    with open_store() as store:
        store.record(StateChanged(NOW, TradingState.HALTED, "DAILY_LOSS", "lost 100"))
    lose(path)
    shutil.copy(tmp_path / "backup.db", path)
    assert open_store().halt() == Halt(TradingState.HALTED, "DAILY_LOSS", "lost 100", NOW)


def test_a_person_who_resumes_ends_both_and_they_stay_ended(open_store: Open, path: Path) -> None:
    with open_store() as store:
        store.set_halt(HALT)
    lose(path)
    with open_store() as store:
        store.set_halt(RESUMED)
        store.record(SubmitOrder(full_order()))
    assert open_store().halt() == RESUMED
    assert not (path.parent / FILE).exists()


def test_a_guard_that_only_reduces_lifts_no_halt_that_is_beside_a_new_state_file(open_store: Open, path: Path) -> None:
    with open_store() as store:
        store.set_halt(HALT)
    lose(path)
    with open_store() as store:
        store.record(StateChanged(NOW, TradingState.REDUCING, "DAILY_LOSS", "lost 100"))
        assert store.halt() == HALT
    assert open_store().halt() == HALT


def test_a_halt_holds_although_the_state_file_cannot_be_written(
    open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 20)
    loop, switch = open_store(), open_store()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateFileError):
        switch.set_halt(HALT)
    other.close()
    assert loop.halt() == HALT


def test_whatever_has_the_name_is_a_halt(open_store: Open, path: Path, tmp_path: Path) -> None:
    store = open_store()
    beside = path.parent / FILE
    for content in (b"", b"\xff\x00", b"{}", b'{"state": "active"}', b"x" * 10_000):
        beside.write_bytes(content)
        assert store.halt().is_final, content
    beside.unlink()
    (tmp_path / "elsewhere").write_text("{}")
    beside.symlink_to(tmp_path / "elsewhere")
    assert store.halt().is_final
    with pytest.raises(StateFileError):
        write_halt_file(path.parent, HALT)
    beside.unlink()
    beside.mkdir()
    assert store.halt().is_final


def test_the_file_beside_is_for_its_owner_only_and_keeps_no_control_characters(path: Path) -> None:
    write_halt_file(path.parent, Halt(TradingState.HALTED, "X\x1b[31m", "a\x07b", NOW))
    assert (path.parent / FILE).stat().st_mode & 0o777 == 0o600
    found = read_halt_file(path.parent)
    assert found is not None
    assert "\x1b" not in found.code + found.reason
    assert "\x07" not in found.code + found.reason
    assert found.since == NOW


def test_a_halt_whose_reason_a_full_disk_lost_says_so(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    found = read_halt_file(tmp_path)
    assert found is not None
    assert (found.state, found.code) == (TradingState.HALTED, "HALTED")
    assert found.reason == f"the reason was not saved: {tmp_path / FILE} is empty, as on a full disk"


def test_a_full_disk_keeps_the_code_of_a_halt_in_a_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        write_halt_file(tmp_path, HALT)
    found = read_halt_file(tmp_path)
    assert found is not None
    assert (found.state, found.code) == (TradingState.HALTED, "CANCEL_ALL")
    remove_halt_file(tmp_path)
    assert [*tmp_path.iterdir()] == []
