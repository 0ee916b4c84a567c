"""How long an order takes from its decision to the answer of the exchange: kept, whatever becomes of the program."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import msgspec
import pytest
from virtual import T0, TICKER, Virtual
from virtual_loop import Loop

from kalshi_cli.base.errors import ExchangeError, StateError
from kalshi_cli.base.units import Ts, cents
from kalshi_cli.core.account.execution_quality import match
from kalshi_cli.core.model.effects import OrderChanged
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.desk.execution import read
from kalshi_cli.desk.journal import Journal
from kalshi_cli.store import sqlite_store
from kalshi_cli.store.sqlite_store import SqliteStore


def listened(virtual: Virtual, decided_s: Callable[[], float | None] = lambda: None) -> None:
    """The state file hears what the journal measures."""
    journal = Journal(virtual.clock, decided_s=decided_s)
    virtual.store.on_record = journal.note


def answers_after(virtual: Virtual, seconds: float) -> None:
    """The exchange takes so long to answer a create."""

    def wait(request: httpx.Request) -> None:
        if request.method == "POST":
            virtual.clock.advance(seconds)

    virtual.wire.after = wait


def again(virtual: Virtual) -> SqliteStore:
    """The state file, as a program finds it that starts later."""
    virtual.store.close()
    virtual.store = SqliteStore.open(virtual.path, account="alice", environment="sim")
    return virtual.store


def test_the_time_until_the_answer_outlives_the_program(virtual: Virtual) -> None:
    virtual.market()
    listened(virtual)
    answers_after(virtual, 0.25)
    order = virtual.place(price=cents(41))
    assert again(virtual).placements() == {order.client_order_id: 250}
    (sent,), traded = read(virtual.store, T0)
    assert (sent.order.order_id, sent.latency_ms, traded) == (order.order_id, 250, [])


def test_in_a_loop_it_begins_with_the_decision(virtual: Virtual) -> None:
    virtual.market()
    listened(virtual, decided_s=lambda: -1.0)  # the clock began at 0
    loop = Loop(virtual)
    answers_after(virtual, 0.25)
    begun = virtual.clock.monotonic()
    loop.ticks(1)
    (order,) = loop.live
    ((name, latency_ms),) = virtual.store.placements().items()
    assert name == order.client_order_id
    assert latency_ms == round((virtual.clock.monotonic() + 1.0) * 1000) > (virtual.clock.monotonic() - begun) * 1000


def test_an_answer_that_is_lost_counts_until_the_order_is_found(virtual: Virtual) -> None:
    virtual.market()
    listened(virtual)

    def lose(request: httpx.Request) -> None:
        if request.method == "POST":
            virtual.wire.after = lambda _: None
            virtual.clock.advance(0.5)
            raise httpx.ReadError("gone", request=request)

    virtual.wire.after = lose
    order = virtual.place(price=cents(41))
    assert order.status is OrderStatus.RESTING
    (latency_ms,) = virtual.store.placements().values()
    assert latency_ms >= 500


def test_an_order_that_was_refused_was_not_placed(virtual: Virtual) -> None:
    virtual.market()
    listened(virtual)
    virtual.wire.before = lambda request: (
        httpx.Response(400, json={"error": {"code": "insufficient_balance", "message": "no"}}, request=request)
        if request.method == "POST"
        else None
    )
    with pytest.raises(ExchangeError):
        virtual.place(price=cents(41))
    assert virtual.store.placements() == {}


def test_a_measurement_that_cannot_be_kept_keeps_no_order_from_its_place(virtual: Virtual) -> None:
    class Full:
        def placed(self, _client_order_id: str, _latency_ms: int) -> None:
            raise StateError("the disk is full")

    journal = Journal(virtual.clock)
    virtual.market()
    virtual.store.on_record = lambda effect, _store: journal.note(effect, Full())  # type: ignore[arg-type]
    assert virtual.place(price=cents(41)).status is OrderStatus.RESTING


def test_the_oldest_measurements_go_first(virtual: Virtual, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_store, "MAX_PLACEMENTS", 3)
    for number in range(5):
        virtual.store.placed(f"c{number}", number)
    assert again(virtual).placements() == {"c2": 2, "c3": 3, "c4": 4}


def test_an_order_of_before_has_no_measurement(virtual: Virtual) -> None:
    virtual.market()
    order = virtual.place(price=cents(41))
    (sent,), _ = match(virtual.store.orders(), virtual.store.fills(), virtual.store.placements())
    assert (sent.order.ticker, sent.latency_ms) == (TICKER, None)
    assert read(virtual.store, Ts(order.created)) == ([sent], [])


def test_an_order_belongs_to_when_it_was_decided_whatever_became_of_it_later(virtual: Virtual) -> None:
    virtual.market()
    order = virtual.place(price=cents(41))
    virtual.store.record(OrderChanged(msgspec.structs.replace(order, updated=Ts(order.created + 60_000))))
    assert [sent.order.order_id for sent in read(virtual.store, order.created)[0]] == [order.order_id]
    assert read(virtual.store, Ts(order.created + 1)) == ([], [])
