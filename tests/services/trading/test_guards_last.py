"""What a guard stopped stays stopped: through a pause, through a crash between two commits, and within one burst."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from support.simulation import TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.units import Money, Qty, cents, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import Effect, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import Filled, Message, OrderAccepted, OrderState, OrderUnknown, StateCommand, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.runner import process_messages
from kalshi_cli.store.pause import pause, remove_pause_file
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies.base import Strategy, StrategyParams

HALTED, REDUCING, ACTIVE = TradingState.HALTED, TradingState.REDUCING, TradingState.ACTIVE


class Ladder(Strategy):
    """Six bids in one answer, once."""

    name = "ladder"
    is_done = False

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        if not self.is_done:
            self.is_done = True
            for cent in range(6):
                yield Place(TICKER, BID, cents(35 + cent), contracts(1), reason="a rung")


def twin_of(order: Order) -> Order:
    return msgspec.structs.replace(order, order_id="twin", status=OrderStatus.RESTING)


def obey(loop: TradingLoop) -> TradingState:
    """As the loop does after each tick: what is on file decides."""
    halt = loop.sim.store.halt()
    loop.take(StateCommand(loop.sim.clock.now(), halt.state, halt.code, halt.reason))
    return loop.engine.state.trading


# -- through a pause --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_double", [True, False])
def test_an_order_that_turns_up_twice_in_a_pause_leaves_a_halt_when_the_pause_ends(
    sim: Simulation, is_double: bool
) -> None:
    sim.market()
    loop = TradingLoop(sim)
    loop.ticks(1)
    [mine] = loop.live
    pause(sim.path.parent, "lunch")
    assert obey(loop) is HALTED
    if is_double:
        loop.take(OrderState(sim.clock.now(), twin_of(mine)))
    remove_pause_file(sim.path.parent)
    halt = sim.store.halt()
    assert (halt.state, halt.code) == ((HALTED, "DOUBLE_ORDER") if is_double else (ACTIVE, ""))
    assert obey(loop) is halt.state


def test_the_first_cause_of_a_halt_stays_on_file(sim: Simulation) -> None:
    sim.market()
    loop = TradingLoop(sim)
    loop.ticks(1)
    [mine] = loop.live
    loop.take(OrderState(sim.clock.now(), mine))
    loop.take(OrderState(sim.clock.now(), twin_of(mine)))
    halt = sim.store.halt()
    third = msgspec.structs.replace(twin_of(mine), order_id="third", qty=contracts(7))
    loop.take(OrderState(sim.clock.now(), third))
    assert [alert.subject for alert in loop.alerts("DOUBLE_ORDER")] == ["twin", "third"]
    assert sim.store.halt() == halt
    assert obey(loop) is HALTED


# -- through a crash between two commits ------------------------------------------------------------------------------

Upset = Callable[[TradingEngine, Simulation], list[Effect]]


def twice(engine: TradingEngine, sim: Simulation) -> list[Effect]:
    """The network delivered a create twice."""
    order = placed(engine, sim)
    engine.step(OrderState(sim.clock.now(), order))
    return engine.step(OrderState(sim.clock.now(), twin_of(order)))


def clash(engine: TradingEngine, sim: Simulation) -> list[Effect]:
    """Under the id of an order without an answer there is another one."""
    order = sent(engine, sim)
    for effect in engine.step(OrderUnknown(sim.clock.now(), order.client_order_id, "timeout")):
        sim.store.record(effect)
    other = msgspec.structs.replace(order, order_id="other", price=cents(39), status=OrderStatus.RESTING)
    return engine.step(OrderState(sim.clock.now(), other))


def sent(engine: TradingEngine, sim: Simulation) -> Order:
    engine.step(sim.client.orderbook(TICKER))
    verdict = engine.place(Place(TICKER, BID, cents(40), contracts(1)))
    assert isinstance(verdict, SubmitOrder)
    sim.store.record(verdict)
    return verdict.order


def placed(engine: TradingEngine, sim: Simulation) -> Order:
    order = sent(engine, sim)
    for effect in engine.step(OrderAccepted(sim.clock.now(), order.client_order_id, "o1", Qty(0), order.qty)):
        sim.store.record(effect)
    known = engine.state.orders.get(order.client_order_id)
    assert known is not None
    return known


def begin(sim: Simulation, limits: RiskLimits | None = None, *strategies: Strategy) -> TradingEngine:
    return load_engine(
        sim.client, sim.store, sim.clock, limits or RiskLimits(min_edge=None), strategies=strategies,
        markets=[sim.client.market(TICKER)], fees={}, new_id=sim.new_id, order_expiry_s=90,
    )  # fmt: skip


@pytest.mark.parametrize("upset", [twice, clash])
@pytest.mark.parametrize("commits", range(4))
def test_a_crash_after_any_commit_loses_no_halt(tmp_path: Path, upset: Upset, commits: int) -> None:
    """Either the halt is on file, or what caused it is not known yet and is met again."""
    sim = Simulation(tmp_path)
    sim.market()
    first = begin(sim)
    effects = upset(first, sim)
    for effect in effects[:commits]:
        sim.store.record(effect)
    sim.store.close()
    sim.store = Store.open(sim.path, account="alice", environment="sim")
    known = sim.store.order("twin" if upset is twice else "other")
    assert sim.store.halt().state is HALTED or known is None
    assert (sim.store.halt().state is HALTED, known is not None) == (commits > 0, commits > 2)
    sim.close()


# -- within one burst -------------------------------------------------------------------------------------------------


def test_creates_that_nobody_answers_end_with_the_third_of_one_decision(sim: Simulation) -> None:
    sim.market()
    loop = TradingLoop(sim, Ladder(StrategyParams()))
    sim.wire.before = lambda request: httpx.Response(503, request=request) if request.method == "POST" else None
    loop.ticks(1)
    assert sim.wire.posts() == 3
    assert sim.store.halt().code == "API_GUARD"
    statuses = [order.status for order in sim.store.orders()]
    assert statuses.count(OrderStatus.UNKNOWN) == 3
    assert len(loop.live) == 3, "those that were held back count no more"


def test_creates_that_are_answered_are_all_sent(sim: Simulation) -> None:
    sim.market()
    loop = TradingLoop(sim, Ladder(StrategyParams()))
    loop.ticks(1)
    assert (sim.wire.posts(), len(loop.live), loop.engine.state.trading) == (6, 6, ACTIVE)


class FillsAtOnce:
    """A venue that fills whatever it gets, for a fee."""

    def __init__(self, fee: Money) -> None:
        self.fee = fee
        self.orders: list[Order] = []

    def observe(self, message: Message) -> Iterable[Message]:
        return ()

    def perform(self, effect: Effect) -> Iterable[Message]:
        if not isinstance(effect, SubmitOrder):
            return ()
        order = effect.order
        self.orders.append(order)
        name = f"{len(self.orders)}"
        fill = Fill(
            trade_id=name, order_id=name, ticker=order.ticker, side=order.side, price=order.price, qty=order.qty,
            fee=self.fee, is_taker=True, ts=order.created, client_order_id=order.client_order_id,
        )  # fmt: skip
        accepted = OrderAccepted(order.created, order.client_order_id, name, order.qty, Qty(0))
        return accepted, Filled(order.created, fill)


@pytest.mark.parametrize(("fee", "orders", "state"), [(dollars(11), 1, REDUCING), (dollars(1), 6, ACTIVE)])
def test_a_fill_that_is_one_loss_too_many_stops_the_next_order_of_the_same_decision(
    sim: Simulation, fee: Money, orders: int, state: TradingState
) -> None:
    sim.market()
    engine = begin(sim, RiskLimits(min_edge=None, max_daily_loss=dollars(10)), Ladder(StrategyParams()))
    venue = FillsAtOnce(fee)
    process_messages([sim.client.orderbook(TICKER), Tick(sim.clock.now())], engine, venue, sim.store)
    assert (len(venue.orders), engine.state.trading, sim.store.halt().state) == (orders, state, state)
    assert engine.state.orders.live() == [], "what was not sent is over"
