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
from kalshi_cli.store import database, rows
from kalshi_cli.store.records import Recount
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
    assert store.history.recount(LATER, 100).wrong == ()
    spoil(store, "B")
    assert store.load().closed != right
    assert store.history.recount(Ts(LATER + 1_000), 100).wrong == (), "not again on the same day"
    assert store.history.recount(Ts(LATER + DAY_MS), 100).wrong == ("B",)
    assert {fill.ticker for fill in store.load().fills} == {"B", "D"}
    assert store.history.recount(Ts(LATER + 2 * DAY_MS), 100).wrong == ()
    store.close_markets(Ts(LATER + 9 * DAY_MS), 9)
    assert store.load().closed == right


def test_a_recount_goes_on_where_the_last_one_stopped(store: Store) -> None:
    spoil(store, "C")
    assert store.history.recount(LATER, 1) == Recount(wrong=(), after="A")
    assert store.history.recount(LATER, 1) == Recount(wrong=(), after="B")
    assert store.history.recount(LATER, 1).wrong == ("C",)


def test_a_clock_that_was_set_back_does_not_stop_the_recount(store: Store) -> None:
    assert store.history.recount(LATER, 100).wrong == ()
    spoil(store, "A")
    assert store.history.recount(Ts(LATER - DAY_MS), 100).wrong == ("A",)


def test_size_counts_every_market_once(store: Store) -> None:
    assert store.history.size() == (4, 4)
    store.record(FillBooked(full_fill("more", order_id="A", ticker="A", client_order_id=""), None))
    assert store.history.size() == (5, 4)
    with store._database.writing(durable=True) as execute:
        execute("DELETE FROM closed_markets WHERE ticker = 'B'")
        for strategy in ("x", "y"):
            execute("INSERT INTO closed_markets VALUES ('B', ?, 0, 0, 0, 0)", (strategy,))
        execute("DELETE FROM fills WHERE ticker = 'D'")
    assert store.history.size() == (4, 4), "a result of each strategy is one market"
    with store._database.writing(durable=True) as execute:
        execute("DELETE FROM closed_markets WHERE ticker = 'B'")
    assert store.history.size() == (4, 3)


def test_an_older_file_is_counted_when_it_is_opened(store: Store, open_store: Open) -> None:
    with store._database.writing(durable=True) as execute:
        for name in ("fill_is_counted", "fill_is_removed", "closed_market_is_counted", "closed_market_is_forgotten"):
            execute(f"DROP TRIGGER {name}")
        for table in ("sizes", "opening_marks"):
            execute(f"DROP TABLE {table}")
        for column in ("outcome", "best"):  # of later steps
            execute(f"ALTER TABLE orders DROP COLUMN {column}")
        execute("ALTER TABLE intents DROP COLUMN amended")
        execute("ALTER TABLE silences DROP COLUMN until_over")
        for column in ("ticket", "ticket_tier"):
            execute(f"ALTER TABLE matters DROP COLUMN {column}")
        execute("PRAGMA user_version = 19")
    store.close()
    assert open_store().history.size() == (4, 4)


def forget_totals(store: Store) -> None:
    """Leave the file as one of the format before the statistics."""
    with store._database.writing(durable=True) as execute:
        execute("DELETE FROM closed_totals")
        execute("DELETE FROM alert_marks")


def test_the_statistics_of_closed_markets_are_those_of_their_entries(store: Store) -> None:
    history = store.history
    assert history.has_totals
    assert history.closes(NOW, ()) == (3, 0)
    assert history.closes(NOW, ("B", "D")) == (2, 0)
    assert history.closes(Ts(NOW + 1), ()) == (0, 0), "they began before"
    assert (history.straddling(NOW), history.straddling(Ts(NOW + 1))) == ([], ["A", "B", "C"])
    assert [(each.event, each.fills) for each in history.edges()] == [("KXBTC-26JUN11", 3)]
    store.record(FillBooked(full_fill("more", order_id="A", ticker="A", client_order_id=""), None))
    assert (history.closes(NOW, ()), history.straddling(Ts(NOW + 1))) == ((2, 0), ["B", "C"])
    assert sum(each.fills for each in history.edges()) == 2


def test_an_older_file_gets_its_statistics_with_the_first_whole_recount(store: Store) -> None:
    kept = store._database.read("SELECT * FROM closed_totals")
    forget_totals(store)
    assert store.history.recount(LATER, 1).after == "A"
    assert not store.history.has_totals
    assert store.history.recount(LATER, 100) == Recount(wrong=(), after="")
    assert store.history.has_totals
    assert store._database.read("SELECT * FROM closed_totals") == kept


def test_the_sum_of_closed_markets_follows_each_of_them(store: Store) -> None:
    def counted() -> list[tuple[object, ...]]:
        closed = "SELECT strategy, SUM(realized), SUM(fees), SUM(wins), SUM(losses) FROM closed_markets"
        opened = "WHERE ticker NOT IN (SELECT ticker FROM open_markets) GROUP BY strategy"
        return store._database.read(f"{closed} {opened}")

    def saved() -> list[tuple[object, ...]]:
        return [rows.row(each) for each in store.load().closed]

    assert saved() == counted() != []
    store.record(FillBooked(full_fill("more", order_id="A", ticker="A", client_order_id="A"), None))
    assert saved() == counted()
    for ticker in ("B", "C"):
        store.record(FillBooked(full_fill(f"more {ticker}", order_id=ticker, ticker=ticker, client_order_id=""), None))
    assert saved() == counted() == []
    store.close_markets(Ts(LATER + 9 * DAY_MS), 9)
    assert saved() == counted() != []
    spoil(store, "B")
    assert saved() == counted()


def test_a_wrong_sum_of_closed_markets_is_found_and_mended(store: Store) -> None:
    right = store.load().closed
    with store._database.writing(durable=True) as execute:
        execute("UPDATE closed_sums SET realized = realized + 1")
    assert store.load().closed != right
    assert store.history.recount(LATER, 100).wrong == ("sum of closed markets",)
    assert store.load().closed == right


def test_bookings_are_numbered_until_they_are_too_old(store: Store) -> None:
    history = store.history
    last = store.alert_book.last_booked()
    assert history.booked_after(last) == []
    assert [entry.ticker for entry in history.booked_after(last - 2) or ()] == ["C", "D"]
    assert [number for number, _ in history.numbered_after(0, 3)] == [1, 2, 3]
    assert history.booked_after(last + 1) is None, "the numbers of another file"
    with store._database.writing(durable=True) as execute:
        execute("DELETE FROM booked WHERE number <= 2")
    assert history.booked_after(1) is None
    assert len(history.booked_after(2) or ()) == last - 2


def test_entries_since_are_those_of_whole_markets(store: Store) -> None:
    assert {entry.ticker for entry in store.history.entries(LATER)} == {"D"}
    assert len(store.history.entries(Ts(NOW + 1))) == 7, "settled since then: with the fills before"
    assert len(store.history.entries(Ts(0))) == 7
    assert store.history.reopened() == LATER
    store.record(FillBooked(full_fill("more", order_id="A", ticker="A", client_order_id=""), None))
    assert store.history.reopened() == NOW
    assert {entry.ticker for entry in store.history.entries(LATER)} == {"A", "D"}


def test_the_part_before_a_time_has_so_many_fills_and_never_none(store: Store) -> None:
    assert store.history.oldest_of(LATER, 3) == 0
    assert store.history.oldest_of(Ts(LATER + 1), 3) == NOW + 1
    assert store.history.oldest_of(Ts(NOW + 1), 2) == NOW, "more in one moment than one part: all of them"
    assert [fill.ticker for fill in store.history.part(NOW, LATER)] == ["A", "B", "C"]
    assert [paid.ticker for paid in store.history.settlements_of(("A", "X"))] == ["A"]


def test_damage_in_a_table_that_no_start_reads_is_found_by_the_recount(
    open_store: Open, store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root,) = store._database.read("SELECT rootpage FROM sqlite_master WHERE name = 'fills'")[0]
    (size,) = store._database.read("PRAGMA page_size")[0]
    store.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 64)
    monkeypatch.setattr(database, "LARGE", 1)
    found = open_store()
    with pytest.raises(StateFileError, match="damaged"):
        found.history.recount(LATER, 100)


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
