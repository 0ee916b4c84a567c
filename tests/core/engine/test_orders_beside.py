"""What other programs of ours placed or amended counts in every limit as soon as the state file tells of it."""

from __future__ import annotations

from typing import Any

import pytest
from support.values import NOW, Scripted, make_book, make_engine, make_fill, make_order

from kalshi_cli.base.units import Qty, cents, contracts
from kalshi_cli.core.account.open_amends import worse_case_terms
from kalshi_cli.core.model.effects import OrderRefused, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import AmendEnded, ExternalOrders, Filled, OrderAccepted, OrderState
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits


def placed(**changes: Any) -> Order:
    return make_order("theirs", status=OrderStatus.SUBMITTED, **changes)


def bid(qty: int) -> Place:
    return Place("KXA-1", BID, cents(40), contracts(qty), reason="typed")


def test_an_order_of_another_program_takes_its_part_of_the_limits() -> None:
    engine = make_engine(limits=RiskLimits(max_position=contracts(15), max_order_qty=None))
    engine.step(make_book())
    assert engine.step(ExternalOrders(NOW, (placed(),))) == []
    refused = engine.place(bid(10))
    assert isinstance(refused, OrderRefused)
    assert refused.code == "POSITION_LIMIT"
    assert isinstance(engine.place(bid(5)), SubmitOrder)


def test_it_counts_for_the_pace_too_and_only_once() -> None:
    engine = make_engine(limits=RiskLimits(max_orders_per_minute=2))
    engine.step(make_book())
    for _ in range(3):
        engine.step(ExternalOrders(NOW, (placed(),)))
    assert isinstance(engine.place(bid(5)), SubmitOrder)
    refused = engine.place(bid(5))
    assert isinstance(refused, OrderRefused)
    assert refused.code == "ORDER_RATE"


def test_what_the_exchange_named_since_is_known_by_that_name() -> None:
    engine = make_engine()
    engine.step(ExternalOrders(NOW, (placed(),)))
    engine.step(ExternalOrders(NOW, (make_order("theirs", order_id="o1"),)))
    (order,) = engine.state.orders.live()
    assert (order.order_id, order.status) == ("o1", OrderStatus.RESTING)


def test_a_file_that_trails_takes_nothing_back() -> None:
    engine = make_engine()
    engine.step(ExternalOrders(NOW, (placed(),)))
    engine.step(OrderState(NOW, make_order("theirs", order_id="o1", status=OrderStatus.CANCELED)))
    engine.step(ExternalOrders(NOW, (placed(),)))
    assert engine.state.orders.live() == []


def test_an_order_that_is_amended_elsewhere_counts_as_the_worse_of_both_until_it_is_known() -> None:
    engine = make_engine()
    before = make_order("theirs", order_id="o1")
    wanted = make_order("theirs", order_id="o1", price=cents(41), qty=contracts(4))
    engine.step(ExternalOrders(NOW, (before,)))
    engine.step(ExternalOrders(NOW, (worse_case_terms(before, wanted, NOW),)))
    (order,) = engine.state.orders.live()
    assert (order.price, order.remaining, order.status) == (cents(41), contracts(10), OrderStatus.UNKNOWN)
    engine.step(AmendEnded(NOW, wanted))
    (order,) = engine.state.orders.live()
    assert (order.price, order.remaining, order.status) == (cents(41), contracts(4), OrderStatus.RESTING)


def test_an_amend_of_an_order_that_had_no_name_yet_here_counts_as_well() -> None:
    engine = make_engine()
    wanted = make_order("theirs", order_id="o1", qty=contracts(25))
    engine.step(ExternalOrders(NOW, (placed(),)))
    engine.step(ExternalOrders(NOW, (worse_case_terms(make_order("theirs", order_id="o1"), wanted, NOW),)))
    (order,) = engine.state.orders.live()
    assert (order.order_id, order.remaining, order.status) == ("o1", contracts(25), OrderStatus.UNKNOWN)


def test_an_order_of_strangers_that_a_person_amends_counts_too() -> None:
    engine = make_engine()
    strange = make_order("", order_id="o1", is_foreign=True)
    wanted = make_order("", order_id="o1", is_foreign=True, qty=contracts(20))
    engine.step(ExternalOrders(NOW, (worse_case_terms(strange, wanted, NOW),)))
    (order,) = engine.state.orders.live()
    assert (order.remaining, order.is_foreign) == (contracts(20), True)


def test_an_order_says_under_which_trading_state_it_was_reviewed() -> None:
    engine = make_engine()
    engine.step(make_book())
    reviewed = engine.place(bid(5))
    assert isinstance(reviewed, SubmitOrder)
    assert reviewed.reviewed is TradingState.ACTIVE


@pytest.mark.parametrize("is_typed_here", [True, False])
def test_a_fill_of_a_manual_order_is_no_fill_of_the_run(is_typed_here: bool) -> None:
    engine = make_engine(Scripted("one"))
    if is_typed_here:
        engine.step(ExternalOrders(NOW, (make_order("typed", order_id="o1"),)))
    engine.step(Filled(NOW, make_fill("t1", order_id="o1", side=BID, qty=contracts(2))))
    engine.step(Filled(NOW, make_fill("t2", order_id="o1", side=ASK, qty=contracts(2))))
    tally = engine.tally
    assert (tally.fills, tally.contracts, tally.win_rate) == (0, 0, None)


def test_a_fill_of_a_strategy_counts_also_when_its_order_becomes_known_later() -> None:
    engine = make_engine(Scripted("one"))
    engine.step(Filled(NOW, make_fill("t1", order_id="o1", side=BID, qty=contracts(2))))
    engine.step(ExternalOrders(NOW, (make_order("ours", order_id="", strategy="one"),)))
    engine.step(OrderAccepted(NOW, "ours", "o1", Qty(0), contracts(10)))
    engine.step(Filled(NOW, make_fill("t2", order_id="o1", side=BID, qty=contracts(2))))
    assert (engine.tally.fills, engine.tally.contracts) == (2, contracts(4))


def test_an_unsent_order_is_reviewed_again_under_its_id_with_the_manual_order_counted() -> None:
    engine = make_engine(limits=RiskLimits(max_position=contracts(15), max_order_qty=None, min_edge=None))
    engine.step(make_book())
    unsent = engine.place(bid(10), strategy="one")
    assert isinstance(unsent, SubmitOrder)
    (again,) = engine.step(ExternalOrders(NOW, (placed(qty=contracts(5)),), (unsent,)))
    assert isinstance(again, SubmitOrder)
    assert (again.order.client_order_id, again.order.strategy) == (unsent.order.client_order_id, "one")
    assert (engine.tally.intents, engine.tally.orders) == (1, 1), "one order, reviewed twice"


def test_an_unsent_order_is_refused_where_a_manual_order_took_the_limit() -> None:
    engine = make_engine(limits=RiskLimits(max_position=contracts(15), max_order_qty=None, min_edge=None))
    engine.step(make_book())
    unsent = engine.place(bid(10), strategy="one")
    assert isinstance(unsent, SubmitOrder)
    (refused,) = engine.step(ExternalOrders(NOW, (placed(),), (unsent,)))
    assert isinstance(refused, OrderRefused)
    assert refused.code == "POSITION_LIMIT"
    assert (engine.tally.intents, engine.tally.orders) == (1, 0)
