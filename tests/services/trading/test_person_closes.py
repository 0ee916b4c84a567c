"""A person closes what a strategy holds: the strategy orders nothing more for it, neither then nor after a restart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.simulation import TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.orders import close
from kalshi_cli.services.orders.flatten import close_all
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.strategies.spike import Spike

LIMITS = RiskLimits()
"""With an edge asked for."""


class Believer(Strategy):
    """Buys ten once, and long after that sells what it holds, with a fair value far below the price."""

    name = "believer"

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        self.seen: list[int] = []

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        held = view.position(TICKER)
        if not self.seen:
            yield Place(TICKER, BID, cents(44), contracts(10), fair=cents(60), tif=TimeInForce.IOC)
        elif held > 0 and len(self.seen) > 20 and not view.orders(TICKER):
            yield Place(TICKER, ASK, cents(40), held, fair=cents(10), reason="out")
        self.seen.append(held)


def sell_all(sim: Simulation) -> None:
    desk = close.PositionCloser(sim.desk(), close.ClosePolicy(), sim.said.append)
    _, error = close_all(lambda: (desk, desk.plans(TICKER)), lambda _plans: None)
    assert error is None


def asks(sim: Simulation) -> list[Order]:
    return [order for order in sim.store.orders() if order.side is ASK and order.strategy]


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_strategy_whose_position_a_person_closed_sells_nothing_and_opens_no_short(
    sim: Simulation, is_closed: bool
) -> None:
    sim.market()
    believer = Believer(StrategyParams())
    loop = TradingLoop(sim, believer, limits=LIMITS)
    loop.ticks(2)
    assert sim.exchange.position("alice", TICKER) == contracts(10)
    if is_closed:
        sell_all(sim)
        assert sim.exchange.position("alice", TICKER) == 0
    loop.ticks(40)
    assert believer.seen[1] == contracts(10)
    assert believer.seen[-1] == 0
    assert sim.exchange.position("alice", TICKER) == 0
    assert len(asks(sim)) == (0 if is_closed else 1), "companion: it sells what nobody else sold"


def spike() -> Spike:
    made = registry.make("spike", {})
    assert isinstance(made, Spike)
    return made


def test_spike_leaves_a_position_that_a_person_closed_and_takes_its_exit_back_also_after_a_restart(
    sim: Simulation,
) -> None:
    sim.market(60, 62)
    loop = TradingLoop(sim, spike(), limits=LIMITS)
    loop.ticks(2)
    sim.market(50, 52)
    loop.ticks(1)
    sim.take(ASK, 50, 105)
    assert sim.exchange.position("alice", TICKER) == contracts(5)
    sim.market(50, 54)
    loop.ticks(4)
    (resting,) = asks(sim)
    assert resting.reason == "target"
    sim.exchange.cancel_all("maker", sim.clock.now(), TICKER)
    sim.quote(BID, 49)
    sim.client.create_order(
        Order(
            client_order_id=sim.new_id(), ticker=TICKER, side=ASK, price=cents(49), qty=contracts(5),
            status=OrderStatus.SUBMITTED, created=sim.clock.now(), updated=sim.clock.now(), tif=TimeInForce.IOC,
        )
    )  # fmt: skip
    assert sim.exchange.position("alice", TICKER) == 0
    loop.ticks(10)
    assert loop.live == sim.exchange.resting("alice") == []
    denied = loop.engine.tally.denied
    again = TradingLoop(sim, spike(), limits=LIMITS)
    sim.market(48, 52)
    again.ticks(100)
    assert (denied, again.engine.tally.denied, len(asks(sim))) == ({}, {}, 1)
    assert sim.exchange.position("alice", TICKER) == 0
