"""A loop reads only newer bookings at its start, and leaves the tables as one that read all of history."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.state_files import new_state_file
from support.values import NOW, full_fill, full_settlement

from kalshi_cli.base.units import Money, Price, Ts, cents, contracts, format_ts, parse_money
from kalshi_cli.core.account.pnl import LedgerEntry, group_by
from kalshi_cli.core.model.effects import FillBooked, SettlementBooked
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.services.trading.reports.table_position import TablePosition
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.telemetry.tables import DAYS, TRADES, Tables

DAY_MS = 86_400_000
DAYS_OF_TEST = 12
LATER = Ts(NOW + 20 * DAY_MS)


def day_of(ts: Ts) -> str:
    return format_ts(ts).split("T")[0]


def history(seed: int) -> list[LedgerEntry]:
    """Return markets that are bought and sold within days, most of them settled, in the order of their time."""
    dice, found = random.Random(seed), list[LedgerEntry]()
    for number in range(8):
        start = NOW + dice.randrange(DAYS_OF_TEST) * DAY_MS
        for part in range(dice.randint(1, 4)):
            found.append(
                full_fill(
                    f"t{number}-{part}", order_id=f"o{number}", ticker=f"KX{number}", side=dice.choice((BID, ASK)),
                    price=cents(dice.randint(1, 99)), qty=contracts(dice.randint(1, 5)), client_order_id="",
                    ts=Ts(start + dice.randrange(DAY_MS)),
                )
            )  # fmt: skip
        if dice.random() < 0.8:
            value = Price(dice.choice((0, 10_000)))
            found.append(full_settlement(f"KX{number}", value=value, ts=Ts(start + DAY_MS)))
    return sorted(found, key=lambda entry: entry.ts)


class Books:
    """A state file with its tables, which runs of a loop write one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warned: list[str] = []
        self.store = Store.open(new_state_file(folder / "state.db"), account="a", environment="sim")

    def start(self) -> TablePosition:
        position = TablePosition(Tables(self.folder / "logs", self.warned.append), self.store, day_of)
        position.open()
        return position

    def book(self, entry: LedgerEntry, position: TablePosition | None = None) -> None:
        self.store.record(FillBooked(entry) if isinstance(entry, Fill) else SettlementBooked(entry))
        if position is not None:
            position.book.book(entry)

    def save(self, position: TablePosition, now: Ts = LATER) -> None:
        assert position.book.write_days(now, Money(0), None)
        position.save()

    def days(self) -> dict[str, tuple[int, Money, Money]]:
        with (self.folder / "logs" / DAYS).open(newline="") as file:
            rows = list(csv.DictReader(file))
        found = {
            each["day"]: (int(each["trades"]), parse_money(each["realized"]), parse_money(each["fees"]))
            for each in rows
        }  # fmt: skip
        return {name: row for name, row in found.items() if any(row)}

    def trades(self) -> list[str]:
        with (self.folder / "logs" / TRADES).open(newline="") as file:
            return sorted(each["trade_id"] for each in csv.DictReader(file))

    def assert_complete(self) -> None:
        entries: list[LedgerEntry] = [*self.store.fills(), *self.store.settlements()]
        whole = group_by(entries, {}, lambda _, entry: day_of(entry.ts) if entry is not None else "")
        counts = {name: sum(isinstance(e, Fill) and day_of(e.ts) == name for e in entries) for name in whole}
        wanted = {name: (counts[name], part.realized, part.fees) for name, part in whole.items()}
        assert self.days() == {name: row for name, row in wanted.items() if any(row)}
        assert self.trades() == sorted(fill.trade_id for fill in self.store.fills())
        assert self.warned == []


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    one = Books(tmp_path)
    yield one
    one.store.close()


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_runs_that_go_on_leave_the_tables_of_one_that_reads_everything(
    tmp_path_factory: pytest.TempPathFactory, seed: int, dice: random.Random
) -> None:
    books = Books(tmp_path_factory.mktemp("books"))
    entries = history(seed)
    for _ in range(2):  # some are booked late
        if len(entries) > 1:
            entries.insert(dice.randrange(len(entries)), entries.pop(dice.randrange(len(entries))))
    position: TablePosition | None = books.start()
    for entry in entries:
        if dice.random() < 0.2:  # between two runs, other programs book entries, and a start closes markets
            if position is not None and dice.random() < 0.8:
                books.save(position)
            position = None if position is not None else books.start()
        if position is None and dice.random() < 0.3:
            books.store.close_markets(entry.ts, 99)
        books.book(entry, position)
    if position is None:
        position = books.start()
    books.save(position)
    books.assert_complete()
    books.store.close()


def test_a_start_reads_no_entry_of_a_closed_market(books: Books) -> None:
    for entry in history(1):
        books.book(entry)
    books.book(full_fill("last", order_id="last", ticker="KXLAST", client_order_id="", ts=LATER))
    books.save(books.start())
    books.store.close_markets(LATER, 99)
    position = books.start()
    closed = {entry.ticker for entry in history(1)} - {fill.ticker for fill in books.store.load().fills}
    assert len(closed) > 3
    assert not any(position.book.has(entry) for entry in history(1) if entry.ticker in closed)
    books.save(position)
    books.assert_complete()


@pytest.mark.parametrize("name", [TRADES, DAYS])
@pytest.mark.parametrize("change", ["removed", "edited", "longer"])
def test_everything_is_read_again_where_a_table_was_changed(books: Books, name: str, change: str) -> None:
    for entry in history(2):
        books.book(entry)
    books.book(full_fill("last", order_id="last", ticker="KXLAST", client_order_id="", ts=LATER))
    books.save(books.start())
    books.store.close_markets(LATER, 99)
    path = books.folder / "logs" / name
    lines = path.read_text().splitlines(keepends=True)
    if change == "removed":
        path.unlink()
    elif change == "edited" and name == TRADES:
        path.write_text("".join([*lines[:2], *lines[3:]]))
    elif change == "longer" and name == TRADES:
        path.write_text("".join(lines) + lines[-1][: len(lines[-1]) // 2])
    books.save(books.start())
    books.assert_complete()


def test_a_crash_before_the_position_is_saved_writes_no_trade_twice(books: Books) -> None:
    first = history(3)
    for entry in first[:-3]:
        books.book(entry)
    books.save(books.start())
    position = books.start()
    for entry in first[-3:]:
        books.book(entry, position)
    books.save(books.start())
    books.assert_complete()


def test_a_fill_that_the_loop_has_not_seen_holds_the_position(books: Books) -> None:
    position = books.start()
    seen, unseen, later = (
        full_fill(name, order_id=name, ticker=f"KX{name}", client_order_id="") for name in ("a", "b", "c")
    )
    books.book(seen, position)
    books.book(unseen)
    books.book(later, position)
    books.save(position)
    assert books.trades() == ["a", "c"]
    books.save(books.start())
    books.assert_complete()


def test_an_amended_settlement_of_a_closed_market_changes_its_days(books: Books) -> None:
    for number in (1, 2):
        ticker = f"KX{number}"
        books.book(full_fill(ticker, order_id=ticker, ticker=ticker, client_order_id=""))
        books.book(full_settlement(ticker, value=Price(10_000), ts=Ts(NOW + DAY_MS)))
    books.book(full_fill("last", order_id="last", ticker="KXLAST", client_order_id="", ts=LATER))
    books.save(books.start())
    books.store.close_markets(LATER, 99)
    books.book(full_settlement("KX1", value=Price(0), ts=Ts(NOW + 2 * DAY_MS)))  # by another program
    position = books.start()
    books.save(position)
    books.assert_complete()
    books.book(full_settlement("KX2", value=Price(0), ts=Ts(NOW + 3 * DAY_MS)), position)
    books.save(position)
    books.assert_complete()
