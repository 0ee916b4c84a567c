"""Two programs on one state file: together they stay within the limits that each of them holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from virtual import TICKER, Virtual, ticket
from virtual_loop import Loop, Quoter

from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.effects import Effect, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import Tick
from kalshi_cli.core.model.order_terms import BID, Tif
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.core.state.view import View
from kalshi_cli.desk import amend, batch
from kalshi_cli.desk.amend import Change
from kalshi_cli.desk.batch import BatchLine
from kalshi_cli.desk.halts import refuse_if_halted
from kalshi_cli.desk.place import TRIES, Aloud, OrderDesk
from kalshi_cli.store.sqlite_store import SqliteStore
from kalshi_cli.strategies.base import Strategy, StrategyParams


@pytest.fixture
def beside(virtual: Virtual) -> Iterator[SqliteStore]:
    """The state file as another program has it open."""
    with closing(SqliteStore.open(virtual.path, account="alice", environment="sim")) as store:
        yield store


def desk_of(virtual: Virtual, store: Any, **limits: Any) -> OrderDesk:
    return OrderDesk(
        virtual.client, store, virtual.clock, Limits(**limits), lambda _market: FeeSchedule(), virtual.new_id
    )


def bids(virtual: Virtual) -> int:
    return sum(order.remaining for order in virtual.client.orders(status="resting") if order.side is BID)


# -- two people ---------------------------------------------------------------------------------------------------


def test_two_people_at_the_same_time_do_not_exceed_a_limit_together(virtual: Virtual, beside: SqliteStore) -> None:
    virtual.market()
    one = desk_of(virtual, virtual.store, max_position=contracts(10))
    other = desk_of(virtual, beside, max_position=contracts(10))
    both = one.propose(ticket()), other.propose(ticket())
    one.send(*both[0])
    with pytest.raises(RefusedError) as caught:
        other.send(*both[1])
    assert (caught.value.code, bids(virtual)) == ("POSITION_LIMIT", contracts(10))


def test_two_people_at_the_same_time_both_get_what_fits_in_a_limit_under_the_ids_that_were_said(
    virtual: Virtual, beside: SqliteStore
) -> None:
    virtual.market()
    one = desk_of(virtual, virtual.store, max_position=contracts(20))
    other = desk_of(virtual, Aloud(beside, lambda _text: None), max_position=contracts(20))
    both = one.propose(ticket()), other.propose(ticket())
    sent = [desk.send(*proposed) for desk, proposed in zip((one, other), both, strict=True)]
    assert [order.client_order_id for order in sent] == [each.submit.order.client_order_id for _, each in both]
    assert bids(virtual) == contracts(20)


def test_what_another_program_began_while_the_account_was_read_counts_in_the_review(
    virtual: Virtual, beside: SqliteStore
) -> None:
    virtual.market()
    other = desk_of(virtual, beside, max_position=contracts(10))
    _, begun = other.propose(ticket())
    todo = [begun.submit]

    def begin(request: httpx.Request) -> None:
        if todo and request.url.path.endswith("/orderbook"):
            beside.record(todo.pop())

    virtual.wire.after = begin
    desk = desk_of(virtual, virtual.store, max_position=contracts(10))
    with pytest.raises(RefusedError) as caught:
        desk.propose(ticket())
    assert (caught.value.code, todo) == ("POSITION_LIMIT", [])


class Overtaken:
    """A state file into which another program writes an order right before each of ours."""

    def __init__(self, inner: SqliteStore, other: SqliteStore, virtual: Virtual) -> None:
        self._inner, self._other, self._virtual = inner, other, virtual
        self.times = 0

    def record(self, effect: Effect) -> None:
        if isinstance(effect, SubmitOrder):
            self.times += 1
            virtual = self._virtual
            desk = desk_of(virtual, self._other)
            _, proposal = desk.propose(ticket(price=cents(30)))
            desk.store.record(proposal.submit)
        self._inner.record(effect)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_whoever_is_overtaken_again_and_again_is_told_so_and_nothing_is_sent(
    virtual: Virtual, beside: SqliteStore
) -> None:
    virtual.market()
    store = Overtaken(virtual.store, beside, virtual)
    desk = desk_of(virtual, store)
    with pytest.raises(RefusedError) as caught:
        desk.send(*desk.propose(ticket()))
    assert (caught.value.code, store.times, bids(virtual)) == ("STATE_MOVED", TRIES, 0)
    assert "another program" in caught.value.message


def test_an_order_that_was_confirmed_after_trading_became_reducing_is_not_sent(
    virtual: Virtual, beside: SqliteStore
) -> None:
    virtual.market()
    desk = virtual.desk()
    proposed = desk.propose(ticket())
    beside.record(StateChanged(virtual.clock.now(), TradingState.REDUCING, "DAILY_LOSS", "x"))
    with pytest.raises(RefusedError) as caught:
        desk.send(*proposed)
    assert (caught.value.code, bids(virtual)) == ("REDUCING", 0)


def test_an_order_that_reduces_is_sent_even_if_trading_became_reducing_after_its_review(
    virtual: Virtual, beside: SqliteStore
) -> None:
    virtual.market()
    virtual.place(price=cents(44), tif=Tif.IOC)
    virtual.clock.advance(2)
    desk = virtual.desk()
    proposed = desk.propose(ticket(action="sell", price=cents(40), tif=Tif.IOC))
    beside.record(StateChanged(virtual.clock.now(), TradingState.REDUCING, "DAILY_LOSS", "x"))
    assert desk.send(*proposed).status is OrderStatus.FILLED


# -- between two tries of one request --------------------------------------------------------------------------------


def refused_for_pace(virtual: Virtual, beside: SqliteStore, state: TradingState) -> None:
    """The first write is refused for pace; before it goes again, another program finds that trading is `state`."""
    virtual.client = virtual.connect(before_create=lambda reviewed: refuse_if_halted(virtual.store, reviewed))

    def slow_down(request: httpx.Request) -> httpx.Response | None:
        if request.method == "GET":
            return None
        virtual.wire.before = lambda _request: None
        beside.record(StateChanged(virtual.clock.now(), state, "DAILY_LOSS", "x"))
        return httpx.Response(429, content=b'{"error": "too many requests"}')

    virtual.wire.before = slow_down


def placed(virtual: Virtual) -> None:
    virtual.place()


def amended(virtual: Virtual) -> None:
    (mine,) = virtual.client.orders(status="resting")
    desk = virtual.desk()
    amend.send(desk, *amend.propose(desk, mine, Change(qty=contracts(90))))


def placed_together(virtual: Virtual) -> None:
    desk = virtual.desk()
    outcome = batch.send(desk, *batch.propose(desk, [BatchLine(1, ticket()), BatchLine(2, ticket())]))
    assert [result.status for result in outcome.results] == ["rejected", "rejected"]
    assert outcome.worst is not None
    raise outcome.worst


@pytest.mark.parametrize("send", [placed, amended, placed_together])
def test_what_adds_risk_does_not_go_again_once_trading_is_reducing(
    virtual: Virtual, beside: SqliteStore, send: Callable[[Virtual], None]
) -> None:
    virtual.market()
    virtual.place()
    refused_for_pace(virtual, beside, TradingState.REDUCING)
    before = virtual.wire.posts()
    with pytest.raises(RefusedError, match="only orders that reduce are taken since: DAILY_LOSS x") as caught:
        send(virtual)
    assert (caught.value.code, caught.value.exit_code, bids(virtual)) == ("REDUCING", 3, contracts(10))
    assert virtual.wire.posts() == before + 1
    assert [order.qty for order in virtual.store.live_orders()] == [contracts(10)], "nothing is in doubt"


def test_what_goes_again_while_trading_is_active_is_sent(virtual: Virtual, beside: SqliteStore) -> None:
    virtual.market()
    refused_for_pace(virtual, beside, TradingState.ACTIVE)
    virtual.place()
    assert bids(virtual) == contracts(10)


def test_what_can_only_close_goes_again_while_trading_is_reducing(virtual: Virtual, beside: SqliteStore) -> None:
    virtual.market()
    virtual.place(price=cents(44), tif=Tif.IOC)
    refused_for_pace(virtual, beside, TradingState.REDUCING)
    sold = virtual.place(action="sell", price=cents(40), tif=Tif.IOC, reduce_only=True)
    assert sold.status is OrderStatus.FILLED


# -- amends and batches -------------------------------------------------------------------------------------------


def test_an_amend_and_an_order_do_not_exceed_a_limit_together(virtual: Virtual, beside: SqliteStore) -> None:
    virtual.market()
    mine = virtual.place()
    one = desk_of(virtual, virtual.store, max_position=contracts(20))
    other = desk_of(virtual, beside, max_position=contracts(20))
    proposed = amend.propose(one, virtual.client.order(mine.order_id), Change(qty=contracts(20)))
    other.send(*other.propose(ticket()))
    with pytest.raises(RefusedError) as caught:
        amend.send(one, *proposed)
    assert (caught.value.code, bids(virtual)) == ("POSITION_LIMIT", contracts(20))


def test_an_amend_that_still_fits_is_reviewed_again_and_sent(virtual: Virtual, beside: SqliteStore) -> None:
    virtual.market()
    mine = virtual.place()
    desk = virtual.desk()
    proposed = amend.propose(desk, virtual.client.order(mine.order_id), Change(qty=contracts(20)))
    other = desk_of(virtual, beside)
    other.send(*other.propose(ticket()))
    assert amend.send(desk, *proposed).remaining == contracts(20)


def test_an_amend_that_raises_is_not_sent_after_trading_became_reducing(virtual: Virtual, beside: SqliteStore) -> None:
    virtual.market()
    mine = virtual.place()
    desk = virtual.desk()
    proposed = amend.propose(desk, virtual.client.order(mine.order_id), Change(qty=contracts(90)))
    beside.record(StateChanged(virtual.clock.now(), TradingState.REDUCING, "DAILY_LOSS", "x"))
    with pytest.raises(RefusedError) as caught:
        amend.send(desk, *proposed)
    assert (caught.value.code, bids(virtual)) == ("REDUCING", contracts(10))


def test_a_batch_counts_what_another_program_placed_since_it_was_shown(virtual: Virtual, beside: SqliteStore) -> None:
    virtual.market()
    one = desk_of(virtual, virtual.store, max_position=contracts(20))
    other = desk_of(virtual, beside, max_position=contracts(20))
    proposed = batch.propose(one, [BatchLine(1, ticket()), BatchLine(2, ticket())])
    other.send(*other.propose(ticket()))
    outcome = batch.send(one, *proposed)
    assert bids(virtual) == contracts(20)
    assert [result.error is None for result in outcome.results] == [True, False]


# -- a loop and a person ------------------------------------------------------------------------------------------


class Eager(Strategy):
    """One more bid on every tick."""

    name = "quoter"

    def on_tick(self, _view: View) -> Iterator[Intent]:
        yield Place(TICKER, BID, cents(40), contracts(10), reason="a bid")


def eager_loop(virtual: Virtual, limit: int) -> Loop:
    loop = Loop(virtual, Eager(StrategyParams()))
    loop.engine.limits = Limits(min_edge=None, max_position=contracts(limit))
    return loop


def test_a_loop_counts_what_a_person_placed_beside_it_before_it_sends_anything(
    virtual: Virtual, beside: SqliteStore
) -> None:
    virtual.market()
    loop = eager_loop(virtual, 30)
    loop.ticks(1)
    person = desk_of(virtual, beside, max_position=contracts(30))
    typed = person.send(*person.propose(ticket(qty=contracts(20))))
    loop.take(Tick(virtual.clock.now()))
    assert bids(virtual) == contracts(30)
    assert typed.client_order_id in [order.client_order_id for order in loop.live]
    (refused,) = [order for order in virtual.store.orders() if order.status is OrderStatus.REJECTED]
    assert refused.code == "STATE_MOVED"
    loop.ticks(2)
    assert bids(virtual) == contracts(30)


def test_a_loop_beside_a_person_goes_on_with_its_next_decision(virtual: Virtual, beside: SqliteStore) -> None:
    virtual.market()
    loop = Loop(virtual, Quoter(StrategyParams()))
    person = desk_of(virtual, beside)
    person.send(*person.propose(ticket()))
    loop.ticks(2)
    assert bids(virtual) == contracts(20)


def test_a_person_beside_a_loop_is_held_to_what_the_loop_placed_meanwhile(
    virtual: Virtual, beside: SqliteStore
) -> None:
    virtual.market()
    person = desk_of(virtual, beside, max_position=contracts(10))
    proposed = person.propose(ticket())
    Loop(virtual).ticks(2)
    with pytest.raises(RefusedError) as caught:
        person.send(*proposed)
    assert (caught.value.code, bids(virtual)) == ("POSITION_LIMIT", contracts(10))


def test_an_order_of_a_loop_that_was_decided_before_reducing_is_over_and_not_sent(
    virtual: Virtual, beside: SqliteStore
) -> None:
    virtual.market()
    loop = Loop(virtual)
    beside.record(StateChanged(virtual.clock.now(), TradingState.REDUCING, "DAILY_LOSS", "x"))
    loop.ticks(1)
    assert (loop.live, bids(virtual)) == ([], 0)
    assert [order.code for order in virtual.store.orders()] == ["REDUCING"]
