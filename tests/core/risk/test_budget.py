"""No strategy puts more at risk than its budget, whatever others hold; and what takes risk away always passes."""

from __future__ import annotations

from typing import Any

from support.values import NOW, Scripted, make_book, make_engine, make_fill, make_market, make_state

from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account.sizing import StrategyAllocation
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AmendOrder, Effect, OrderRefused, SubmitOrder
from kalshi_cli.core.model.intents import Amend, Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import Filled, OrderAccepted, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.risk.budget import at_risk
from kalshi_cli.core.state.limits import RiskLimits

FREE = FeeSchedule(multiplier=0)


def loop(**budgets: Money) -> tuple[TradingEngine, dict[str, Scripted]]:
    """Strategies `one` and `two` in a market of 40/44 that charges nothing."""
    names = {name: Scripted(name) for name in ("one", "two")}
    allotments = {name: StrategyAllocation(budget=budget) for name, budget in budgets.items()}
    limits = RiskLimits(min_edge=None, price_collar=None, allotments=allotments)
    state = make_state(make_market(), make_market("KXA-2"), fees={"KXA-1": FREE, "KXA-2": FREE})
    engine = make_engine(*names.values(), limits=limits, state=state)
    for ticker in ("KXA-1", "KXA-2"):
        engine.step(make_book(ticker=ticker))
    return engine, names


def ask(engine: TradingEngine, who: Scripted, *wants: Any) -> list[Effect]:
    who.wants += wants
    return [each for each in engine.step(Tick(NOW)) if isinstance(each, SubmitOrder | AmendOrder | OrderRefused)]


def place(side: Side, price: int, qty: int, ticker: str = "KXA-1") -> Place:
    return Place(ticker, side, cents(price), contracts(qty), fair=cents(50))


def placed(engine: TradingEngine, who: Scripted, side: Side, price: int, qty: int, ticker: str = "KXA-1") -> Order:
    (effect,) = ask(engine, who, place(side, price, qty, ticker))
    assert isinstance(effect, SubmitOrder), effect
    return effect.order


def refused(engine: TradingEngine, who: Scripted, side: Side, price: int, qty: int, ticker: str = "KXA-1") -> str:
    (effect,) = ask(engine, who, place(side, price, qty, ticker))
    assert isinstance(effect, OrderRefused), effect
    assert effect.strategy == who.name
    return effect.code


def filled(engine: TradingEngine, order: Order, qty: int, trade_id: str, ts: Ts = NOW) -> None:
    """The order rests, and trades."""
    name = f"o-{order.client_order_id}"
    engine.step(OrderAccepted(NOW, order.client_order_id, name, Qty(0), order.qty))
    fill = make_fill(
        trade_id, order_id=name, ticker=order.ticker, side=order.side, price=order.price, qty=contracts(qty), ts=ts
    )
    engine.step(Filled(NOW, fill))


def test_orders_that_are_on_their_way_count_in_full() -> None:
    engine, names = loop(one=dollars(10))
    placed(engine, names["one"], BID, 40, 10)
    placed(engine, names["one"], ASK, 50, 10, "KXA-2")
    assert at_risk(engine.state, "one") == dollars(9)
    assert refused(engine, names["one"], BID, 40, 3) == "BUDGET"
    placed(engine, names["one"], BID, 40, 2)


def test_a_strategy_without_a_budget_has_none_and_another_s_does_not_count() -> None:
    engine, names = loop(one=dollars(4))
    placed(engine, names["two"], BID, 40, 50)
    placed(engine, names["one"], BID, 40, 10)
    assert refused(engine, names["one"], BID, 40, 1) == "BUDGET"
    assert at_risk(engine.state, "two") == dollars(20)
    assert at_risk(engine.state, "nobody") == 0


def test_what_is_held_counts_and_what_closes_it_passes() -> None:
    engine, names = loop(one=dollars(4))
    filled(engine, placed(engine, names["one"], BID, 40, 10), 10, "t1")
    assert at_risk(engine.state, "one") == dollars(4)
    assert refused(engine, names["one"], BID, 40, 1) == "BUDGET"
    filled(engine, placed(engine, names["one"], ASK, 44, 1), 1, "t2")
    assert at_risk(engine.state, "one") == dollars("3.60")
    placed(engine, names["one"], ASK, 44, 9)
    assert refused(engine, names["one"], ASK, 44, 11) == "BUDGET", "beyond what it holds it would open the other side"


def test_what_is_closed_again_is_at_risk_no_more() -> None:
    engine, names = loop(one=dollars(4))
    filled(engine, placed(engine, names["one"], BID, 40, 10), 10, "t1")
    filled(engine, placed(engine, names["one"], ASK, 44, 10), 10, "t2")
    assert at_risk(engine.state, "one") == 0
    placed(engine, names["one"], BID, 40, 10)


def test_what_others_hold_on_the_other_side_takes_nothing_off() -> None:
    """Ten bought by one and ten sold by two are nothing for the account, and ten for each of them."""
    engine, names = loop(one=dollars(5), two=dollars(7))
    filled(engine, placed(engine, names["one"], BID, 40, 10), 10, "t1")
    filled(engine, placed(engine, names["two"], ASK, 44, 10), 10, "t2")
    assert engine.state.held("KXA-1") == 0
    assert (at_risk(engine.state, "one"), at_risk(engine.state, "two")) == (dollars(4), dollars("5.60"))
    assert refused(engine, names["one"], BID, 40, 3) == "BUDGET"
    assert refused(engine, names["two"], ASK, 44, 3) == "BUDGET"


def test_what_a_person_closed_is_at_risk_no_more() -> None:
    engine, names = loop(one=dollars(4))
    filled(engine, placed(engine, names["one"], BID, 40, 10), 10, "t1")
    engine.step(Filled(NOW, make_fill("t2", order_id="person", side=ASK, price=cents(44), qty=contracts(4))))
    assert at_risk(engine.state, "one") == dollars("2.40")
    placed(engine, names["one"], BID, 40, 4)
    engine.step(Filled(NOW, make_fill("t3", order_id="person", side=ASK, price=cents(44), qty=contracts(6))))
    assert at_risk(engine.state, "one") == dollars("1.60"), "the order alone"


def test_a_trade_counts_before_its_fill_is_told() -> None:
    engine, names = loop(one=dollars(4))
    order = placed(engine, names["one"], BID, 40, 10)
    engine.step(OrderAccepted(NOW, order.client_order_id, "o1", contracts(10), Qty(0)))
    assert engine.state.orders.live() == []
    assert at_risk(engine.state, "one") == dollars(4)
    assert refused(engine, names["one"], BID, 40, 1) == "BUDGET"
    assert at_risk(engine.state, "two") == 0, "and for nobody else"


def test_fees_are_at_risk_too() -> None:
    engine, names = loop(one=dollars(4))
    engine.state.fees["KXA-1"] = FeeSchedule()
    assert refused(engine, names["one"], BID, 40, 10) == "BUDGET"


def test_an_amend_is_held_to_the_budget_as_what_it_makes_of_the_order() -> None:
    engine, names = loop(one=dollars(5))
    order = placed(engine, names["one"], BID, 40, 10)
    engine.step(OrderAccepted(NOW, order.client_order_id, "o1", Qty(0), contracts(10)))
    (denied,) = ask(engine, names["one"], Amend("o1", cents(40), contracts(13)))
    assert isinstance(denied, OrderRefused)
    assert denied.code == "BUDGET"
    (amend,) = ask(engine, names["one"], Amend("o1", cents(40), contracts(12)))
    assert isinstance(amend, AmendOrder)
    assert at_risk(engine.state, "one") == dollars("4.80"), "the worse of both, until it is known"


def test_a_position_that_a_person_closed_is_no_cover_for_the_next_on_the_other_side() -> None:
    engine, names = loop(one=dollars(6))
    filled(engine, placed(engine, names["one"], BID, 40, 10), 10, "t1")
    engine.step(Filled(NOW, make_fill("typed", order_id="typed", side=ASK, ts=Ts(NOW + 1))))
    assert at_risk(engine.state, "one") == 0
    filled(engine, placed(engine, names["one"], ASK, 40, 10), 10, "t2", ts=Ts(NOW + 2))
    assert at_risk(engine.state, "one") == dollars(6)
    assert refused(engine, names["one"], ASK, 44, 1) == "BUDGET"


def test_positions_without_a_strategy_have_a_maximum_loss_of_their_own() -> None:
    engine, _ = loop()
    engine.step(Filled(NOW, make_fill(side=BID, price=cents(40), qty=contracts(10))))
    assert (at_risk(engine.state, ""), at_risk(engine.state, "one")) == (dollars(4), 0)
