"""A slice of `make machine`: random rules, each rule once by hand, and what the checks find when something is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.simulation import OTHER, TICKER

from kalshi_cli.base.units import cents, contracts, dollars
from kalshi_cli.core.account.open_amends import AMEND_UNANSWERED
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from verification.machine.examples import run
from verification.machine.rules import FAULTS_OF_A_CREATE, Machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    one = Machine()
    one.begin(client_ids="open_only", lag_ms=2_000)
    yield one
    one.teardown()


def test_every_invariant_holds_after_every_rule_of_random_runs() -> None:
    run(examples=8, steps=25)


@pytest.mark.parametrize("fault", FAULTS_OF_A_CREATE)
def test_an_order_that_fills_into_a_fault_ends_right(machine: Machine, fault: str) -> None:
    machine.place_into(ticker=TICKER, side=BID, price=44, count=3, fault=fault)
    machine.holds()
    machine.deliver_late()
    machine.deliver_all_frames()
    machine.holds()
    assert machine.stage.seen[f"{fault} on create"] == 1


def test_an_order_through_all_that_can_happen_to_it(machine: Machine) -> None:
    """Every rule takes effect at least once, in an order in which it can."""
    do = machine
    do.open_group()
    for side, price in ((BID, 42), (ASK, 48), (BID, 40)):
        do.place(ticker=TICKER, side=side, price=price, count=3, tif=TimeInForce.GTC)
    for what in ("duplicate", "reorder", "drop"):
        do.upset_frames(what)
    do.deliver_next_frame()
    do.deliver_all_frames()
    do.fill(ticker=TICKER, side=BID, share=2)
    do.amend(at=0, price=42, count=1)
    do.next_request_meets("lose_reply")
    do.cancel(at=0)
    do.exchange_cancel(at=0)
    do.foreign_trade(ticker=TICKER, side=BID, price=35)
    do.trip_group(is_reset=False)
    do.trip_group(is_reset=True)
    do.pause(kind="trading")
    do.pause(kind="exchange")
    do.pause_ends()
    do.lose_stream()
    do.reconcile(is_stale=True)
    do.second_instance()
    do.holds()
    do.close_market(OTHER)
    do.settle_market(OTHER, value=10_000, is_disputed=True)
    do.person_decides(TradingState.REDUCING)
    do.kill()
    do.carry_on()
    do.crash_and_restart()
    do.advance_clock(70)
    do.holds()
    wanted = {
        "place",
        "amend",
        "cancel",
        "partial_fill",
        "exchange_cancel",
        "foreign_trade",
        "trip_group",
        "reset_group",
    }
    wanted |= {"drop frame", "duplicate frame", "reorder frame", "pause of trading", "pause of exchange", "dispute"}
    wanted |= {"reset_group", "kill", "kill is clean", "crash", "second_instance", "lose_reply on delete"}
    assert wanted - set(machine.stage.seen) == set()


def test_an_order_that_expired_ends_once_although_two_programs_see_its_end() -> None:
    """The lookup of the kill switch reads "canceled"; the stream of the loop, which was late, says that it expired."""
    do = Machine()
    do.begin(client_ids="forever", lag_ms=0)
    do.amend(at=0, price=44, count=1)  # it trades
    do.next_request_meets("lose_request")
    do.amend(at=0, price=35, count=1)  # its order is never seen, and has to be looked up
    do.amend(at=0, price=44, count=1)  # it rests
    do.next_request_meets("lose_request")
    do.settle_market(OTHER, value=0, is_disputed=True)  # takes longer than the order lasts
    do.amend(at=0, price=44, count=1)
    assert [order.code for order in do.stage.ours().values()].count(AMEND_UNANSWERED) == 1
    do.kill()
    do.holds()
    do.deliver_all_frames()
    do.holds()
    do.teardown()


def test_nothing_is_sent_once_a_halt_is_committed(machine: Machine) -> None:
    machine.person_decides(TradingState.HALTED)
    machine.place(ticker=TICKER, side=BID, price=42, count=1, tif=TimeInForce.GTC)
    assert machine.stage.seen["place"] == 0
    machine.carry_on()
    machine.place(ticker=TICKER, side=BID, price=42, count=1, tif=TimeInForce.GTC)
    assert machine.stage.seen["place"] == 1


def test_money_from_nowhere_is_found(machine: Machine) -> None:
    machine.stage.exchange.deposit("bob", dollars(1))
    with pytest.raises(AssertionError, match="money came from nowhere"):
        machine.holds()
    machine.stage.wealth += dollars(1)  # type: ignore[assignment]


def test_a_second_order_under_one_id_is_found(machine: Machine) -> None:
    machine.place(ticker=TICKER, side=BID, price=44, count=1, tif=TimeInForce.IOC)
    (name,) = machine.stage.model
    order = NewOrder(
        ticker=TICKER, side=BID, price=cents(44), qty=contracts(1), tif=TimeInForce.IOC, client_order_id=name
    )
    assert isinstance(machine.stage.exchange.submit("alice", order, machine.stage.clock.now()), OrderReceipt)
    with pytest.raises(AssertionError, match="2 orders on the exchange"):
        machine.holds()
    machine.stage.model[name]["most"] = 2


def test_a_limit_that_is_broken_at_the_exchange_is_found(machine: Machine) -> None:
    order = NewOrder(ticker=TICKER, side=BID, price=cents(30), qty=contracts(90))
    assert isinstance(machine.stage.exchange.submit("alice", order, machine.stage.clock.now()), OrderReceipt)
    with pytest.raises(AssertionError, match="I-RISK"):
        machine.holds()
