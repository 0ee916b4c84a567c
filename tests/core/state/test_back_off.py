"""While API_GUARD holds strategies send what closes at the pace of an exponential back-off; people do not wait."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from support.values import NOW, Scripted, make_book, make_engine, make_fill, make_order

from kalshi_cli.base.units import Qty, Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AmendOrder, CloseOrder, Effect, OrderRefused, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Amend, Close, Place
from kalshi_cli.core.model.messages import (
    AmendEnded,
    Filled,
    OrderAccepted,
    OrderUnknown,
    ReadFailed,
    StateCommand,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits

REDUCING = TradingState.REDUCING
OUT = Place("KXA-1", ASK, cents(40), contracts(1), tif=TimeInForce.IOC, reduce_only=True)


class Loop:
    """The strategy `s` holds a hundred contracts; `trip` makes API_GUARD hold."""

    def __init__(self, limits: RiskLimits | None = None) -> None:
        self.who = Scripted("s")
        self.engine: TradingEngine = make_engine(
            self.who, limits=limits or RiskLimits(min_edge=None, max_api_errors=2, max_order_qty=None)
        )
        self.engine.step(make_book())
        fill = make_fill(order_id="old", qty=contracts(100))
        self.engine.step(Filled(NOW, fill))
        self.engine.state.record_own_fill("s", fill)

    @property
    def now(self) -> Ts:
        return self.engine.state.now

    def trip(self) -> None:
        for _ in range(2):
            self.engine.step(ReadFailed(self.now, "503"))
        assert self.engine.state.trading is REDUCING

    def at(self, ms: int, *wants: Any) -> list[Effect]:
        """So long after the beginning, with a fresh book."""
        self.engine.step(Tick(Ts(NOW + ms)))
        self.engine.step(make_book(ts=NOW + ms))
        self.who.wants += wants
        return self.engine.step(Tick(Ts(NOW + ms)))

    def sends(self, ms: int, *wants: Any) -> bool:
        return any(isinstance(effect, SubmitOrder | AmendOrder) for effect in self.at(ms, *(wants or (OUT,))))

    def lose(self) -> None:
        """The last order gets no answer."""
        order = self.engine.state.orders.live()[-1]
        self.engine.step(OrderUnknown(self.now, order.client_order_id, f"no answer {self.now}"))

    def answer(self) -> None:
        """The exchange takes the last order, and nothing fills."""
        order = self.engine.state.orders.live()[-1]
        self.engine.step(OrderAccepted(self.now, order.client_order_id, f"x{self.now}", Qty(0), Qty(0)))


def sent_at(loop: Loop, upto_ms: int, step_ms: int = 500) -> list[int]:
    """When orders leave where one is asked for every half second and none is answered."""
    found = []
    for ms in range(0, upto_ms, step_ms):
        if loop.sends(ms):
            found.append(ms)
            loop.lose()
    return found


def codes(effects: Iterable[Effect]) -> list[str]:
    return [effect.code for effect in effects if isinstance(effect, OrderRefused)]


def test_without_the_guard_what_closes_goes_as_often_as_it_is_asked_for() -> None:
    loop = Loop()
    loop.engine.state.trading = REDUCING
    assert sent_at(loop, 1_000) == [0, 500]


def test_unanswered_orders_go_further_and_further_apart() -> None:
    loop = Loop()
    loop.trip()
    assert sent_at(loop, 200_000) == [1_000, 3_000, 7_000, 15_000, 31_000, 63_000, 123_000, 183_000]


def test_the_pace_begins_anew_after_a_success() -> None:
    loop = Loop()
    loop.trip()
    assert sent_at(loop, 10_000) == [1_000, 3_000, 7_000]
    assert loop.sends(15_000)
    loop.answer()
    assert [ms for ms in range(15_500, 17_500, 500) if loop.sends(ms)] == [16_000]
    assert [ms for ms in range(17_500, 20_500, 500) if loop.sends(ms)] == [18_000], "that one was not answered"


def test_the_wait_is_said() -> None:
    loop = Loop()
    loop.trip()
    (denied,) = [effect for effect in loop.at(400, OUT) if isinstance(effect, OrderRefused)]
    assert (denied.code, denied.detail, denied.strategy) == ("API_GUARD", "the next order may be sent in 600 ms", "s")


def test_all_strategies_have_one_pace() -> None:
    loop = Loop()
    loop.trip()
    assert codes(loop.at(1_000, OUT, OUT)) == ["API_GUARD"]


def test_an_amend_waits_as_an_order_does_and_its_answer_is_a_success() -> None:
    loop = Loop()
    order = make_order("c1", order_id="o1", side=ASK, price=cents(45), strategy="s", status=OrderStatus.RESTING)
    loop.engine.state.orders.add(order)
    loop.trip()
    worse, better = (Amend("o1", cents(at), order.qty) for at in (46, 44))
    assert codes(loop.at(500, worse, better)) == ["API_GUARD"] * 2
    assert loop.sends(1_000, worse)
    loop.engine.step(AmendEnded(loop.now, order, "rate_limited"))
    assert codes(loop.at(2_500, better)) == ["API_GUARD"], "it was refused"
    assert loop.sends(3_000, better)
    loop.engine.step(AmendEnded(loop.now, order))
    assert loop.sends(4_000)


def test_a_person_does_not_wait() -> None:
    loop = Loop()
    loop.trip()
    for _ in range(3):
        assert isinstance(loop.engine.place(OUT), SubmitOrder)
    close = Close("KXA-1", cents(40), contracts(1), held=contracts(97))
    assert isinstance(loop.engine.close(close), CloseOrder)
    assert loop.sends(1_000), "nor do strategies wait for what people send"


def test_a_resume_ends_it() -> None:
    loop = Loop()
    loop.trip()
    loop.engine.step(StateCommand(loop.now, TradingState.ACTIVE, "resume"))
    assert sent_at(loop, 1_000) == [0, 500]


@pytest.mark.parametrize(("code", "sent"), [("API_GUARD", [1_000]), ("DAILY_LOSS", [0, 500, 1_000])])
def test_it_holds_also_where_another_program_met_it_and_for_no_other_guard(code: str, sent: list[int]) -> None:
    loop = Loop()
    loop.engine.step(StateCommand(loop.now, REDUCING, code))
    assert [ms for ms in (0, 500, 1_000) if loop.sends(ms)] == sent


def test_a_clock_that_is_set_back_holds_nobody_for_longer_than_the_longest_wait() -> None:
    loop = Loop()
    loop.engine.step(Tick(Ts(NOW + 3_600_000)))
    loop.trip()
    assert loop.sends(0)


def test_a_second_trip_does_not_begin_the_pace_anew() -> None:
    loop = Loop()
    loop.trip()
    assert sent_at(loop, 8_000) == [1_000, 3_000, 7_000]
    state = loop.engine.state
    loop.engine.step(ReadFailed(loop.now, "a"))
    moved = [each for each in loop.engine.step(ReadFailed(loop.now, "b")) if isinstance(each, StateChanged)]
    assert state.back_off is not None
    assert (moved, state.back_off.left_ms(state.now)) == ([], 7_500)
