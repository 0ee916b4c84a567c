"""Closed markets in the state file: the daily recount, and the opening of a large file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.values import NOW, Open, full_fill, full_order, full_settlement

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import Ts, contracts
from kalshi_cli.core.model.effects import FillBooked, OrderChanged, SettlementBooked
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.store import database
from kalshi_cli.store.sqlite_store import Store

DAY_MS = 86_400_000
LATER = Ts(NOW + 9 * DAY_MS)


@pytest.fixture
def store(open_store: Open) -> Store:
    """Three closed markets, and one of nine days later."""
    one = open_store()
    for name in ("A", "B", "C"):
        order = full_order(name, order_id=name, ticker=name, status=OrderStatus.FILLED, filled=contracts(2))
        one.record(OrderChanged(order))
        one.record(FillBooked(full_fill(name, order_id=name, ticker=name, client_order_id=name), None))
        one.record(SettlementBooked(full_settlement(name)))
    one.record(FillBooked(full_fill("new", order_id="new", ticker="D", client_order_id="", ts=LATER), None))
    one.close_markets(LATER, 9)
    return one


def spoil(store: Store, ticker: str) -> None:
    with store._database.writing(durable=True) as execute:
        execute("UPDATE closed_markets SET realized = realized + 1 WHERE ticker = ?", (ticker,))


def test_a_recount_finds_a_wrong_result_and_counts_the_market_from_its_fills(store: Store) -> None:
    right = store.load().closed
    assert store.history.recount(LATER, 100) == ()
    spoil(store, "B")
    assert store.load().closed != right
    assert store.history.recount(Ts(LATER + 1_000), 100) == (), "not again on the same day"
    assert store.history.recount(Ts(LATER + DAY_MS), 100) == ("B",)
    assert {fill.ticker for fill in store.load().fills} == {"B", "D"}
    assert store.history.recount(Ts(LATER + 2 * DAY_MS), 100) == ()
    store.close_markets(Ts(LATER + 9 * DAY_MS), 9)
    assert store.load().closed == right


def test_a_recount_goes_on_where_the_last_one_stopped(store: Store) -> None:
    spoil(store, "C")
    assert store.history.recount(LATER, 1) == ()
    assert store.history.recount(LATER, 1) == ()
    assert store.history.recount(LATER, 1) == ("C",)


def test_a_clock_that_was_set_back_does_not_stop_the_recount(store: Store) -> None:
    assert store.history.recount(LATER, 100) == ()
    spoil(store, "A")
    assert store.history.recount(Ts(LATER - DAY_MS), 100) == ("A",)


def test_size_counts_every_market_once(store: Store) -> None:
    assert store.history.size() == (4, 4)
    store.record(FillBooked(full_fill("more", order_id="A", ticker="A", client_order_id=""), None))
    assert store.history.size() == (5, 4)


@pytest.mark.parametrize(("large", "is_seen"), [(2**40, True), (1, False)])
def test_of_a_large_file_only_tables_that_do_not_grow_are_checked(
    open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch, large: int, is_seen: bool
) -> None:
    store = open_store()
    store.record(FillBooked(full_fill(), None))
    (root,) = store._database.read("SELECT rootpage FROM sqlite_master WHERE name = 'fills_by_time'")[0]
    (size,) = store._database.read("PRAGMA page_size")[0]
    store.close()
    assert not os.path.exists(f"{path}-wal")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 64)
    monkeypatch.setattr(database, "LARGE", large)
    if is_seen:
        with pytest.raises(StateFileError, match="damaged"):
            open_store()
        return
    found = open_store()
    with pytest.raises(StateFileError, match="damaged"):
        found.load()


def test_of_a_large_file_the_other_tables_are_checked(
    open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    (root,) = store._database.read("SELECT rootpage FROM sqlite_master WHERE name = 'halt'")[0]
    (size,) = store._database.read("PRAGMA page_size")[0]
    store.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 64)
    monkeypatch.setattr(database, "LARGE", 1)
    with pytest.raises(StateFileError, match="damaged"):
        open_store()


def test_a_row_that_cannot_be_read_is_damage(store: Store) -> None:
    with store._database.writing(durable=True) as execute:
        execute("UPDATE fills SET price = 'x' WHERE ticker = 'A'")
        execute("INSERT INTO open_markets VALUES ('A', 0)")
    with pytest.raises(StateFileError, match="damaged"):
        store.closed_market("A")
    with pytest.raises(StateFileError, match="damaged"):
        store.close_markets(LATER, 9)
