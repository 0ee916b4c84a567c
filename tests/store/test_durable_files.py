"""What survives a power cut: halts and pauses with their name in the directory, and what nobody can tell us again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from support.values import NOW, Open, full_order

from kalshi_cli.base.units import Money, Ts, contracts
from kalshi_cli.core.account.open_amends import worse_case_terms
from kalshi_cli.core.model.effects import AlertRaised, AmendOrder, OrderGroupStateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.store import halt_file, pause
from kalshi_cli.store.records import CashBaseline, Halt, MarketLock, RunGroup
from kalshi_cli.store.sqlite_store import Store

HALT = Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", Ts(1))


class Synced(NamedTuple):
    """One `fsync`: of which file or directory, what was in the file, and which names the directory had by then."""

    inode: int
    size: int
    names: frozenset[str]


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Synced]:
    """What reached the disk, in order. The call itself is made as well."""
    found: list[Synced] = []
    fsync = os.fsync

    def record(file: int) -> None:
        status = os.fstat(file)
        found.append(Synced(status.st_ino, status.st_size, frozenset(os.listdir(tmp_path))))
        fsync(file)

    monkeypatch.setattr(os, "fsync", record)
    return found


def test_a_halt_and_its_name_are_on_the_disk_when_it_returns(tmp_path: Path, synced: list[Synced]) -> None:
    halt_file.write_halt_file(tmp_path, HALT)
    text = (tmp_path / halt_file.FILE).stat()
    assert [each.inode for each in synced] == [text.st_ino, tmp_path.stat().st_ino], "the text, then the name"
    assert synced[0].size == text.st_size > 0
    assert synced[1].names == {halt_file.FILE}


def test_a_pause_and_its_name_are_on_the_disk_when_it_returns(tmp_path: Path, synced: list[Synced]) -> None:
    pause.pause(tmp_path, "lunch")
    text = (tmp_path / pause.FILE).stat()
    assert [each.inode for each in synced] == [text.st_ino, tmp_path.stat().st_ino], "the text, then the name"
    assert synced[0].size == len("lunch")
    assert synced[1].names == {pause.FILE}


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (lambda home: halt_file.write_halt_file(home, HALT), halt_file.remove_halt_file),
        (lambda home: pause.pause(home, ""), pause.remove_pause_file),
    ],
    ids=["halt", "pause"],
)
def test_what_ended_is_gone_from_the_disk_when_it_returns(
    begin: Callable[[Path], object], end: Callable[[Path], object], tmp_path: Path, synced: list[Synced]
) -> None:
    begin(tmp_path)
    synced.clear()
    end(tmp_path)
    assert [(each.inode, each.names) for each in synced] == [(tmp_path.stat().st_ino, frozenset())]


# -- the state file -----------------------------------------------------------------------------------------------

FULL, NORMAL = 2, 1

Write = Callable[[Store], object]


def amend() -> AmendOrder:
    before = full_order(order_id="o1", status=OrderStatus.RESTING)
    wanted = full_order(order_id="o1", status=OrderStatus.RESTING, qty=contracts(20))
    return AmendOrder(before, wanted, worse_case_terms(before, wanted, NOW))


WAITS: dict[str, Write] = {
    "an amend": lambda store: store.record(amend()),
    "a group that tripped": lambda store: store.record(OrderGroupStateChanged("g1", True)),
    "a group that was made": lambda store: store.save_order_group(RunGroup("g1", 0)),
    "a group that is gone": lambda store: store.forget_group("g1"),
    "a lock": lambda store: store.lock_market(MarketLock("KXBTC", Ts(NOW + 1), "", NOW)),
    "the end of a lock": lambda store: store.unlock_market("KXBTC"),
    "where drift of the cash begins": lambda store: store.set_cash_base(CashBaseline(Money(1), NOW)),
}
"""What nobody could tell us again; intents, fills, settlements and halts are in `test_sqlite_store.py`."""


@pytest.mark.parametrize("write", WAITS.values(), ids=WAITS)
def test_what_cannot_be_learned_again_waits_for_the_disk(write: Write, open_store: Open) -> None:
    store = open_store()
    store.record(AlertRaised(NOW, "info", "X", "s", "t"))
    assert durability(store) == NORMAL
    write(store)
    assert durability(store) == FULL


def durability(store: Store) -> int:
    """`PRAGMA synchronous` as the last write left it."""
    return int(store._database.read("PRAGMA synchronous")[0][0])


def test_the_best_that_was_seen_only_rises(open_store: Open) -> None:
    store = open_store()
    assert store.update_account_high(Money(5), NOW).gained == 5
    assert store.update_account_high(Money(3), Ts(NOW + 1)).gained == 5
    assert store.update_account_high(Money(7), Ts(NOW + 2)).gained == 7
