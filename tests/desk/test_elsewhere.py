"""What is held in markets that a loop does not trade: it counts, at what it is worth, until it is paid out."""

from __future__ import annotations

import httpx
from virtual import OTHER, Virtual
from virtual_loop import Loop

from kalshi_cli.units import Price, cents, contracts


def hold_other(virtual: Virtual) -> None:
    """A hundred contracts of the other market, bought by a person at 44 cents."""
    virtual.market()
    virtual.market(ticker=OTHER)
    virtual.place(ticker=OTHER, price=cents(44), qty=contracts(100))


def test_a_settlement_that_can_be_read_only_hours_after_its_time_is_booked_by_a_running_loop(virtual: Virtual) -> None:
    hold_other(virtual)
    loop = Loop(virtual)
    loop.ticks(2)
    none_yet = httpx.Response(200, json={"settlements": [], "cursor": ""})
    virtual.wire.before = lambda request: none_yet if request.url.path.endswith("/portfolio/settlements") else None
    virtual.exchange.settle(OTHER, Price(0), virtual.clock.now())
    loop.ticks(12, every_s=900)
    assert loop.engine.state.held(OTHER) == contracts(100), "companion: nothing told of it for three hours"
    virtual.wire.before = lambda _request: None
    loop.ticks(10)
    assert loop.engine.state.held(OTHER) == 0
    assert [settlement.ticker for settlement in virtual.store.settlements()] == [OTHER]
