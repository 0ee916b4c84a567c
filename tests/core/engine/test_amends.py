"""An amend is reviewed as a replacement; until it is known the order counts as the worse of both."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import HOUR, NOW, Scripted, make_balance, make_book, make_engine, make_fill, make_order, make_state

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account.open_amends import AMEND_UNANSWERED, is_amend_open, worse_case_terms
from kalshi_cli.core.account.reconciliation import NEVER_ARRIVED_MARGIN_MS
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AmendOrder, OrderChanged, OrderRefused, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Amend, Cancel, Place
from kalshi_cli.core.model.messages import (
    AccountSnapshot,
    AmendEnded,
    Filled,
    OrderAccepted,
    OrderCanceled,
    OrderState,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK, BID, SelfTradePrevention, Side
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext

S = OrderStatus


def desk(**limits: Any) -> TradingEngine:
    """An engine with a usable book at 40/44, and one order of ours: 10 at 40 resting as `o1`."""
    engine = make_engine(limits=RiskLimits(**({"min_edge": None} | limits)))
    engine.step(make_book())
    rest(engine, BID, 40, 10)
    return engine


def rest(engine: TradingEngine, side: Side, price: int, qty: int, name: str = "c1", order_id: str = "o1") -> Order:
    verdict = engine.place(Place("KXA-1", side, cents(price), contracts(qty)), client_order_id=name)
    assert isinstance(verdict, SubmitOrder), verdict
    engine.step(OrderAccepted(NOW, name, order_id, Qty(0), contracts(qty)))
    found = engine.state.orders.by_order_id(order_id)
    assert found is not None
    return found


def amend(engine: TradingEngine, price: int = 40, qty: int = 10, **more: Any) -> AmendOrder:
    verdict = engine.amend(Amend("o1", cents(price), contracts(qty), **more))
    assert isinstance(verdict, AmendOrder), verdict
    return verdict


def order(engine: TradingEngine, order_id: str = "o1") -> Order:
    found = engine.state.orders.by_order_id(order_id)
    assert found is not None
    return found


# -- the review -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "limits", "price", "qty"),
    [
        ("POSITION_LIMIT", {"max_position": contracts(15)}, 40, 16),
        ("EXPOSURE", {"max_exposure": dollars(4)}, 41, 10),
        ("ORDER_SIZE", {"max_order_qty": contracts(10)}, 40, 11),
        ("ORDER_COST", {"max_order_cost": dollars(4)}, 41, 10),
        ("PRICE_COLLAR", {"price_collar": Price(100)}, 46, 10),
        ("ORDER_RATE", {"max_orders_per_minute": 1}, 41, 10),
        ("STALE_BOOK", {"max_book_age_ms": 0}, 41, 10),
        ("MARKET_CLOSING", {"close_margin_ms": 2 * HOUR}, 41, 10),
    ],
)
def test_what_raises_price_or_size_must_pass_every_limit(
    code: str, limits: dict[str, Any], price: int, qty: int
) -> None:
    engine = desk()
    engine.limits = RiskLimits(min_edge=None, **limits)
    if code == "STALE_BOOK":
        engine.state.now = Ts(NOW + 1)
    verdict = engine.amend(Amend("o1", cents(price), contracts(qty)))
    assert isinstance(verdict, OrderRefused)
    assert (verdict.code, verdict.ticker, engine.tally.denied[code]) == (code, "KXA-1", 1)
    assert order(engine).status is S.RESTING, "a denied amend leaves the order as it was"


@pytest.mark.parametrize("change", [(40, 9), (39, 10), (39, 5), (40, 10)])
def test_what_only_lowers_is_stopped_by_no_limit(change: tuple[int, int]) -> None:
    engine = desk()
    engine.limits = RiskLimits(max_position=Qty(0), max_exposure=dollars(0), max_orders_per_minute=0, max_book_age_ms=0)
    engine.state.trading = TradingState.REDUCING
    assert amend(engine, *change).wanted.remaining == contracts(change[1])


def test_for_an_ask_a_lower_price_is_the_raise() -> None:
    engine = make_engine()
    engine.step(make_book())
    rest(engine, ASK, 50, 10)
    engine.limits = RiskLimits(max_order_cost=dollars(5))
    assert isinstance(engine.amend(Amend("o1", cents(49), contracts(10))), OrderRefused)
    assert isinstance(engine.amend(Amend("o1", cents(51), contracts(10))), AmendOrder)


def test_the_order_that_is_replaced_does_not_stand_in_its_own_way() -> None:
    """Ten at forty and twelve at forty-two together break both limits; only one of them can be live."""
    engine = desk(max_position=contracts(12), max_exposure=dollars("5.2447"))  # with the fee of a taker
    assert amend(engine, 42, 12).wanted.qty == contracts(12)


def test_other_orders_do() -> None:
    engine = desk(max_position=contracts(14))
    rest(engine, BID, 38, 3, "c2", "o2")
    verdict = engine.amend(Amend("o1", cents(40), contracts(12)))
    assert isinstance(verdict, OrderRefused)
    assert verdict.code == "POSITION_LIMIT"
    assert [each.client_order_id for each in engine.state.orders.live("KXA-1")] == ["c1", "c2"], "in their old order"


def test_an_amend_must_not_cross_an_order_of_ours() -> None:
    engine = desk()
    rest(engine, ASK, 43, 1, "c2", "o2")
    verdict = engine.amend(Amend("o1", cents(43), contracts(10)))
    assert isinstance(verdict, OrderRefused)
    assert verdict.code == "SELF_CROSS"


@pytest.mark.parametrize(("price", "qty", "code"), [(Price(4_050), 10, "OFF_GRID_PRICE"), (cents(40), 0, "BAD_COUNT")])
def test_an_order_that_could_not_be_placed_is_not_amended_to(price: Price, qty: int, code: str) -> None:
    verdict = desk().amend(Amend("o1", price, contracts(qty)))
    assert isinstance(verdict, OrderRefused)
    assert verdict.code == code


@pytest.mark.parametrize("change", [(41, 10), (39, 5)])
def test_nothing_is_amended_while_halted(change: tuple[int, int]) -> None:
    engine = desk()
    engine.state.trading = TradingState.HALTED
    verdict = engine.amend(Amend("o1", cents(change[0]), contracts(change[1])))
    assert isinstance(verdict, OrderRefused)
    assert verdict.code == "HALTED"


@pytest.mark.parametrize("state", ["gone", "unknown", "open"])
def test_only_an_order_that_rests_can_be_amended(state: str) -> None:
    engine = desk()
    if state == "gone":
        engine.step(OrderCanceled(NOW, "o1", "c1"))
    if state == "open":
        amend(engine, 41)
    verdict = engine.amend(Amend("o2" if state == "unknown" else "o1", cents(41), contracts(10)))
    assert isinstance(verdict, OrderRefused)
    assert verdict.code == "NOT_RESTING"


def test_an_amend_counts_against_the_order_rate() -> None:
    engine = desk(max_orders_per_minute=2)
    amend(engine, 41)
    assert isinstance(engine.place(Place("KXA-1", BID, cents(39), contracts(1))), OrderRefused)
    assert engine.tally.orders == 2


@pytest.mark.parametrize(("given", "kept"), [(None, NOW + HOUR), (Ts(0), None), (Ts(NOW + 5_000), NOW + 5_000)])
def test_the_expiry_is_kept_taken_away_or_set(given: Ts | None, kept: int | None) -> None:
    engine = desk()
    engine.step(OrderState(NOW, msgspec.structs.replace(order(engine), expires=Ts(NOW + HOUR), updated=NOW)))
    assert amend(engine, 40, 9, expires=given).wanted.expires == kept


def test_what_has_filled_is_part_of_the_new_total() -> None:
    engine = desk()
    engine.step(Filled(NOW, make_fill(qty=contracts(4))))
    engine.step(OrderState(NOW, msgspec.structs.replace(order(engine), status=S.RESTING)))
    wanted = amend(engine, 40, 3).wanted
    assert (wanted.qty, wanted.filled, wanted.remaining, wanted.reduced) == (
        contracts(7),
        contracts(4),
        contracts(3),
        Qty(0),
    )


# -- while nobody knows ---------------------------------------------------------------------------------------------


@given(
    side=st.sampled_from([BID, ASK]),
    before=st.tuples(st.integers(1, 99), st.integers(1, 50)),
    wanted=st.tuples(st.integers(1, 99), st.integers(1, 50)),
    filled=st.integers(0, 20),
)
def test_the_worse_of_both_costs_at_least_as_much_as_either(
    side: Side, before: tuple[int, int], wanted: tuple[int, int], filled: int
) -> None:
    old, new = (
        make_order(side=side, price=cents(p), qty=contracts(q + filled), filled=contracts(filled), order_id="o1")
        for p, q in (before, wanted)
    )

    def reserved(one: Order) -> int:
        state = make_state()
        state.orders.add(one)
        return state.exposure("KXA-1")

    worst = worse_case_terms(old, new, NOW)
    assert reserved(worst) >= max(reserved(old), reserved(new))
    assert worst.remaining == max(old.remaining, new.remaining)
    assert is_amend_open(worst)


def test_an_amend_on_its_way_reserves_the_worse_of_both() -> None:
    engine = desk()
    amend(engine, 42, 5)
    assert engine.state.exposure("KXA-1") == dollars("4.3706"), "it may take now, and pay for that"
    assert engine.state.orders.worst_case("KXA-1") == (contracts(10), Qty(0))
    assert (order(engine).status, order(engine).code) == (S.UNKNOWN, AMEND_UNANSWERED)


def test_a_read_does_not_tell_whether_it_was_before_or_after() -> None:
    engine = desk()
    before = amend(engine, 42, 5).before
    engine.step(OrderState(NOW, msgspec.structs.replace(before, filled=contracts(1), updated=Ts(NOW + 1))))
    assert (order(engine).status, order(engine).price, order(engine).filled) == (S.UNKNOWN, cents(42), contracts(1))
    assert order(engine).qty == contracts(10)


def test_that_the_order_is_over_is_believed_at_once() -> None:
    engine = desk()
    before = amend(engine, 42, 12).before
    over = msgspec.structs.replace(before, status=S.CANCELED, filled=contracts(4), reduced=contracts(6))
    engine.step(OrderState(NOW, over))
    assert (order(engine).status, order(engine).qty, order(engine).code) == (S.CANCELED, contracts(10), "")
    assert engine.state.orders.live() == []


def test_an_amend_that_was_taken_is_the_order_from_then_on() -> None:
    engine = desk()
    wanted = amend(engine, 42, 12, expires=Ts(NOW + HOUR)).wanted
    (changed,) = engine.step(AmendEnded(Ts(NOW + 5), msgspec.structs.replace(wanted, updated=Ts(NOW + 5))))
    assert isinstance(changed, OrderChanged)
    now = order(engine)
    assert (now.status, now.price, now.remaining, now.expires, now.code) == (
        S.RESTING,
        cents(42),
        contracts(12),
        NOW + HOUR,
        "",
    )


def test_an_amend_is_compared_with_the_best_price_at_its_own_decision() -> None:
    engine, quoter = loop()
    assert order(engine).best == cents(44)
    engine.step(make_book(ask=47))
    sent = wanted_by(engine, quoter, 41, 10, fair=cents(50))
    assert isinstance(sent, AmendOrder)
    assert order(engine).best == cents(47), "it may trade before the reply"
    engine.step(AmendEnded(NOW, msgspec.structs.replace(sent.wanted, best=None, fair=None)))
    assert (order(engine).best, order(engine).fair) == (cents(47), cents(50)), "the exchange knows neither"
    assert rest(desk(), ASK, 46, 5, "c2", "o2").best == cents(40), "a sale could take the bid"


def test_a_read_from_before_the_amend_does_not_undo_it() -> None:
    engine = desk()
    sent = amend(engine, 42, 12)
    engine.step(AmendEnded(Ts(NOW + 5), msgspec.structs.replace(sent.wanted, updated=Ts(NOW + 5))))
    engine.step(OrderState(NOW, msgspec.structs.replace(sent.before, updated=NOW)))
    assert (order(engine).price, order(engine).remaining) == (cents(42), contracts(12))


def test_an_amend_that_filled_the_order_ends_it() -> None:
    engine = desk()
    wanted = amend(engine, 44, 10).wanted
    engine.step(AmendEnded(NOW, msgspec.structs.replace(wanted, filled=wanted.qty, status=S.FILLED)))
    assert order(engine).status is S.FILLED
    assert engine.state.held("KXA-1") == contracts(10), "counted before its fills are known"


def test_a_refused_amend_leaves_what_was_with_what_filled_meanwhile() -> None:
    engine = desk()
    before = amend(engine, 42, 12).before
    engine.step(Filled(NOW, make_fill(qty=contracts(2))))
    engine.step(AmendEnded(NOW, before, "invalid_price", "no"))
    now = order(engine)
    assert (now.status, now.price, now.filled, now.remaining) == (S.RESTING, cents(40), contracts(2), contracts(8))


def test_an_answer_to_no_amend_changes_nothing() -> None:
    engine = desk()
    wanted = msgspec.structs.replace(order(engine), price=cents(1))
    assert engine.step(AmendEnded(NOW, wanted)) == []
    assert engine.step(AmendEnded(NOW, msgspec.structs.replace(wanted, order_id="o9"))) == []
    assert order(engine).price == cents(40)


def snapshot(as_of: int, *orders: Order) -> AccountSnapshot:
    return AccountSnapshot(
        Ts(as_of), as_of=Ts(as_of), since=Ts(0), orders=orders, fills=(), settlements=(), positions=(),
        balance=make_balance(),
    )  # fmt: skip


def test_a_read_so_late_that_the_amend_must_be_in_it_ends_the_doubt() -> None:
    engine = desk()
    before = amend(engine, 42, 12).before
    engine.step(snapshot(NOW + NEVER_ARRIVED_MARGIN_MS, before))
    assert is_amend_open(order(engine)), "not late enough"
    engine.step(snapshot(NOW + NEVER_ARRIVED_MARGIN_MS + 1, before))
    assert (order(engine).status, order(engine).price, order(engine).remaining) == (S.RESTING, cents(40), contracts(10))


def test_the_doubt_survives_a_restart() -> None:
    first = desk()
    amend(first, 42, 12)
    after = make_engine()
    after.recall([order(first)], [])
    assert is_amend_open(order(after))
    assert after.state.exposure("KXA-1") == dollars("5.2447")


# -- the terms of an order ------------------------------------------------------------------------------------------


def test_an_order_carries_the_terms_of_its_intent() -> None:
    engine = desk()
    terms: dict[str, Any] = {
        "order_group_id": "g1", "subaccount": 3, "self_trade_prevention": SelfTradePrevention.MAKER,
        "cancel_on_pause": True
    }  # fmt: skip
    verdict = engine.place(Place("KXA-1", BID, cents(39), contracts(1), **terms))
    assert isinstance(verdict, SubmitOrder)
    assert {name: getattr(verdict.order, name) for name in terms} == terms


@pytest.mark.parametrize("field", ["order_group_id", "subaccount", "self_trade_prevention", "cancel_on_pause"])
def test_terms_of_the_wrong_kind_are_refused(field: str) -> None:
    verdict = desk().place(Place("KXA-1", BID, cents(39), contracts(1), **{field: 0.5}))  # type: ignore[arg-type]
    assert isinstance(verdict, OrderRefused)
    assert verdict.code == "BAD_INTENT"


def test_what_is_held_elsewhere_offsets_no_order_of_another_subaccount() -> None:
    """We hold 10 NO in all. A bid of the primary account closes them; one of subaccount 3 may open as many more."""
    engine = make_engine(limits=RiskLimits(min_edge=None, max_position=contracts(15), max_exposure=dollars(11)))
    engine.step(make_book())
    engine.step(Filled(NOW, make_fill(side=ASK, price=cents(40))))
    state = engine.state
    assert isinstance(engine.place(Place("KXA-1", BID, cents(39), contracts(10))), SubmitOrder)
    state.orders.apply(OrderCanceled(NOW, "", "id1"))
    verdict = engine.place(Place("KXA-1", BID, cents(39), contracts(10), subaccount=3))
    assert isinstance(verdict, OrderRefused)
    assert verdict.code == "POSITION_LIMIT"
    engine.limits = RiskLimits(min_edge=None, max_exposure=dollars(9))
    verdict = engine.place(Place("KXA-1", BID, cents(39), contracts(8), subaccount=3))
    assert isinstance(verdict, OrderRefused)
    assert verdict.code == "EXPOSURE"
    state.trading = TradingState.REDUCING
    assert isinstance(engine.place(Place("KXA-1", BID, cents(39), contracts(1), subaccount=3)), OrderRefused)
    assert isinstance(engine.place(Place("KXA-1", BID, cents(39), contracts(1))), SubmitOrder)


# -- a strategy's own -----------------------------------------------------------------------------------------------


def loop(**limits: Any) -> tuple[TradingEngine, Scripted]:
    """A strategy whose order of 10 at 40, worth 44 to it, rests as `o1` until a second after NOW plus 90."""
    quoter = Scripted("quoter")
    engine = make_engine(quoter, limits=RiskLimits(**({"min_edge": None} | limits)))
    engine.step(make_book())
    quoter.wants.append(Place("KXA-1", BID, cents(40), contracts(10), fair=cents(44), post_only=True))
    (submit,) = [effect for effect in engine.step(Tick(NOW)) if isinstance(effect, SubmitOrder)]
    engine.step(OrderAccepted(NOW, submit.order.client_order_id, "o1", Qty(0), contracts(10)))
    return engine, quoter


def wanted_by(engine: TradingEngine, quoter: Scripted, price: int, qty: int, **more: Any) -> AmendOrder | OrderRefused:
    quoter.wants.append(Amend("o1", cents(price), contracts(qty), **more))
    (effect,) = [each for each in engine.step(Tick(NOW)) if isinstance(each, AmendOrder | OrderRefused)]
    return effect


def test_a_strategy_amends_its_own_order_and_goes_on_with_it() -> None:
    engine, quoter = loop()
    sent = wanted_by(engine, quoter, 41, 12, fair=cents(45))
    assert isinstance(sent, AmendOrder)
    assert (sent.wanted.strategy, sent.wanted.price, sent.wanted.remaining) == ("quoter", cents(41), contracts(12))
    assert (sent.wanted.fair, sent.wanted.expires) == (cents(45), sent.before.expires)
    assert engine.state.orders.worst_case("KXA-1") == (contracts(12), 0)
    engine.step(AmendEnded(NOW, sent.wanted))
    (now,) = StrategyContext(engine.state, "quoter").orders("KXA-1")
    assert (now.status, now.price, now.remaining, now.fair) == (S.RESTING, cents(41), contracts(12), cents(45))


@pytest.mark.parametrize(
    ("code", "limits", "change"),
    [
        ("MIN_EDGE", {"min_edge": Price(300)}, (42, 10)),
        ("POSITION_LIMIT", {"max_position": contracts(11)}, (40, 12)),
        ("ORDER_RATE", {"max_orders_per_minute": 1}, (41, 10)),
        ("PRICE_COLLAR", {"price_collar": Price(0)}, (45, 10)),
    ],
)
def test_a_strategy_raises_only_what_it_could_place(code: str, limits: dict[str, Any], change: tuple[int, int]) -> None:
    engine, quoter = loop(**limits)
    denied = wanted_by(engine, quoter, *change)
    assert isinstance(denied, OrderRefused)
    assert (denied.code, denied.strategy, engine.tally.denied[code]) == (code, "quoter", 1)
    assert order(engine).status is S.RESTING


def test_what_it_believes_by_now_is_what_its_edge_is_held_against() -> None:
    engine, quoter = loop(min_edge=Price(300))
    denied = wanted_by(engine, quoter, 42, 10)
    assert isinstance(denied, OrderRefused)
    assert denied.code == "MIN_EDGE", "44 was believed, and no more is"
    assert isinstance(wanted_by(engine, quoter, 42, 10, fair=cents(46)), AmendOrder)


@pytest.mark.parametrize("change", [(40, 9), (39, 10)])
def test_a_strategy_may_always_make_its_order_smaller_or_worse(change: tuple[int, int]) -> None:
    engine, quoter = loop()
    engine.limits = RiskLimits(min_edge=Price(9_000), max_position=Qty(0), max_orders_per_minute=0)
    assert isinstance(wanted_by(engine, quoter, *change), AmendOrder)


def test_what_shall_rest_for_longer_is_held_against_every_control() -> None:
    engine, quoter = loop()
    expires = order(engine).expires
    assert expires is not None
    engine.limits = RiskLimits(min_edge=Price(9_000))
    for later in (Ts(expires + 1), Ts(0)):
        denied = wanted_by(engine, quoter, 40, 9, expires=later)
        assert isinstance(denied, OrderRefused)
        assert denied.code == "MIN_EDGE"
    assert isinstance(wanted_by(engine, quoter, 40, 10, expires=Ts(expires - 1)), AmendOrder)


@pytest.mark.parametrize(
    ("change", "more"),
    [((40, 10), {}), ((40, 9), {"expires": 1.5}), ((40, 9), {"fair": 0.5}), ((40, 9), {"fair": -1})],
)
def test_an_amend_that_makes_no_sense_is_denied(change: tuple[int, int], more: dict[str, Any]) -> None:
    engine, quoter = loop()
    denied = wanted_by(engine, quoter, *change, **more)
    assert isinstance(denied, OrderRefused)
    assert denied.code == "BAD_INTENT"


def test_a_strategy_amends_no_order_of_anybody_else() -> None:
    engine, _ = loop()
    other = Scripted("other")
    assert isinstance(engine.amend(Amend("o1", cents(39), contracts(5)), "other"), OrderRefused)
    assert isinstance(engine.amend(Amend("o1", cents(39), contracts(5)), "quoter"), AmendOrder)
    assert other.wants == []


def test_it_waits_for_the_answer_before_the_next() -> None:
    engine, quoter = loop()
    wanted_by(engine, quoter, 41, 10)
    denied = wanted_by(engine, quoter, 42, 10)
    assert isinstance(denied, OrderRefused)
    assert denied.code == "NOT_RESTING"
    assert "waiting for the response to an earlier request" in denied.detail, "it is not lost"


def test_nothing_is_amended_that_is_being_cancelled() -> None:
    engine, quoter = loop()
    quoter.wants.append(Cancel(order(engine).client_order_id))
    denied = wanted_by(engine, quoter, 39, 10)
    assert isinstance(denied, OrderRefused)
    assert denied.code == "NOT_RESTING"


def test_an_amend_that_is_refused_is_counted_and_its_belief_forgotten() -> None:
    engine, quoter = loop()
    sent = wanted_by(engine, quoter, 41, 10, fair=cents(50))
    assert isinstance(sent, AmendOrder)
    assert order(engine).fair == cents(50)
    engine.step(AmendEnded(NOW, sent.before, "invalid_price", "no"))
    assert (order(engine).fair, order(engine).price, engine.tally.rejected) == (cents(44), cents(40), 1)


def test_an_amend_that_was_not_sent_counts_as_refused() -> None:
    engine, quoter = loop()
    sent = wanted_by(engine, quoter, 41, 10, fair=cents(50))
    assert isinstance(sent, AmendOrder)
    before = engine.tally.orders
    engine.step(AmendEnded(NOW, sent.before, "HALTED", "no"))
    assert (engine.tally.orders, engine.tally.denied, engine.tally.rejected) == (before - 1, {"HALTED": 1}, 0)


def test_the_new_terms_on_the_exchange_end_the_doubt_at_once() -> None:
    """Whoever reads them knows that the amend was taken; the old ones prove nothing yet."""
    engine, quoter = loop()
    sent = wanted_by(engine, quoter, 42, 12, fair=cents(46))
    assert isinstance(sent, AmendOrder)
    as_stated = {"fair": None, "updated": Ts(NOW + 1)}
    engine.step(OrderState(NOW, msgspec.structs.replace(sent.before, **as_stated)))
    assert is_amend_open(order(engine))
    engine.step(OrderState(NOW, msgspec.structs.replace(sent.wanted, filled=contracts(2), **as_stated)))
    now = order(engine)
    assert (now.status, now.code, now.price, now.remaining) == (S.RESTING, "", cents(42), contracts(10))
    assert now.fair == cents(46), "what the exchange cannot know stays"
