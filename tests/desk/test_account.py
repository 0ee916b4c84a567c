"""Start-up after whatever happened: load, read, repair; and a second time there is nothing to repair."""

from __future__ import annotations

from typing import Any

import pytest
from virtual import T0, TICKER, Virtual

from kalshi_cli.base.units import ONE_DOLLAR, Ts, cents, contracts
from kalshi_cli.core.engine.engine import Engine
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID, Tif
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.desk.account import load_engine, reconcile_unknown
from kalshi_cli.store.records import Halt, Memory


def start(virtual: Virtual) -> Engine:
    return load_engine(
        virtual.client,
        virtual.store,
        virtual.clock,
        Limits(),
        markets=[virtual.client.market(TICKER)],
        fees={},
        new_id=virtual.new_id,
    )


def intend(virtual: Virtual, client_order_id: str, **changes: Any) -> Order:
    """An intent on file, as a process leaves it that is killed before the reply."""
    fields: dict[str, Any] = {
        "ticker": TICKER,
        "side": BID,
        "price": cents(40),
        "qty": contracts(10),
        "status": OrderStatus.SUBMITTED,
        "created": virtual.clock.now(),
        "updated": virtual.clock.now(),
        "strategy": "spike",
    }
    order = Order(client_order_id=client_order_id, **(fields | changes))
    virtual.store.record(SubmitOrder(order))
    return order


def test_an_intent_that_reached_the_exchange_is_adopted(virtual: Virtual) -> None:
    virtual.market()
    accepted = virtual.client.create_order(intend(virtual, "mine"))
    order = start(virtual).state.orders.get("mine")
    assert order is not None
    assert (order.status, order.order_id, order.strategy) == (OrderStatus.RESTING, accepted.order_id, "spike")
    assert virtual.store.order("mine") == order


def test_an_intent_that_never_left_counts_until_it_cannot_be_there(virtual: Virtual) -> None:
    intend(virtual, "mine")
    engine = start(virtual)
    assert engine.state.orders.worst_case(TICKER) == (contracts(10), 0), "too fresh to be sure"
    virtual.clock.advance(46)
    engine = start(virtual)
    order = engine.state.orders.get("mine")
    assert order is not None
    assert order.status is OrderStatus.NEVER_ARRIVED
    assert engine.state.orders.worst_case(TICKER) == (0, 0)


def test_an_intent_that_filled_while_nobody_ran_is_booked(virtual: Virtual) -> None:
    virtual.market(39, 44)
    virtual.client.create_order(intend(virtual, "mine"))
    virtual.take(ASK, 40, 10)
    engine = start(virtual)
    order = engine.state.orders.get("mine")
    assert order is not None
    assert order.status is OrderStatus.FILLED
    assert engine.state.ledger.position(TICKER).qty == contracts(10)
    assert engine.state.by_strategy["spike"].position(TICKER).qty == contracts(10)
    assert len(virtual.store.fills()) == 1
    assert engine.tally.fills == 0, "what was missed is not this run's doing"


def test_fills_and_settlements_that_were_missed_are_booked(virtual: Virtual) -> None:
    virtual.market()
    virtual.place(price=cents(44), tif=Tif.IOC)
    virtual.clock.advance(5)
    virtual.exchange.settle(TICKER, ONE_DOLLAR, virtual.clock.now())
    virtual.clock.advance(120)
    virtual.exchange.advance(virtual.clock.now())
    engine = start(virtual)
    assert engine.state.ledger.position(TICKER).qty == 0
    (settlement,) = virtual.store.settlements()
    assert (settlement.ticker, settlement.value) == (TICKER, ONE_DOLLAR)
    start_cash = 10_000_000_000
    assert engine.cash == virtual.exchange.cash("alice") == start_cash + engine.state.ledger.cash


def test_an_order_of_another_program_counts_as_foreign(virtual: Virtual) -> None:
    virtual.quote(BID, 30, 4, who="alice")
    engine = start(virtual)
    (order,) = engine.state.orders.live()
    assert (order.is_foreign, order.strategy, order.remaining) == (True, "", contracts(4))


def memory(virtual: Virtual) -> Memory:
    return virtual.store.load()


@pytest.mark.parametrize("minutes", [0, 1, 100])
def test_twice_changes_nothing(virtual: Virtual, minutes: int) -> None:
    """I-RECON: reconcile(reconcile(S, E), E) = reconcile(S, E), and no order is sent."""
    virtual.market(39, 44)
    virtual.client.create_order(intend(virtual, "rests", price=cents(38)))
    virtual.client.create_order(intend(virtual, "fills"))
    intend(virtual, "lost", price=cents(30))
    virtual.quote(BID, 20, 3, who="alice")
    virtual.take(ASK, 40, 7)
    virtual.clock.advance(60 * minutes)
    posts = virtual.wire.posts()
    first = start(virtual)
    once = memory(virtual)
    second = start(virtual)
    assert memory(virtual) == once
    assert second.state.ledger.positions == first.state.ledger.positions
    ids = [sorted(order.order_id for order in engine.state.orders.live()) for engine in (first, second)]
    assert ids[0] == ids[1]
    assert virtual.wire.posts() == posts


def test_a_halt_is_remembered(virtual: Virtual) -> None:
    virtual.store.set_halt(Halt(TradingState.HALTED, "MANUAL", "test", T0))
    assert start(virtual).state.trading is TradingState.HALTED


def test_reconcile_finds_orders_of_markets_that_nobody_asked_about(virtual: Virtual) -> None:
    virtual.client.create_order(intend(virtual, "mine"))
    virtual.clock.advance(1)
    known, doubtful = reconcile_unknown(virtual.client, virtual.store, virtual.clock, Limits(), virtual.new_id)
    assert ([order.client_order_id for order in known], doubtful) == (["mine"], [])


def test_a_fill_of_long_ago_is_not_read_again_in_vain(virtual: Virtual) -> None:
    virtual.market()
    virtual.place(price=cents(44), tif=Tif.IOC)
    virtual.clock.advance(3 * 3600)
    engine = start(virtual)
    assert engine.state.ledger.position(TICKER).qty == contracts(10), "from the file, not from the exchange"
    assert engine.state.last_entry > Ts(0)
