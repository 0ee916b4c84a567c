"""An order's group, subaccount and other terms on file, files from before there were any, and amends."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.values import NOW, Open, full_fill, full_order

from kalshi_cli.base.errors import HaltedError
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.account.open_amends import is_amend_open, worse_case_terms
from kalshi_cli.core.model.effects import AmendOrder, FillBooked, OrderChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, SelfTradePrevention
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.store import migrations
from kalshi_cli.store.database import Database
from kalshi_cli.store.records import Halt

replace = msgspec.structs.replace


@pytest.mark.parametrize("mode", [SelfTradePrevention.TAKER, SelfTradePrevention.MAKER, None])
def test_the_terms_come_back_as_they_were(open_store: Open, mode: SelfTradePrevention | None) -> None:
    order = full_order(order_group_id="g1", subaccount=7, self_trade_prevention=mode, cancel_on_pause=True)
    open_store().record(SubmitOrder(order))
    assert open_store().order("c1") == order


def test_a_file_from_before_the_terms_is_read_and_its_orders_have_what_was_sent_then(
    open_store: Open, path: Path
) -> None:
    path.parent.mkdir(parents=True)
    Database(path, migrations.STATE[:1]).close()
    old = full_order(order_id="o1", status=OrderStatus.RESTING)
    names = [name for name in Order.__struct_fields__ if name not in added(path)]
    values = [getattr(old, name) for name in names]
    connection = sqlite3.connect(path)
    marks = ", ".join("?" * (len(names) + 1))
    connection.execute(
        f"INSERT INTO orders (key, {', '.join(names)}) VALUES ({marks})",
        [old.client_order_id, *(str(value) if isinstance(value, str) else value for value in values)],
    )
    connection.commit()
    connection.close()
    store = open_store()
    assert store.live_orders() == (old,)
    assert old.self_trade_prevention is SelfTradePrevention.TAKER, "what every order was sent with then"
    store.record(OrderChanged(replace(old, subaccount=2)))
    assert open_store().order("o1") == replace(old, subaccount=2)


def added(path: Path) -> set[str]:
    """The fields of an order that the file has no column for."""
    connection = sqlite3.connect(path)
    columns = {row[1] for row in connection.execute("PRAGMA table_info(orders)")}
    connection.close()
    missing = set(Order.__struct_fields__) - columns
    assert missing == {"order_group_id", "subaccount", "self_trade_prevention", "cancel_on_pause", "outcome", "best"}
    return missing


def test_what_only_the_request_knew_is_on_file_before_the_order_is_sent_and_no_report_removes_it(
    open_store: Open,
) -> None:
    """The typed outcome, and the best price at the decision."""
    order = full_order(outcome="no", best=cents(41))
    open_store().record(SubmitOrder(order))
    assert open_store().order("c1") == order
    resting = replace(order, order_id="o1", status=OrderStatus.RESTING)
    for report in (
        replace(resting, outcome="", best=None),  # of a program that did not read the order request
        replace(resting, outcome="", best=None, is_foreign=True, client_order_id="c1"),
    ):
        open_store().record(OrderChanged(report))
        assert open_store().order("o1") == resting
    open_store().record(OrderChanged(replace(resting, outcome="", best=None), repaired="another reply was false"))
    assert open_store().order("o1") == resting


def test_orders_on_file_from_before_the_typed_outcome_have_none(open_store: Open, path: Path) -> None:
    path.parent.mkdir(parents=True)
    Database(path, migrations.STATE[:20]).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"INSERT INTO orders VALUES ({', '.join('?' * 28)})", order_row(status=OrderStatus.RESTING))
    connection.close()
    assert open_store().live_orders() == (full_order(order_id="o1", status=OrderStatus.RESTING, outcome="", best=None),)


def amend(order: Order) -> AmendOrder:
    wanted = replace(order, price=cents(40), qty=contracts(20))
    return AmendOrder(order, wanted, worse_case_terms(order, wanted, Ts(NOW + 1)))


@pytest.mark.parametrize("is_foreign", [False, True])
def test_an_amend_is_on_the_disk_as_the_worse_of_both_before_it_is_sent(open_store: Open, is_foreign: bool) -> None:
    store = open_store()
    order = full_order("" if is_foreign else "c1", order_id="o1", status=OrderStatus.RESTING, is_foreign=is_foreign)
    store.record(OrderChanged(order))
    store.record(amend(order))
    assert store._database.read("PRAGMA synchronous")[0][0] == 2, "waited for the disk"
    (found,) = open_store().live_orders()
    assert is_amend_open(found)
    assert (found.price, found.remaining) == (cents(40), contracts(20)), "an ask: the lower price is the worse"


def test_no_amend_begins_once_another_program_has_halted(open_store: Open) -> None:
    store, other = open_store(), open_store()
    order = full_order(order_id="o1", status=OrderStatus.RESTING)
    store.record(OrderChanged(order))
    other.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "", NOW))
    with pytest.raises(HaltedError):
        store.record(amend(order))
    assert store.live_orders() == (order,)


def test_the_fills_of_a_file_from_before_belong_to_the_subaccount_of_their_order(open_store: Open, path: Path) -> None:
    path.parent.mkdir(parents=True)
    Database(path, migrations.STATE[:2]).close()
    connection = sqlite3.connect(path)
    connection.execute(f"INSERT INTO orders VALUES ({', '.join('?' * 28)})", order_row(subaccount=3))
    for trade_id, order_id in (("t1", "o1"), ("t2", "another")):
        connection.execute(
            "INSERT INTO fills VALUES (?, ?, 'KXA-1', 'bid', 4000, 500, 0, 0, ?, '')", (trade_id, order_id, NOW)
        )
    connection.commit()
    connection.close()
    store = open_store()
    assert {fill.trade_id: fill.subaccount for fill in store.fills()} == {"t1": 3, "t2": 0}
    store.record(FillBooked(replace(store.fills()[0], trade_id="t3", subaccount=7)))
    assert {fill.trade_id: fill.subaccount for fill in open_store().fills()} == {"t1": 3, "t2": 0, "t3": 7}


def test_a_file_from_when_a_trade_was_one_fill_keeps_its_fills_and_takes_the_other(
    open_store: Open, path: Path
) -> None:
    path.parent.mkdir(parents=True)
    Database(path, migrations.STATE[:6]).close()
    kept = (full_fill(ts=Ts(NOW - 1), subaccount=2), full_fill("t2", client_order_id="", is_taker=False))
    connection = sqlite3.connect(path)
    for fill in kept:
        values = [getattr(fill, name) for name in Fill.__struct_fields__]
        connection.execute(
            f"INSERT INTO fills ({', '.join(Fill.__struct_fields__)}) VALUES ({', '.join('?' * len(values))})",
            [str(value) if isinstance(value, str) else value for value in values],
        )
    connection.commit()
    connection.close()
    other = full_fill("t2", order_id="o2", side=ASK)
    for _ in range(2):  # and the second start finds nothing left to do
        store = open_store()
        assert store.fills()[:2] == kept
        store.record(FillBooked(kept[0]))
        store.record(FillBooked(other))
        assert store.fills() == (*kept, other)


def order_row(**changes: Any) -> list[object]:
    """The row of an order in a file from before the typed outcome and the best price."""
    order = full_order(order_id="o1", **changes)
    values = [getattr(order, name) for name in Order.__struct_fields__ if name not in ("outcome", "best")]
    return [order.client_order_id, *(str(value) if isinstance(value, str) else value for value in values)]


def test_a_repair_takes_an_exchange_id_from_the_order_of_others_that_a_false_record_named(open_store: Open) -> None:
    """Else that order counts, and is listed as live, until the file is rebuilt."""
    store = open_store()
    ours = full_order(order_id="o1", status=OrderStatus.RESTING)
    store.record(OrderChanged(replace(ours, order_id="", status=OrderStatus.UNKNOWN), "its id was o1, is none"))
    store.record(OrderChanged(replace(ours, client_order_id="somebody", side=ASK, is_foreign=True)))
    store.record(OrderChanged(replace(ours, order_id="")))
    assert len(store.live_orders()) == 2, "both count until it is known"
    store.record(OrderChanged(ours, "its id was none, is o1"))
    assert open_store().live_orders() == (ours,)
