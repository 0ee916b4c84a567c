"""A person closes what a strategy holds: the strategy orders nothing more for it, neither then nor after a restart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from virtual import TICKER, Virtual
from virtual_loop import Loop

from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID, Tif
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.core.state.view import View
from kalshi_cli.desk import close
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.strategies.spike import Spike

LIMITS = Limits()
"""With an edge asked for."""


class Believer(Strategy):
    """Buys ten once, and long after that sells what it holds, with a fair value far below the price."""

    name = "believer"

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        self.seen: list[int] = []

    def on_tick(self, view: View) -> Iterator[Intent]:
        held = view.position(TICKER)
        if not self.seen:
            yield Place(TICKER, BID, cents(44), contracts(10), fair=cents(60), tif=Tif.IOC)
        elif held > 0 and len(self.seen) > 20 and not view.orders(TICKER):
            yield Place(TICKER, ASK, cents(40), held, fair=cents(10), reason="out")
        self.seen.append(held)


def sell_all(virtual: Virtual) -> None:
    desk = close.CloseDesk(virtual.desk(), close.Walk(), virtual.said.append)
    _, error = close.close_all(lambda: (desk, desk.plans(TICKER)), lambda _plans: None)
    assert error is None


def asks(virtual: Virtual) -> list[Order]:
    return [order for order in virtual.store.orders() if order.side is ASK and order.strategy]


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_strategy_whose_position_a_person_closed_sells_nothing_and_opens_no_short(
    virtual: Virtual, is_closed: bool
) -> None:
    virtual.market()
    believer = Believer(StrategyParams())
    loop = Loop(virtual, believer, limits=LIMITS)
    loop.ticks(2)
    assert virtual.exchange.position("alice", TICKER) == contracts(10)
    if is_closed:
        sell_all(virtual)
        assert virtual.exchange.position("alice", TICKER) == 0
    loop.ticks(40)
    assert believer.seen[1] == contracts(10)
    assert believer.seen[-1] == 0
    assert virtual.exchange.position("alice", TICKER) == 0
    assert len(asks(virtual)) == (0 if is_closed else 1), "companion: it sells what nobody else sold"


def spike() -> Spike:
    made = registry.make("spike", {})
    assert isinstance(made, Spike)
    return made


def test_spike_leaves_a_position_that_a_person_closed_and_takes_its_exit_back_also_after_a_restart(
    virtual: Virtual,
) -> None:
    virtual.market(60, 62)
    loop = Loop(virtual, spike(), limits=LIMITS)
    loop.ticks(2)
    virtual.market(50, 52)
    loop.ticks(1)
    virtual.take(ASK, 50, 105)
    assert virtual.exchange.position("alice", TICKER) == contracts(5)
    virtual.market(50, 54)
    loop.ticks(4)
    (resting,) = asks(virtual)
    assert resting.reason == "target"
    virtual.exchange.cancel_all("maker", virtual.clock.now(), TICKER)
    virtual.quote(BID, 49)
    virtual.client.create_order(
        Order(
            client_order_id=virtual.new_id(), ticker=TICKER, side=ASK, price=cents(49), qty=contracts(5),
            status=OrderStatus.SUBMITTED, created=virtual.clock.now(), updated=virtual.clock.now(), tif=Tif.IOC,
        )
    )  # fmt: skip
    assert virtual.exchange.position("alice", TICKER) == 0
    loop.ticks(10)
    assert loop.live == virtual.exchange.resting("alice") == []
    denied = loop.engine.tally.denied
    again = Loop(virtual, spike(), limits=LIMITS)
    virtual.market(48, 52)
    again.ticks(100)
    assert (denied, again.engine.tally.denied, len(asks(virtual))) == ({}, {}, 1)
    assert virtual.exchange.position("alice", TICKER) == 0
