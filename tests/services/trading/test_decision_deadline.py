"""An order that was decided on too long ago, or after somebody asked for a stop, does not leave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.simulation import TICKER, Simulation

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import Message, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.runner import run
from kalshi_cli.services.trading.decision_deadline import DecisionDeadline
from kalshi_cli.strategies.base import Strategy, StrategyParams


class Thinker(Strategy):
    """Wants one bid, at its first tick; meanwhile the time goes by."""

    name = "thinker"

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        super().__init__(StrategyParams())
        self._clock = clock
        self._seconds = seconds

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        self._clock.advance(self._seconds)
        if not view.orders(TICKER):
            yield Place(TICKER, BID, cents(40), contracts(10), reason="a bid")
            self._seconds = 0.0


def traded(sim: Simulation, thinks_s: float, limit_s: float, stopped_by: str = "") -> TradingEngine:
    """Two ticks of a loop whose strategy thinks for so long at the first."""
    sim.market(39, 44)
    decision = DecisionDeadline(sim.clock, limit_s, lambda: stopped_by)
    sim.client = sim.connect(before_create=lambda _reviewed: decision.refuse_if_late())
    strategy = Thinker(sim.clock, thinks_s)
    engine = load_engine(
        sim.client, sim.store, sim.clock, RiskLimits(min_edge=None, max_book_age_ms=60_000),
        markets=[sim.client.market(TICKER)], fees={}, new_id=sim.new_id, strategies=[strategy],
    )  # fmt: skip
    venue = LiveVenue(sim.client, None, sim.clock, live=engine.state.orders.live, since=Ts(0))

    def feed() -> Iterator[Message]:
        yield sim.client.orderbook(TICKER)
        for _ in range(2):
            sim.clock.advance(2)
            yield Tick(sim.clock.now())

    run(decision.over(feed()), engine, venue, sim.store)
    return engine


def test_a_late_order_is_not_sent_and_nothing_is_outstanding_and_the_next_one_goes(sim: Simulation) -> None:
    engine = traded(sim, thinks_s=6.0, limit_s=5.0)
    first, second = sorted(sim.store.orders(), key=lambda order: order.created)
    assert (first.status, first.code) == (OrderStatus.REJECTED, "STALE_DECISION")
    assert second.status is OrderStatus.RESTING
    assert [order.client_order_id for order in engine.state.orders.live()] == [second.client_order_id]
    assert sim.wire.posts() == 1


def test_an_order_in_time_goes(sim: Simulation) -> None:
    traded(sim, thinks_s=4.0, limit_s=5.0)
    assert [order.status for order in sim.store.orders()] == [OrderStatus.RESTING]


def test_after_somebody_asked_for_a_stop_nothing_new_is_sent(sim: Simulation) -> None:
    """The signal came in the middle of a decision: the loop hears of it after that."""
    traded(sim, thinks_s=0.0, limit_s=5.0, stopped_by="SIGTERM")
    assert {order.code for order in sim.store.orders()} == {"STOPPING"}
    assert sim.wire.posts() == 0


def test_time_counts_from_the_message_and_not_from_the_one_before() -> None:
    clock = ManualClock(Ts(1_000))
    decision = DecisionDeadline(clock, 5.0)

    def slow() -> Iterator[Message]:
        for _ in range(3):
            clock.advance(60.0)  # the feed waits as long as it likes
            yield Tick(clock.now())

    for _ in decision.over(slow()):
        decision.refuse_if_late()
        clock.advance(5.0)
        decision.refuse_if_late()
        clock.advance(0.1)
        with pytest.raises(RefusedError) as caught:
            decision.refuse_if_late()
        assert caught.value.code == "STALE_DECISION"


class SleepyClock(ManualClock):
    """Of a host whose monotonic clock stops while it sleeps, as on Linux."""

    def sleep_of_the_host(self, seconds: float) -> None:
        self._now_ms += seconds * 1000


def test_a_decision_grows_old_while_the_host_sleeps() -> None:
    clock = SleepyClock(Ts(1_000))
    decision = DecisionDeadline(clock, 5.0)
    for _ in decision.over([Tick(clock.now())]):
        clock.sleep_of_the_host(4.0)
        decision.refuse_if_late()
        clock.sleep_of_the_host(2.0)
        with pytest.raises(RefusedError) as caught:
            decision.refuse_if_late()
        assert caught.value.code == "STALE_DECISION"
