"""Strategies that run together share the order rate: each borrows what the others leave, and none starves another."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import NOW, Scripted, make_book, make_engine, make_fill, make_order

from kalshi_cli.base.units import Qty, Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AmendOrder, OrderRefused, SubmitOrder
from kalshi_cli.core.model.intents import Amend, Place
from kalshi_cli.core.model.messages import AmendEnded, Filled, OrderAccepted, Tick
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import AN_AMEND_IN_PLACE, AN_ORDER, SentOrder

ALL = RiskLimits(min_edge=None, max_exposure=None, max_position=None, max_orders_per_minute=10)
OF_ONE_MARKET = RiskLimits(
    min_edge=None, max_exposure=None, max_position=None, max_orders_per_minute=None, max_market_orders_per_minute=10
)
BUY = Place("KXA-1", BID, cents(40), contracts(1))


def loop(*names: str, limits: RiskLimits = ALL) -> tuple[TradingEngine, dict[str, Scripted]]:
    strategies = {name: Scripted(name) for name in names}
    engine = make_engine(*strategies.values(), limits=limits)
    engine.step(make_book())
    return engine, strategies


def ask(engine: TradingEngine, who: Scripted, *wants: Any) -> list[str]:
    """What became of each: sent, amended, or the code of what refused it."""
    who.wants += wants
    words = {SubmitOrder: "sent", AmendOrder: "amended"}
    effects = [
        each
        for each in engine.step(Tick(engine.state.now))
        if isinstance(each, SubmitOrder | AmendOrder | OrderRefused)
    ]
    return [each.code if isinstance(each, OrderRefused) else words[type(each)] for each in effects]


@pytest.mark.parametrize(("limits", "code"), [(ALL, "ORDER_RATE"), (OF_ONE_MARKET, "MARKET_RATE")])
def test_a_noisy_strategy_borrows_what_the_other_leaves_but_for_what_is_kept_for_that(
    limits: RiskLimits, code: str
) -> None:
    """Of ten each has five; of these three are kept for it at any time."""
    engine, who = loop("noisy", "calm", limits=limits)
    assert ask(engine, who["noisy"], *[BUY] * 20) == ["sent"] * 7 + [code] * 13
    assert ask(engine, who["calm"], *[BUY] * 4) == ["sent"] * 3 + [code]
    at(engine, NOW + 60_001)
    assert engine.state.sent_last_minute().total() == 0


def test_what_was_borrowed_goes_first_to_whoever_has_not_had_its_share() -> None:
    """The noisy one asks first, each time, and gets nothing before the calm one has had its five."""
    engine, who = loop("noisy", "calm")
    for second in range(7):
        at(engine, NOW + second * 1_000)
        assert ask(engine, who["noisy"], BUY) == ["sent"]
    assert ask(engine, who["calm"], *[BUY] * 4) == ["sent"] * 3 + ["ORDER_RATE"]
    for second in (60, 61):
        at(engine, NOW + second * 1_000)
        assert ask(engine, who["noisy"], BUY) == ["ORDER_RATE"]
        assert ask(engine, who["calm"], BUY, BUY) == ["sent", "ORDER_RATE"]
    at(engine, NOW + 62_000)
    assert ask(engine, who["noisy"], BUY) == ["sent"], "both have five"


def test_one_that_has_sent_half_of_its_share_has_all_of_it_kept() -> None:
    engine, who = loop("noisy", "calm")
    assert ask(engine, who["calm"], *[BUY] * 3) == ["sent"] * 3
    assert ask(engine, who["noisy"], *[BUY] * 6) == ["sent"] * 5 + ["ORDER_RATE"]
    assert ask(engine, who["calm"], *[BUY] * 3) == ["sent"] * 2 + ["ORDER_RATE"]


@given(asked=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9_000)), max_size=200), limit=st.integers(0, 14))
def test_no_minute_ever_has_more_orders_than_the_limit_and_each_has_half_of_its_share(
    asked: list[tuple[str, int]], limit: int
) -> None:
    engine, who = loop(*"abc", limits=msgspec.structs.replace(ALL, max_orders_per_minute=limit))
    sent: list[tuple[int, str]] = []
    for name, wait in asked:
        now = engine.state.now + wait
        at(engine, now)
        recent = [by for ts, by in sent if ts > now - 60_000]
        if ask(engine, who[name], BUY) == ["sent"]:
            sent.append((now, name))
            assert len(recent) < limit
        elif limit >= 3:
            assert recent.count(name) >= (limit // 3 + 1) // 2


def at(engine: TradingEngine, now: int) -> None:
    engine.step(Tick(Ts(now)))
    engine.step(make_book(ts=now))


def test_what_was_sent_is_forgotten_within_a_minute_also_after_the_clock_was_set_back() -> None:
    engine, who = loop("noisy")
    assert ask(engine, who["noisy"], *[BUY] * 10) == ["sent"] * 10
    engine.step(Tick(Ts(NOW - 3_600_000)))
    assert engine.state.sent_last_minute().total() == 10 * AN_ORDER, "it was sent a moment ago"
    engine.step(Tick(Ts(NOW - 3_540_000)))
    assert engine.state.sent_last_minute().total() == 0


def test_what_is_kept_for_others_is_said() -> None:
    engine, who = loop("noisy", "calm")
    who["noisy"].wants += [BUY] * 8
    (denied,) = [each for each in engine.step(Tick(NOW)) if isinstance(each, OrderRefused)]
    assert (denied.strategy, denied.detail) == (
        "noisy",
        "7 orders in the last 60 s (7 of this strategy) and 3 reserved for other strategies; the limit is 10",
    )


def test_more_orders_than_the_limit_are_explained() -> None:
    engine, who = loop("noisy")
    for number in range(12):
        engine.state.count_sent(SentOrder.of(make_order(f"c{number}", strategy="noisy")))
    who["noisy"].wants += [BUY]
    (denied,) = [each for each in engine.step(Tick(NOW)) if isinstance(each, OrderRefused)]
    assert denied.detail == (
        "12 orders in the last 60 s (12 of this strategy), closes and amends that only lower a price or size included; "
        "the limit for all other orders is 10"
    )


@pytest.mark.parametrize(("limits", "code"), [(ALL, "ORDER_RATE"), (OF_ONE_MARKET, "MARKET_RATE")])
def test_one_strategy_alone_has_all_of_it(limits: RiskLimits, code: str) -> None:
    engine, who = loop("noisy", limits=limits)
    assert ask(engine, who["noisy"], *[BUY] * 12) == ["sent"] * 10 + [code] * 2


def test_what_people_send_is_taken_from_all() -> None:
    engine, who = loop("noisy", "calm")
    assert [type(engine.place(BUY)) for _ in range(8)] == [SubmitOrder] * 8
    assert ask(engine, who["noisy"], *[BUY] * 3) == ["sent"] * 2 + ["ORDER_RATE"]
    assert ask(engine, who["calm"], BUY) == ["ORDER_RATE"]
    assert isinstance(engine.place(BUY), OrderRefused), "nor does a person pass it"


def amend(engine: TradingEngine, who: Scripted, price: int, qty: int, expires: Ts | None = None) -> list[str]:
    """Ask to amend the order `o1`; where that passes, the exchange takes it."""
    found = ask(engine, who, Amend("o1", cents(price), contracts(qty), expires=expires))
    if found == ["amended"]:
        before = engine.state.orders.by_order_id("o1")
        assert before is not None
        now = make_order(before.client_order_id, order_id="o1", price=cents(price), qty=contracts(qty),
                          strategy=who.name, status=OrderStatus.RESTING, expires=expires or before.expires)  # fmt: skip
        engine.step(AmendEnded(NOW, now))
    return found


def rest(engine: TradingEngine, who: Scripted, intent: Place = BUY) -> None:
    """It is on the book as `o1`."""
    who.wants.append(intent)
    (order,) = [each.order for each in engine.step(Tick(NOW)) if isinstance(each, SubmitOrder)]
    engine.step(OrderAccepted(NOW, order.client_order_id, "o1", Qty(0), order.qty))


def test_an_amend_that_lowers_the_price_passes_and_is_not_at_the_other_s_expense() -> None:
    """It loses its place in the queue, as a new order would; the strategy itself has had so much."""
    engine, who = loop("noisy", "calm")
    rest(engine, who["noisy"])
    for price in range(39, 19, -1):
        assert amend(engine, who["noisy"], price, 1) == ["amended"]
    assert engine.state.sent_last_minute(asked_by="noisy").total() == 21 * AN_ORDER
    assert ask(engine, who["noisy"], BUY) == ["ORDER_RATE"]
    assert ask(engine, who["calm"], *[BUY] * 8) == ["sent"] * 7 + ["ORDER_RATE"]


def test_an_amend_that_keeps_its_place_counts_for_a_tenth_of_an_order() -> None:
    engine, who = loop("one", "two")
    rest(engine, who["one"], msgspec.structs.replace(BUY, qty=contracts(20)))
    for qty in range(19, 14, -1):
        assert amend(engine, who["one"], 40, qty) == ["amended"]
    for life in range(1, 6):
        assert amend(engine, who["one"], 40, 15, Ts(NOW + 90_000 + life)) == ["amended"]
    assert engine.state.sent_last_minute(asked_by="one") == {"one": 20}
    assert amend(engine, who["one"], 41, 15) == ["amended"], "for a better price it goes to the end"
    assert engine.state.sent_last_minute() == {"one": 25}, "what only makes it smaller takes nothing from the other"
    assert engine.state.sent_last_minute(asked_by="one") == {"one": 30}


def test_a_longer_life_is_held_against_the_rate() -> None:
    """Else a loop that prolongs at each tick would never end."""
    engine, who = loop("one", limits=msgspec.structs.replace(ALL, max_orders_per_minute=2))
    rest(engine, who["one"])
    assert amend(engine, who["one"], 40, 1, Ts(NOW + 91_000)) == ["amended"]
    assert amend(engine, who["one"], 40, 1, Ts(NOW + 92_000)) == ["ORDER_RATE"]


def test_an_amend_that_lets_an_order_never_expire_is_at_the_others_expense() -> None:
    """No time is later than never: it passed the rate, so it takes from what the others have."""
    engine, who = loop("one", "two")
    rest(engine, who["one"])
    assert amend(engine, who["one"], 40, 1, Ts(0)) == ["amended"]
    assert engine.state.sent_last_minute() == {"one": AN_ORDER + AN_AMEND_IN_PLACE}


@pytest.mark.parametrize("later_ms", [0, 10_000, -20_000])
def test_of_two_requests_of_one_instant_and_market_the_one_that_did_not_leave_is_taken_back(later_ms: int) -> None:
    """Also after the clock was set, which changes the times of what was sent."""
    engine, who = loop("one")
    rest(engine, who["one"])
    engine.step(Tick(Ts(NOW + 1_000)))
    assert amend(engine, who["one"], 40, 1, Ts(NOW + 91_000)) == ["amended"]
    who["one"].wants.append(BUY)
    (order,) = [each.order for each in engine.step(Tick(engine.state.now)) if isinstance(each, SubmitOrder)]
    engine.step(Tick(Ts(NOW + later_ms)))
    engine.state.sent_last_minute()
    engine.take_back(order)
    assert engine.state.sent_last_minute(asked_by="one") == {"one": AN_ORDER + AN_AMEND_IN_PLACE}


def test_what_only_closes_passes_the_rate_and_is_not_at_the_other_s_expense() -> None:
    engine, who = loop("noisy", "calm")
    fill = make_fill(order_id="old", qty=contracts(10))
    engine.step(Filled(NOW, fill))
    engine.state.record_own_fill("noisy", fill)
    assert ask(engine, who["noisy"], *[BUY] * 8) == ["sent"] * 7 + ["ORDER_RATE"]
    assert ask(engine, who["noisy"], *[Place("KXA-1", ASK, cents(44), contracts(1))] * 5) == ["sent"] * 5
    assert ask(engine, who["calm"], *[BUY] * 4) == ["sent"] * 3 + ["ORDER_RATE"]


def test_a_quote_that_only_closes_is_moved_at_nobody_s_expense() -> None:
    engine, who = loop("one", "two", limits=msgspec.structs.replace(ALL, max_orders_per_minute=2))
    fill = make_fill(order_id="old", qty=contracts(10))
    engine.step(Filled(NOW, fill))
    engine.state.record_own_fill("one", fill)
    rest(engine, who["one"], Place("KXA-1", ASK, cents(44), contracts(1)))
    who["one"].wants.append(Amend("o1", cents(43), contracts(1)))
    assert any(isinstance(each, AmendOrder) for each in engine.step(Tick(NOW)))
    assert engine.state.sent_last_minute() == {}
    assert ask(engine, who["two"], BUY) == ["sent"]


def test_where_there_are_more_strategies_than_orders_each_may_send_one_while_there_are_any() -> None:
    engine, who = loop("a", "b", "c", limits=RiskLimits(min_edge=None, max_orders_per_minute=2))
    assert [ask(engine, who[name], BUY, BUY) for name in "abc"] == [
        ["sent", "ORDER_RATE"], ["sent", "ORDER_RATE"], ["ORDER_RATE"] * 2,
    ]  # fmt: skip
    engine, who = loop("a", "b", limits=RiskLimits(min_edge=None, max_orders_per_minute=0))
    assert ask(engine, who["a"], BUY) == ["ORDER_RATE"]
