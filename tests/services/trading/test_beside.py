"""Two programs on one state file: together they stay within the limits that each of them holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from support.simulation import TICKER, Simulation, ticket
from support.trading import Quoter, TradingLoop

from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.effects import Effect, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import Tick
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.orders import amend, batch
from kalshi_cli.services.orders.amend import AmendRequest
from kalshi_cli.services.orders.batch import BatchLine
from kalshi_cli.services.orders.place import TRIES, NotifyingStore, OrderEntry
from kalshi_cli.services.runner import MAX_REVIEWS, process_messages
from kalshi_cli.services.trading.halts import refuse_if_halted
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies.base import Strategy, StrategyParams


@pytest.fixture
def beside(sim: Simulation) -> Iterator[Store]:
    """The state file as another program has it open."""
    with closing(Store.open(sim.path, account="alice", environment="sim")) as store:
        yield store


def desk_of(sim: Simulation, store: Any, **limits: Any) -> OrderEntry:
    return OrderEntry(sim.client, store, sim.clock, RiskLimits(**limits), lambda _market: FeeSchedule(), sim.new_id)


def bids(sim: Simulation) -> int:
    return sum(order.remaining for order in sim.client.orders(status="resting") if order.side is BID)


# -- two people ---------------------------------------------------------------------------------------------------


def test_two_people_at_the_same_time_do_not_exceed_a_limit_together(sim: Simulation, beside: Store) -> None:
    sim.market()
    one = desk_of(sim, sim.store, max_position=contracts(10))
    other = desk_of(sim, beside, max_position=contracts(10))
    both = one.propose(ticket()), other.propose(ticket())
    one.send(*both[0])
    with pytest.raises(RefusedError) as caught:
        other.send(*both[1])
    assert (caught.value.code, bids(sim)) == ("POSITION_LIMIT", contracts(10))


def test_two_people_at_the_same_time_both_get_what_fits_in_a_limit_under_the_ids_that_were_said(
    sim: Simulation, beside: Store
) -> None:
    sim.market()
    one = desk_of(sim, sim.store, max_position=contracts(20))
    other = desk_of(sim, NotifyingStore(beside, lambda _text: None), max_position=contracts(20))
    both = one.propose(ticket()), other.propose(ticket())
    sent = [desk.send(*proposed) for desk, proposed in zip((one, other), both, strict=True)]
    assert [order.client_order_id for order in sent] == [each.submit.order.client_order_id for _, each in both]
    assert bids(sim) == contracts(20)


def test_what_another_program_began_while_the_account_was_read_counts_in_the_review(
    sim: Simulation, beside: Store
) -> None:
    sim.market()
    other = desk_of(sim, beside, max_position=contracts(10))
    _, begun = other.propose(ticket())
    todo = [begun.submit]

    def begin(request: httpx.Request) -> None:
        if todo and request.url.path.endswith("/orderbook"):
            beside.record(todo.pop())

    sim.wire.after = begin
    desk = desk_of(sim, sim.store, max_position=contracts(10))
    with pytest.raises(RefusedError) as caught:
        desk.propose(ticket())
    assert (caught.value.code, todo) == ("POSITION_LIMIT", [])


class Overtaken:
    """A state file into which another program writes an order right before each of ours."""

    def __init__(self, inner: Store, other: Store, sim: Simulation) -> None:
        self._inner, self._other, self._virtual = inner, other, sim
        self.times = 0

    def record(self, effect: Effect) -> None:
        if isinstance(effect, SubmitOrder):
            self.times += 1
            sim = self._virtual
            desk = desk_of(sim, self._other)
            _, proposal = desk.propose(ticket(price=cents(30)))
            desk.store.record(proposal.submit)
        self._inner.record(effect)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_whoever_is_overtaken_again_and_again_is_told_so_and_nothing_is_sent(sim: Simulation, beside: Store) -> None:
    sim.market()
    store = Overtaken(sim.store, beside, sim)
    desk = desk_of(sim, store)
    with pytest.raises(RefusedError) as caught:
        desk.send(*desk.propose(ticket()))
    assert (caught.value.code, store.times, bids(sim)) == ("STATE_MOVED", TRIES, 0)
    assert "Another program" in caught.value.message


def test_a_batch_that_is_overtaken_says_which_lines_to_send_again(sim: Simulation, beside: Store) -> None:
    sim.market()
    store = Overtaken(sim.store, beside, sim)
    desk = desk_of(sim, store)
    outcome = batch.send(desk, *batch.propose(desk, [BatchLine(1, ticket()), BatchLine(2, ticket(price=cents(39)))]))
    assert [(each.status, each.error and each.error.code) for each in outcome.results] == 2 * [
        ("not_sent", "STATE_MOVED")
    ]
    assert isinstance(outcome.worst, RefusedError)
    assert outcome.worst.hint.startswith("send the lines again whose status is not_sent")
    assert bids(sim) == 0


def test_an_order_that_was_confirmed_after_trading_became_reducing_is_not_sent(sim: Simulation, beside: Store) -> None:
    sim.market()
    desk = sim.desk()
    proposed = desk.propose(ticket())
    beside.record(StateChanged(sim.clock.now(), TradingState.REDUCING, "DAILY_LOSS", "x"))
    with pytest.raises(RefusedError) as caught:
        desk.send(*proposed)
    assert (caught.value.code, bids(sim)) == ("REDUCING", 0)


def test_an_order_that_reduces_is_sent_even_if_trading_became_reducing_after_its_review(
    sim: Simulation, beside: Store
) -> None:
    sim.market()
    sim.place(price=cents(44), tif=TimeInForce.IOC)
    sim.clock.advance(2)
    desk = sim.desk()
    proposed = desk.propose(ticket(action="sell", price=cents(40), tif=TimeInForce.IOC))
    beside.record(StateChanged(sim.clock.now(), TradingState.REDUCING, "DAILY_LOSS", "x"))
    assert desk.send(*proposed).status is OrderStatus.FILLED


# -- between two tries of one request --------------------------------------------------------------------------------


def refused_for_pace(sim: Simulation, beside: Store, state: TradingState) -> None:
    """The first write is refused for pace; before it goes again, another program finds that trading is `state`."""
    sim.client = sim.connect(before_create=lambda reviewed: refuse_if_halted(sim.store, reviewed))

    def slow_down(request: httpx.Request) -> httpx.Response | None:
        if request.method == "GET":
            return None
        sim.wire.before = lambda _request: None
        beside.record(StateChanged(sim.clock.now(), state, "DAILY_LOSS", "x"))
        return httpx.Response(429, content=b'{"error": "too many requests"}')

    sim.wire.before = slow_down


def placed(sim: Simulation) -> None:
    sim.place()


def amended(sim: Simulation) -> None:
    (mine,) = sim.client.orders(status="resting")
    desk = sim.desk()
    amend.send(desk, *amend.propose(desk, mine, AmendRequest(qty=contracts(90))))


def placed_together(sim: Simulation) -> None:
    desk = sim.desk()
    outcome = batch.send(desk, *batch.propose(desk, [BatchLine(1, ticket()), BatchLine(2, ticket())]))
    assert [result.status for result in outcome.results] == ["rejected", "rejected"]
    assert outcome.worst is not None
    raise outcome.worst


@pytest.mark.parametrize("send", [placed, amended, placed_together])
def test_what_adds_risk_does_not_go_again_once_trading_is_reducing(
    sim: Simulation, beside: Store, send: Callable[[Simulation], None]
) -> None:
    sim.market()
    sim.place()
    refused_for_pace(sim, beside, TradingState.REDUCING)
    before = sim.wire.posts()
    with pytest.raises(RefusedError, match="Trading became reduce-only in the meantime: DAILY_LOSS x") as caught:
        send(sim)
    assert (caught.value.code, caught.value.exit_code, bids(sim)) == ("REDUCING", 3, contracts(10))
    assert sim.wire.posts() == before + 1
    assert [order.qty for order in sim.store.live_orders()] == [contracts(10)], "nothing is in doubt"


def test_what_goes_again_while_trading_is_active_is_sent(sim: Simulation, beside: Store) -> None:
    sim.market()
    refused_for_pace(sim, beside, TradingState.ACTIVE)
    sim.place()
    assert bids(sim) == contracts(10)


def test_what_can_only_close_goes_again_while_trading_is_reducing(sim: Simulation, beside: Store) -> None:
    sim.market()
    sim.place(price=cents(44), tif=TimeInForce.IOC)
    refused_for_pace(sim, beside, TradingState.REDUCING)
    sold = sim.place(action="sell", price=cents(40), tif=TimeInForce.IOC, reduce_only=True)
    assert sold.status is OrderStatus.FILLED


# -- amends and batches -------------------------------------------------------------------------------------------


def test_an_amend_and_an_order_do_not_exceed_a_limit_together(sim: Simulation, beside: Store) -> None:
    sim.market()
    mine = sim.place()
    one = desk_of(sim, sim.store, max_position=contracts(20))
    other = desk_of(sim, beside, max_position=contracts(20))
    proposed = amend.propose(one, sim.client.order(mine.order_id), AmendRequest(qty=contracts(20)))
    other.send(*other.propose(ticket()))
    with pytest.raises(RefusedError) as caught:
        amend.send(one, *proposed)
    assert (caught.value.code, bids(sim)) == ("POSITION_LIMIT", contracts(20))


def test_an_amend_that_still_fits_is_reviewed_again_and_sent(sim: Simulation, beside: Store) -> None:
    sim.market()
    mine = sim.place()
    desk = sim.desk()
    proposed = amend.propose(desk, sim.client.order(mine.order_id), AmendRequest(qty=contracts(20)))
    other = desk_of(sim, beside)
    other.send(*other.propose(ticket()))
    assert amend.send(desk, *proposed).remaining == contracts(20)


def test_an_amend_that_raises_is_not_sent_after_trading_became_reducing(sim: Simulation, beside: Store) -> None:
    sim.market()
    mine = sim.place()
    desk = sim.desk()
    proposed = amend.propose(desk, sim.client.order(mine.order_id), AmendRequest(qty=contracts(90)))
    beside.record(StateChanged(sim.clock.now(), TradingState.REDUCING, "DAILY_LOSS", "x"))
    with pytest.raises(RefusedError) as caught:
        amend.send(desk, *proposed)
    assert (caught.value.code, bids(sim)) == ("REDUCING", contracts(10))


def test_a_batch_counts_what_another_program_placed_since_it_was_shown(sim: Simulation, beside: Store) -> None:
    sim.market()
    one = desk_of(sim, sim.store, max_position=contracts(20))
    other = desk_of(sim, beside, max_position=contracts(20))
    proposed = batch.propose(one, [BatchLine(1, ticket()), BatchLine(2, ticket())])
    other.send(*other.propose(ticket()))
    outcome = batch.send(one, *proposed)
    assert bids(sim) == contracts(20)
    assert [result.error is None for result in outcome.results] == [True, False]


# -- a loop and a person ------------------------------------------------------------------------------------------


class Eager(Strategy):
    """One more bid on every tick."""

    name = "quoter"

    def on_tick(self, _view: StrategyContext) -> Iterator[Intent]:
        yield Place(TICKER, BID, cents(40), contracts(10), reason="a bid")


def eager_loop(sim: Simulation, limit: int) -> TradingLoop:
    loop = TradingLoop(sim, Eager(StrategyParams()))
    loop.engine.limits = RiskLimits(min_edge=None, max_position=contracts(limit))
    return loop


def test_a_loop_counts_what_a_person_placed_beside_it_before_it_sends_anything(sim: Simulation, beside: Store) -> None:
    sim.market()
    loop = eager_loop(sim, 30)
    loop.ticks(1)
    person = desk_of(sim, beside, max_position=contracts(30))
    typed = person.send(*person.propose(ticket(qty=contracts(20))))
    loop.take(Tick(sim.clock.now()))
    assert bids(sim) == contracts(30)
    assert typed.client_order_id in [order.client_order_id for order in loop.live]
    assert not [order for order in sim.store.orders() if order.status is OrderStatus.REJECTED]
    assert loop.engine.tally.denied == {"POSITION_LIMIT": 1}
    loop.ticks(2)
    assert bids(sim) == contracts(30)


class TwoBids(Strategy):
    """Two bids on every tick."""

    name = "quoter"

    def on_tick(self, _view: StrategyContext) -> Iterator[Intent]:
        yield Place(TICKER, BID, cents(40), contracts(10), reason="a bid")
        yield Place(TICKER, BID, cents(39), contracts(10), reason="a lower bid")


@pytest.mark.parametrize(("typed", "sent"), [(10, 20), (20, 10), (30, 0)])
def test_each_order_of_a_decision_counts_what_a_person_placed_after_it(
    sim: Simulation, beside: Store, typed: int, sent: int
) -> None:
    sim.market()
    loop = TradingLoop(sim, TwoBids(StrategyParams()))
    loop.take(sim.client.orderbook(TICKER))
    loop.engine.limits = RiskLimits(min_edge=None, max_position=contracts(30))
    person = desk_of(sim, beside, max_position=contracts(30))
    person.send(*person.propose(ticket(qty=contracts(typed))))
    loop.take(Tick(sim.clock.now()))
    assert bids(sim) == contracts(typed + sent)
    tally = loop.engine.tally
    assert (tally.intents, tally.orders) == (2, sent // 10)


def test_a_loop_sends_its_order_in_the_same_step_in_which_a_person_placed_one(sim: Simulation, beside: Store) -> None:
    sim.market()
    loop = eager_loop(sim, 30)
    loop.take(sim.client.orderbook(TICKER))
    person = desk_of(sim, beside, max_position=contracts(30))
    person.send(*person.propose(ticket()))
    loop.take(Tick(sim.clock.now()))
    assert bids(sim) == contracts(20)
    assert loop.engine.tally.denied == {}


def test_a_loop_that_is_overtaken_at_each_review_gives_up_within_a_bound_and_sends_nothing(
    sim: Simulation, beside: Store
) -> None:
    sim.market()
    loop = eager_loop(sim, 1000)
    loop.take(sim.client.orderbook(TICKER))
    store = Overtaken(sim.store, beside, sim)
    process_messages([Tick(sim.clock.now())], loop.engine, loop.venue, store)
    assert (store.times, bids(sim)) == (MAX_REVIEWS, 0)
    assert loop.engine.tally.denied == {"STATE_MOVED": 1}
    (refused,) = [order for order in sim.store.orders() if order.status is OrderStatus.REJECTED]
    assert refused.code == "STATE_MOVED"


def test_a_loop_beside_a_person_goes_on_with_its_next_decision(sim: Simulation, beside: Store) -> None:
    sim.market()
    loop = TradingLoop(sim, Quoter(StrategyParams()))
    person = desk_of(sim, beside)
    person.send(*person.propose(ticket()))
    loop.ticks(2)
    assert bids(sim) == contracts(20)


def test_a_person_beside_a_loop_is_held_to_what_the_loop_placed_meanwhile(sim: Simulation, beside: Store) -> None:
    sim.market()
    person = desk_of(sim, beside, max_position=contracts(10))
    proposed = person.propose(ticket())
    TradingLoop(sim).ticks(2)
    with pytest.raises(RefusedError) as caught:
        person.send(*proposed)
    assert (caught.value.code, bids(sim)) == ("POSITION_LIMIT", contracts(10))


def test_an_order_of_a_loop_that_was_decided_before_reducing_is_over_and_not_sent(
    sim: Simulation, beside: Store
) -> None:
    sim.market()
    loop = TradingLoop(sim)
    beside.record(StateChanged(sim.clock.now(), TradingState.REDUCING, "DAILY_LOSS", "x"))
    loop.ticks(1)
    assert (loop.live, bids(sim)) == ([], 0)
    assert [order.code for order in sim.store.orders()] == ["REDUCING"]
