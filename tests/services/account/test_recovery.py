"""Start-up after whatever happened: load, read, repair; and a second time there is nothing to repair."""

from __future__ import annotations

import pytest
from support.simulation import T0, TICKER, Simulation, intend

from kalshi_cli.base.units import ONE_DOLLAR, Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import load_engine, reconcile_unknown
from kalshi_cli.store.records import Halt, RecoveredState


def start(sim: Simulation) -> TradingEngine:
    return load_engine(
        sim.client,
        sim.store,
        sim.clock,
        RiskLimits(),
        markets=[sim.client.market(TICKER)],
        fees={},
        new_id=sim.new_id,
    )


def test_an_intent_that_reached_the_exchange_is_adopted(sim: Simulation) -> None:
    sim.market()
    accepted = sim.client.create_order(intend(sim, "mine"))
    order = start(sim).state.orders.get("mine")
    assert order is not None
    assert (order.status, order.order_id, order.strategy) == (OrderStatus.RESTING, accepted.order_id, "spike")
    assert sim.store.order("mine") == order


def test_an_intent_that_never_left_counts_until_it_cannot_be_there(sim: Simulation) -> None:
    intend(sim, "mine")
    engine = start(sim)
    assert engine.state.orders.worst_case(TICKER) == (contracts(10), 0), "too fresh to be sure"
    sim.clock.advance(46)
    engine = start(sim)
    order = engine.state.orders.get("mine")
    assert order is not None
    assert order.status is OrderStatus.NEVER_ARRIVED
    assert engine.state.orders.worst_case(TICKER) == (0, 0)


def test_an_intent_that_filled_while_nobody_ran_is_booked(sim: Simulation) -> None:
    sim.market(39, 44)
    sim.client.create_order(intend(sim, "mine"))
    sim.take(ASK, 40, 10)
    engine = start(sim)
    order = engine.state.orders.get("mine")
    assert order is not None
    assert order.status is OrderStatus.FILLED
    assert engine.state.ledger.position(TICKER).qty == contracts(10)
    assert engine.state.by_strategy["spike"].position(TICKER).qty == contracts(10)
    assert len(sim.store.fills()) == 1
    assert engine.tally.fills == 0, "what was missed is not this run's doing"


def test_fills_and_settlements_that_were_missed_are_booked(sim: Simulation) -> None:
    sim.market()
    sim.place(price=cents(44), tif=TimeInForce.IOC)
    sim.clock.advance(5)
    sim.exchange.settle(TICKER, ONE_DOLLAR, sim.clock.now())
    sim.clock.advance(120)
    sim.exchange.advance(sim.clock.now())
    engine = start(sim)
    assert engine.state.ledger.position(TICKER).qty == 0
    (settlement,) = sim.store.settlements()
    assert (settlement.ticker, settlement.value) == (TICKER, ONE_DOLLAR)
    start_cash = 10_000_000_000
    assert engine.cash == sim.exchange.cash("alice") == start_cash + engine.state.ledger.cash


def test_an_order_of_another_program_counts_as_foreign(sim: Simulation) -> None:
    sim.quote(BID, 30, 4, who="alice")
    engine = start(sim)
    (order,) = engine.state.orders.live()
    assert (order.is_foreign, order.strategy, order.remaining) == (True, "", contracts(4))


def memory(sim: Simulation) -> RecoveredState:
    return sim.store.load()


@pytest.mark.parametrize("minutes", [0, 1, 100])
def test_twice_changes_nothing(sim: Simulation, minutes: int) -> None:
    """I-RECON: reconcile(reconcile(S, E), E) = reconcile(S, E), and no order is sent."""
    sim.market(39, 44)
    sim.client.create_order(intend(sim, "rests", price=cents(38)))
    sim.client.create_order(intend(sim, "fills"))
    intend(sim, "lost", price=cents(30))
    sim.quote(BID, 20, 3, who="alice")
    sim.take(ASK, 40, 7)
    sim.clock.advance(60 * minutes)
    posts = sim.wire.posts()
    first = start(sim)
    once = memory(sim)
    second = start(sim)
    assert memory(sim) == once
    assert second.state.ledger.positions == first.state.ledger.positions
    ids = [sorted(order.order_id for order in engine.state.orders.live()) for engine in (first, second)]
    assert ids[0] == ids[1]
    assert sim.wire.posts() == posts


def test_a_halt_is_remembered(sim: Simulation) -> None:
    sim.store.set_halt(Halt(TradingState.HALTED, "MANUAL", "test", T0))
    assert start(sim).state.trading is TradingState.HALTED


def test_reconcile_finds_orders_of_markets_that_nobody_asked_about(sim: Simulation) -> None:
    sim.client.create_order(intend(sim, "mine"))
    sim.clock.advance(1)
    known, doubtful = reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id)
    assert ([order.client_order_id for order in known], doubtful) == (["mine"], [])


def test_a_fill_of_long_ago_is_not_read_again_in_vain(sim: Simulation) -> None:
    sim.market()
    sim.place(price=cents(44), tif=TimeInForce.IOC)
    sim.clock.advance(3 * 3600)
    engine = start(sim)
    assert engine.state.ledger.position(TICKER).qty == contracts(10), "from the file, not from the exchange"
    assert engine.state.last_entry > Ts(0)
