"""The order groups of runs in the state file."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.core.model.effects import OrderGroupStateChanged
from kalshi_cli.store.records import RunGroup
from kalshi_cli.store.sqlite_store import Store


def opened(folder: Path) -> Store:
    return Store.open(folder / "state.db", account="a", environment="sim")


def test_a_group_is_remembered_with_its_shard_and_forgotten_when_told(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.save_order_group(RunGroup("g1", 1))
        store.save_order_group(RunGroup("g0", 0))
    with opened(tmp_path) as store:
        assert store.groups() == (RunGroup("g0", 0), RunGroup("g1", 1))
        store.forget_group("g0")
        assert store.groups() == (RunGroup("g1", 1),)


def test_that_a_group_was_triggered_outlives_the_process_until_a_reset(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.save_order_group(RunGroup("g0", 0))
        store.record(OrderGroupStateChanged("g0", is_triggered=True))
    with opened(tmp_path) as store:
        assert store.groups() == (RunGroup("g0", 0, is_triggered=True),)
        store.record(OrderGroupStateChanged("g0", is_triggered=False))
        assert store.groups() == (RunGroup("g0", 0),)


def test_a_group_that_no_run_made_is_not_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.record(OrderGroupStateChanged("somebody's", is_triggered=True))
        assert store.groups() == ()


def test_a_file_name_keeps_that_a_group_was_triggered_where_the_file_cannot(
    tmp_path: Path,
) -> None:
    """The exchange does not say which groups are triggered."""
    with opened(tmp_path) as store:
        store.save_order_group(RunGroup("g0", 0))
        (tmp_path / "state.db").rename(tmp_path / "gone.db")
        with pytest.raises(StateFileError):
            store.record(OrderGroupStateChanged("g0", is_triggered=True))
        (tmp_path / "gone.db").rename(tmp_path / "state.db")
        assert store.groups() == (RunGroup("g0", 0, is_triggered=True),)
    with opened(tmp_path) as store:
        assert store.groups() == (RunGroup("g0", 0, is_triggered=True),)
        store.record(OrderGroupStateChanged("g0", is_triggered=False))
        assert store.groups() == (RunGroup("g0", 0),)
    assert [*tmp_path.glob(".triggered*")] == []
