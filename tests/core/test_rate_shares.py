"""Strategies that run together share the order rate: however much one of them sends, the others keep theirs."""

from __future__ import annotations

from typing import Any

import pytest
from core_build import NOW, Build, Scripted

from kalshi_cli.core.engine import Engine
from kalshi_cli.core.messages import (
    Amend,
    AmendEnded,
    AmendOrder,
    Denied,
    Filled,
    OrderAccepted,
    Place,
    SubmitOrder,
    Tick,
)
from kalshi_cli.core.model import ASK, BID, OrderStatus
from kalshi_cli.core.state import Limits
from kalshi_cli.units import Qty, Ts, cents, contracts

ALL = Limits(min_edge=None, max_exposure=None, max_position=None, max_orders_per_minute=10)
OF_ONE_MARKET = Limits(
    min_edge=None, max_exposure=None, max_position=None, max_orders_per_minute=None, max_market_orders_per_minute=10
)
BUY = Place("KXA-1", BID, cents(40), contracts(1))


def loop(build: Build, *names: str, limits: Limits = ALL) -> tuple[Engine, dict[str, Scripted]]:
    strategies = {name: Scripted(name) for name in names}
    engine = build.engine(*strategies.values(), limits=limits)
    engine.step(build.book())
    return engine, strategies


def ask(engine: Engine, who: Scripted, *wants: Any) -> list[str]:
    """What became of each: sent, amended, or the code of what refused it."""
    who.wants += wants
    words = {SubmitOrder: "sent", AmendOrder: "amended"}
    effects = [each for each in engine.step(Tick(NOW)) if isinstance(each, SubmitOrder | AmendOrder | Denied)]
    return [each.code if isinstance(each, Denied) else words[type(each)] for each in effects]


@pytest.mark.parametrize(("limits", "code"), [(ALL, "ORDER_RATE"), (OF_ONE_MARKET, "MARKET_RATE")])
def test_a_noisy_strategy_leaves_the_other_its_share(build: Build, limits: Limits, code: str) -> None:
    engine, who = loop(build, "noisy", "calm", limits=limits)
    assert ask(engine, who["noisy"], *[BUY] * 20) == ["sent"] * 5 + [code] * 15
    assert ask(engine, who["calm"], *[BUY] * 6) == ["sent"] * 5 + [code]
    engine.step(Tick(Ts(NOW + 60_001)))
    engine.step(build.book(ts=engine.state.now))
    assert engine.state.sent_last_minute().total() == 0


def test_what_was_sent_is_forgotten_within_a_minute_also_after_the_clock_was_set_back(build: Build) -> None:
    engine, who = loop(build, "noisy")
    assert ask(engine, who["noisy"], *[BUY] * 10) == ["sent"] * 10
    engine.step(Tick(Ts(NOW - 3_600_000)))
    assert engine.state.orders_last_minute() == 10, "it was sent a moment ago"
    engine.step(Tick(Ts(NOW - 3_540_000)))
    assert engine.state.orders_last_minute() == 0


def test_the_share_is_said(build: Build) -> None:
    engine, who = loop(build, "noisy", "calm")
    who["noisy"].wants += [BUY] * 6
    (denied,) = [each for each in engine.step(Tick(NOW)) if isinstance(each, Denied)]
    assert (denied.strategy, denied.detail) == ("noisy", "sent=5 share=5 limit=10 window_s=60")


@pytest.mark.parametrize(("limits", "code"), [(ALL, "ORDER_RATE"), (OF_ONE_MARKET, "MARKET_RATE")])
def test_one_strategy_alone_has_all_of_it(build: Build, limits: Limits, code: str) -> None:
    engine, who = loop(build, "noisy", limits=limits)
    assert ask(engine, who["noisy"], *[BUY] * 12) == ["sent"] * 10 + [code] * 2


def test_what_people_send_is_taken_from_all(build: Build) -> None:
    engine, who = loop(build, "noisy", "calm")
    assert [type(engine.place(BUY)) for _ in range(8)] == [SubmitOrder] * 8
    assert ask(engine, who["noisy"], *[BUY] * 3) == ["sent"] * 2 + ["ORDER_RATE"]
    assert ask(engine, who["calm"], BUY) == ["ORDER_RATE"]
    assert isinstance(engine.place(BUY), Denied), "nor does a person pass it"


def test_amends_that_lower_pass_and_are_not_at_the_other_s_expense(build: Build) -> None:
    engine, who = loop(build, "noisy", "calm")
    who["noisy"].wants.append(BUY)
    (order,) = [each.order for each in engine.step(Tick(NOW)) if isinstance(each, SubmitOrder)]
    engine.step(OrderAccepted(NOW, order.client_order_id, "o1", Qty(0), order.qty))
    for price in range(39, 19, -1):
        assert ask(engine, who["noisy"], Amend("o1", cents(price), contracts(1))) == ["amended"]
        now = build.order(order.client_order_id, order_id="o1", price=cents(price), qty=order.qty,
                          strategy="noisy", status=OrderStatus.RESTING)  # fmt: skip
        engine.step(AmendEnded(NOW, now))
    assert engine.state.orders_last_minute() == 21
    assert ask(engine, who["noisy"], BUY) == ["ORDER_RATE"]
    assert ask(engine, who["calm"], *[BUY] * 5) == ["sent"] * 5


def test_what_only_closes_passes_the_share(build: Build) -> None:
    engine, who = loop(build, "noisy", "calm")
    engine.step(Filled(NOW, build.fill(order_id="old", qty=contracts(2))))
    assert ask(engine, who["noisy"], *[BUY] * 6) == ["sent"] * 5 + ["ORDER_RATE"]
    assert ask(engine, who["noisy"], Place("KXA-1", ASK, cents(44), contracts(1))) == ["sent"]


def test_where_there_are_more_strategies_than_orders_each_may_send_one_while_there_are_any(build: Build) -> None:
    engine, who = loop(build, "a", "b", "c", limits=Limits(min_edge=None, max_orders_per_minute=2))
    assert [ask(engine, who[name], BUY, BUY) for name in "abc"] == [
        ["sent", "ORDER_RATE"], ["sent", "ORDER_RATE"], ["ORDER_RATE"] * 2,
    ]  # fmt: skip
    engine, who = loop(build, "a", "b", limits=Limits(min_edge=None, max_orders_per_minute=0))
    assert ask(engine, who["a"], BUY) == ["ORDER_RATE"]
