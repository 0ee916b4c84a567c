"""A market that a person locked: nothing is opened there, by a loop or by a command, until the time is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from support.simulation import TICKER, Simulation, ticket
from support.trading import TradingSession

from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.messages import MarketLocks, Message, Tick
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.services.orders import amend
from kalshi_cli.services.orders.amend import AmendRequest
from kalshi_cli.services.trading.halts import with_locks
from kalshi_cli.store.records import ConcurrentChangeError, MarketLock
from kalshi_cli.store.sqlite_store import Store

HOUR_MS = 3_600_000


@pytest.fixture
def beside(sim: Simulation) -> Iterator[Store]:
    """The state file as the program has it open that a person types a lock into."""
    with closing(Store.open(sim.path, account="alice", environment="sim")) as store:
        yield store


def lock_of(sim: Simulation, hours: float = 3, name: str = TICKER) -> MarketLock:
    now = sim.clock.now()
    return MarketLock(name, Ts(now + int(hours * HOUR_MS)), "lunch", now)


def refused(sim: Simulation, **changes: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        sim.place(**changes)
    return caught.value.code


def test_a_typed_order_is_refused_in_a_locked_market_until_the_time_is_over(sim: Simulation) -> None:
    sim.market()
    sim.store.lock_market(lock_of(sim))
    assert refused(sim) == "LOCKED"
    assert sim.wire.posts() == 0
    sim.clock.advance(3 * 3_600)
    sim.market()
    assert sim.place().status is OrderStatus.RESTING


def test_an_unlocked_market_and_one_beside_it_take_orders(sim: Simulation) -> None:
    sim.market()
    sim.store.lock_market(lock_of(sim, name="KXOTHER-1"))
    assert sim.place().status is OrderStatus.RESTING
    sim.store.lock_market(lock_of(sim))
    assert sim.store.unlock_market(TICKER)
    assert not sim.store.unlock_market(TICKER)
    assert sim.place(price=cents(39)).status is OrderStatus.RESTING


def test_what_makes_a_position_smaller_passes_a_lock(sim: Simulation) -> None:
    sim.market()
    sim.place(price=cents(44), tif=TimeInForce.IOC)
    sim.store.lock_market(lock_of(sim))
    sold = sim.place(action="sell", price=cents(40), tif=TimeInForce.IOC)
    assert (sold.filled, refused(sim, action="sell")) == (contracts(10), "LOCKED"), "ten were held, and no more"


def test_an_order_that_was_reviewed_before_the_lock_does_not_begin(sim: Simulation, beside: Store) -> None:
    sim.market()
    desk = sim.desk()
    proposed = desk.propose(ticket())
    beside.lock_market(lock_of(sim))
    with pytest.raises(RefusedError) as caught:
        desk.send(*proposed)
    assert (caught.value.code, sim.wire.posts()) == ("LOCKED", 0)


def test_an_amend_that_was_reviewed_before_the_lock_is_not_sent_where_it_adds(sim: Simulation, beside: Store) -> None:
    sim.market()
    mine = sim.place()
    desk = sim.desk()

    def change(count: int) -> Order:
        engine, proposal = amend.propose(desk, sim.client.order(mine.order_id), AmendRequest(qty=contracts(count)))
        beside.lock_market(lock_of(sim, hours=count))
        return amend.send(desk, engine, proposal)

    with pytest.raises(RefusedError) as caught:
        change(11)
    assert caught.value.code == "LOCKED"
    assert change(9).remaining == contracts(9), "what makes it smaller is reviewed again, and passes"


def test_a_longer_lock_counts_although_a_shorter_one_was_known(sim: Simulation, beside: Store) -> None:
    sim.market()
    sim.place(price=cents(44), tif=TimeInForce.IOC)
    known = lock_of(sim, 1)
    sim.store.lock_market(known)
    desk = sim.desk()
    _, proposal = desk.propose(ticket(action="sell", price=cents(40), tif=TimeInForce.IOC))
    assert isinstance(proposal.submit, SubmitOrder)
    assert proposal.submit.knew_lock == known.until
    beside.lock_market(lock_of(sim, 2))
    with pytest.raises(ConcurrentChangeError) as caught:
        sim.store.record(proposal.submit)
    assert caught.value.code == "LOCKED"
    assert "locked until" in caught.value.message


def test_a_running_loop_opens_nothing_from_the_lock_on_and_goes_on_after_it(sim: Simulation, beside: Store) -> None:
    run = TradingSession(sim)
    posts: list[int] = []

    def do(n: int) -> None:
        posts.append(sim.wire.posts())
        if n == 0:
            beside.lock_market(MarketLock(TICKER, Ts(sim.clock.now() + 7_000), "", sim.clock.now()))

    summary = run.over(with_locks(run.ticks(8, do), sim.store))
    assert posts[:4] == [0, 0, 0, 0]
    assert sim.wire.posts() == 1, "after the lock"
    assert summary.denied["LOCKED"] >= 2
    (first, *_) = sim.store.orders()
    assert (first.status, first.code) == (OrderStatus.REJECTED, "LOCKED"), "the loop had not heard of the lock yet"


def test_a_loop_hears_of_a_lock_once_and_of_its_end(sim: Simulation) -> None:
    def feed() -> Iterator[Message]:
        yield Tick(Ts(1))
        sim.store.lock_market(lock)
        yield Tick(Ts(2))
        yield Tick(Ts(3))
        sim.store.unlock_market(TICKER)
        yield Tick(Ts(4))

    lock = lock_of(sim)
    heard = [message for message in with_locks(feed(), sim.store) if isinstance(message, MarketLocks)]
    assert [(message.ts, message.until) for message in heard] == [(2, {TICKER: lock.until}), (4, {})]


def test_what_is_over_is_forgotten_with_the_next_lock(sim: Simulation) -> None:
    sim.store.lock_market(lock_of(sim, 1, "KXOLD-1"))
    sim.clock.advance(3_600)
    sim.store.lock_market(lock_of(sim))
    assert [lock.ticker for lock in sim.store.market_locks()] == [TICKER]
