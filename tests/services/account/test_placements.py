"""How long an order takes from its decision to the answer of the exchange: kept, whatever becomes of the program."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import msgspec
import pytest
from support.simulation import T0, TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.errors import ExchangeError, StateFileError
from kalshi_cli.base.units import Ts, cents
from kalshi_cli.core.account.execution_quality import match
from kalshi_cli.core.model.effects import OrderChanged
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.services.account.execution import read
from kalshi_cli.services.trading.reports.run_reporter import EventLog
from kalshi_cli.store import sqlite_store
from kalshi_cli.store.sqlite_store import Store


def listened(sim: Simulation, decided_s: Callable[[], float | None] = lambda: None) -> None:
    """The state file hears what the journal measures."""
    journal = EventLog(sim.clock, decided_s=decided_s)
    sim.store.on_record = journal.note


def answers_after(sim: Simulation, seconds: float) -> None:
    """The exchange takes so long to answer a create."""

    def wait(request: httpx.Request) -> None:
        if request.method == "POST":
            sim.clock.advance(seconds)

    sim.wire.after = wait


def again(sim: Simulation) -> Store:
    """The state file, as a program finds it that starts later."""
    sim.store.close()
    sim.store = Store.open(sim.path, account="alice", environment="sim")
    return sim.store


def test_the_time_until_the_answer_outlives_the_program(sim: Simulation) -> None:
    sim.market()
    listened(sim)
    answers_after(sim, 0.25)
    order = sim.place(price=cents(41))
    assert again(sim).history.placements([order.client_order_id, "other"]) == {order.client_order_id: 250}
    (sent,), traded = read(sim.store, T0)
    assert (sent.order.order_id, sent.latency_ms, traded) == (order.order_id, 250, [])


def test_in_a_loop_it_begins_with_the_decision(sim: Simulation) -> None:
    sim.market()
    listened(sim, decided_s=lambda: -1.0)  # the clock began at 0
    loop = TradingLoop(sim)
    answers_after(sim, 0.25)
    begun = sim.clock.monotonic()
    loop.ticks(1)
    (order,) = loop.live
    latency_ms = sim.store.history.placements([order.client_order_id])[order.client_order_id]
    assert latency_ms == round((sim.clock.monotonic() + 1.0) * 1000) > (sim.clock.monotonic() - begun) * 1000


def test_an_order_that_was_unconfirmed_is_not_timed(sim: Simulation) -> None:
    sim.market()
    listened(sim)

    def lose(request: httpx.Request) -> None:
        if request.method == "POST":
            sim.wire.after = lambda _: None
            sim.clock.advance(0.5)
            raise httpx.ReadError("gone", request=request)

    sim.wire.after = lose
    order = sim.place(price=cents(41))
    assert order.status is OrderStatus.RESTING
    assert sim.store.history.placements([order.client_order_id]) == {}
    later = sim.place(price=cents(40))
    assert sim.store.history.placements([later.client_order_id]).keys() == {later.client_order_id}


def test_an_order_that_was_refused_was_not_placed(sim: Simulation) -> None:
    sim.market()
    listened(sim)
    sim.wire.before = lambda request: (
        httpx.Response(400, json={"error": {"code": "insufficient_balance", "message": "no"}}, request=request)
        if request.method == "POST"
        else None
    )
    with pytest.raises(ExchangeError):
        sim.place(price=cents(41))
    assert sim.store.history.placements(order.client_order_id for order in sim.store.orders()) == {}


def test_a_measurement_that_cannot_be_kept_keeps_no_order_from_its_place(sim: Simulation) -> None:
    class Full:
        def record_placement(self, _client_order_id: str, _latency_ms: int) -> None:
            raise StateFileError("the disk is full")

    journal = EventLog(sim.clock)
    sim.market()
    sim.store.on_record = lambda effect, _store: journal.note(effect, Full())  # type: ignore[arg-type]
    assert sim.place(price=cents(41)).status is OrderStatus.RESTING


def test_the_oldest_measurements_go_first(sim: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_store, "MAX_PLACEMENTS", 3)
    for number in range(5):
        sim.store.record_placement(f"c{number}", number)
    assert again(sim).history.placements(f"c{number}" for number in range(5)) == {"c2": 2, "c3": 3, "c4": 4}


def test_an_order_of_before_has_no_measurement(sim: Simulation) -> None:
    sim.market()
    order = sim.place(price=cents(41))
    (sent,), _ = match(sim.store.orders(), sim.store.fills(), sim.store.history.placements([order.client_order_id]))
    assert (sent.order.ticker, sent.latency_ms) == (TICKER, None)
    assert read(sim.store, Ts(order.created)) == ([sent], [])


def test_an_order_belongs_to_when_it_was_decided_whatever_became_of_it_later(sim: Simulation) -> None:
    sim.market()
    order = sim.place(price=cents(41))
    sim.store.record(OrderChanged(msgspec.structs.replace(order, updated=Ts(order.created + 60_000))))
    assert [sent.order.order_id for sent in read(sim.store, order.created)[0]] == [order.order_id]
    assert read(sim.store, Ts(order.created + 1)) == ([], [])
