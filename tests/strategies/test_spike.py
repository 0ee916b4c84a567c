"""The spike strategy: what it enters, what it leaves alone, and how it gets out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.simulation import TICKER as SIM_TICKER
from support.simulation import Simulation
from support.tape import NO_LIMITS, TICKER, StrategyHarness, cancel_reasons, held, old_order, submitted_orders

from kalshi_cli.base.units import Ts, cents, contracts, dollars
from kalshi_cli.core.account.sizing import Sizing, StrategyAllocation
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import Effect, OrderRefused, SubmitOrder
from kalshi_cli.core.model.messages import Filled, Message, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.runner import process_messages
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.spike import Spike


def spike(**given: object) -> Spike:
    strategy = registry.make("spike", given)
    assert isinstance(strategy, Spike)
    return strategy


def tape(**given: object) -> StrategyHarness:
    return StrategyHarness(spike(**given))


def entered(**given: object) -> StrategyHarness:
    """Short 5 from 48, after a rise."""
    played = tape(**given)
    played.book(40, 42)
    assert len(submitted_orders(played.book(46, 48))) == 1
    played.trade(48, 105, BID)
    assert played.position == -contracts(5)
    return played


def test_a_sudden_rise_is_sold_at_the_ask() -> None:
    played = tape()
    assert submitted_orders(played.book(40, 42)) == []
    (order,) = submitted_orders(played.book(46, 48))
    assert (order.side, order.price, order.qty) == (ASK, cents(48), contracts(5))
    assert (order.fair, order.post_only, order.tif) == (cents(41), True, TimeInForce.GTC)
    assert order.reason == "mid $0.41 -> $0.47 within 60 s"


def test_a_sudden_fall_is_bought_at_the_bid() -> None:
    played = tape()
    played.book(46, 48)
    (order,) = submitted_orders(played.book(40, 42))
    assert (order.side, order.price, order.fair) == (BID, cents(40), cents(47))


def test_a_slow_move_is_no_spike() -> None:
    played = tape(window_s="10", move="3c", move_pct="50")
    for step in range(8):
        assert submitted_orders(played.book(40 + step, 42 + step, after=11)) == []


@pytest.mark.parametrize(
    ("move", "percent", "orders"), [("3c", "10", 1), ("3c", "20", 0), ("10c", "3", 0), ("6c", "14", 1)]
)
def test_a_spike_is_large_in_cents_and_in_percent(move: str, percent: str, orders: int) -> None:
    played = tape(move=move, move_pct=percent)
    played.book(40, 42)
    assert len(submitted_orders(played.book(46, 48))) == orders


def test_a_move_that_the_reference_made_as_well_is_left_alone() -> None:
    played = tape()
    played.index(1_000_000_000)
    played.book(40, 42)
    played.index(1_001_000_000)
    assert submitted_orders(played.book(46, 48)) == []


def test_a_move_that_the_reference_did_not_make_is_faded() -> None:
    played = tape()
    played.index(1_000_000_000)
    played.book(40, 42)
    played.index(1_000_100_000)
    assert len(submitted_orders(played.book(46, 48))) == 1


@pytest.mark.parametrize("silent_s", [0, 16, 200])
def test_where_the_reference_fell_silent_nobody_knows_what_explains_a_move(silent_s: int) -> None:
    """What it said last would make every move of the coin look like a spike."""
    played = tape()
    played.index(1_000_000_000)
    played.book(40, 42)
    for _ in range(silent_s):
        played.tick(1)
        played.book(40, 42)
    assert len(submitted_orders(played.book(46, 48))) == (silent_s == 0)


def test_after_the_clock_was_set_back_no_mid_from_before_is_compared_with() -> None:
    played = tape()
    played.book(40, 42)
    played.tick(-3_600)
    assert submitted_orders(played.book(46, 48)) == []
    assert len(submitted_orders(played.book(40, 42))) == 1, "what is seen from then on counts"


def test_an_order_is_as_large_as_the_configuration_says() -> None:
    share = StrategyAllocation(sizing=Sizing(kind="fraction", fraction=0.01))
    played = StrategyHarness(spike(), limits=msgspec.structs.replace(NO_LIMITS, allotments={"spike": share}))
    played.book(40, 42)
    assert submitted_orders(played.book(46, 48)) == [], "until the balance is known"
    played.engine.state.cash_besides = dollars(1_000)
    (order,) = submitted_orders(played.tick())
    assert order.qty == contracts(18), "for ten dollars at 52c, with a taker's fee"


def test_nothing_is_entered_near_the_ends_or_without_two_sides() -> None:
    played = tape(min_price="10c")
    played.book(5, 6)
    assert submitted_orders(played.book(1, 2)) == []
    played.book(3, 4)
    assert submitted_orders(played.book(93, 95)) == []


def test_a_filled_entry_rests_its_exit_at_the_target() -> None:
    played = entered(target="2c")
    (exit_,) = submitted_orders(played.book(45, 48))
    assert (exit_.side, exit_.price, exit_.qty, exit_.post_only) == (BID, cents(46), contracts(5), True)
    covered = played.book(44, 48)
    assert not any(isinstance(effect, SubmitOrder | OrderRefused) for effect in covered), "nothing more is asked for"
    played.trade(46, 5, ASK)
    assert played.position == 0


def test_an_exit_never_crosses_where_the_market_moved_past_the_target() -> None:
    played = entered(target="2c")
    (exit_,) = submitted_orders(played.book(40, 42))
    assert exit_.price == cents(41)


def test_a_partly_filled_entry_is_covered_for_what_it_has() -> None:
    played = tape()
    played.book(40, 42)
    played.book(46, 48)
    played.trade(48, 102, BID)
    (exit_,) = submitted_orders(played.book(46, 48))
    assert exit_.qty == contracts(2)
    played.tick(25)
    assert cancel_reasons(played.effects) == ["entry not filled in time"], "and only the entry"


@pytest.mark.parametrize(("side", "book"), [(ASK, (51, 52)), (BID, (36, 37))])
def test_the_stop_takes_back_the_exit_and_takes_the_price_that_is_there(side: Side, book: tuple[int, int]) -> None:
    played = tape(stop="4c")
    played.book(*((40, 42) if side is ASK else (46, 48)))
    played.book(*((46, 48) if side is ASK else (40, 42)))
    played.trade(48 if side is ASK else 40, 105, side.opposite)
    played.book(*((46, 48) if side is ASK else (40, 42)))
    assert cancel_reasons(played.book(*book)) == ["stop"]
    (out,) = submitted_orders(played.book(*book))
    assert (out.side, out.price, out.tif) == (
        side.opposite,
        cents(book[1] if side is ASK else book[0]),
        TimeInForce.IOC,
    )
    assert out.reduce_only
    assert out.reason == "stop"
    played.tick()
    assert played.position == 0


def test_time_ends_a_trade_even_when_nothing_moves() -> None:
    played = entered(hold_s="30")
    played.book(46, 48)
    assert cancel_reasons(played.tick(31)) == ["time"]
    played.tick(1)
    assert [order.reason for order in submitted_orders(played.effects)][-1] == "time"
    played.tick(1)
    assert played.position == 0


def test_leaving_is_tried_once_a_second_and_waits_for_a_price() -> None:
    played = entered(hold_s="30")
    played.book(46, 48, size=1)
    played.tick(31)
    played.tick(1)
    assert len(submitted_orders(played.tick(0.5))) == 0
    assert len(submitted_orders(played.tick(1))) == 1, "only one contract was there; the rest is tried again"


def test_leaving_goes_on_after_the_clock_was_set_back() -> None:
    """When the hour that it was set back by has passed would be too late."""
    played = entered()
    for _ in range(3):
        played.book(60, 61, size=1)
    played.tick(0.1)
    left = played.position
    assert -contracts(5) < left < 0, "one contract at a time is there"
    assert [(order.side, order.qty) for order in submitted_orders(played.tick(-3_600))] == [(BID, -left)]


def test_an_unfilled_entry_is_taken_back_and_the_market_left_alone_for_a_while() -> None:
    played = tape(rest_s="20", cooldown_s="30")
    played.book(40, 42)
    played.book(46, 48)
    assert cancel_reasons(played.tick(21)) == ["entry not filled in time"]
    played.tick(1)
    played.tick(1)
    played.book(40, 42)
    assert submitted_orders(played.book(46, 48)) == [], "the cooldown"
    assert len(submitted_orders(played.book(40, 42, after=31))) == 1


def test_a_position_of_an_earlier_run_is_looked_after() -> None:
    played = tape()
    played.recall([old_order()], [held()])
    (exit_,) = submitted_orders(played.book(39, 41))
    assert (exit_.side, exit_.price, exit_.qty) == (ASK, cents(42), contracts(5)), "target from the mid at take-over"


def test_an_order_of_an_earlier_run_counts_as_the_entry() -> None:
    played = tape()
    played.recall([old_order(status=OrderStatus.RESTING, filled=contracts(0))])
    played.book(40, 42)
    assert submitted_orders(played.book(46, 48)) == [], "or it would hold twice its size"
    assert cancel_reasons(played.tick(25)) == ["entry not filled in time"]


def test_another_strategys_position_is_not_its_business() -> None:
    played = tape()
    played.recall([old_order(strategy="other")], [held()])
    played.book(40, 42)
    assert submitted_orders(played.book(46, 48))[0].reason.startswith("mid")


def closed_by_a_person(played: StrategyHarness, qty: int) -> None:
    by_hand = msgspec.structs.replace(
        held(BID, 48, qty), trade_id="by hand", order_id="theirs", client_order_id="", ts=played.now
    )
    played.play(Filled(played.now, by_hand))


def test_an_exit_for_what_a_person_closed_is_taken_back_at_once() -> None:
    played = entered()
    (exit_,) = submitted_orders(played.tick())
    assert (exit_.side, exit_.qty) == (BID, contracts(5)), "companion: it rests, and filled it would open a long"
    closed_by_a_person(played, 5)
    assert cancel_reasons(played.tick()) == ["no position to exit"]
    assert [submitted_orders(played.tick()) for _ in range(200)] == [[]] * 200
    assert played.engine.state.orders.live() == []


def test_an_exit_is_never_larger_than_what_a_person_left() -> None:
    played = entered()
    played.tick()
    closed_by_a_person(played, 2)
    assert cancel_reasons(played.tick()) == ["larger than the position"]
    (exit_,) = submitted_orders(played.tick())
    assert (exit_.side, exit_.qty) == (BID, contracts(3))


# -- whatever the books do ------------------------------------------------------------------------------------------

steps = st.one_of(
    st.tuples(st.just("book"), st.integers(2, 95), st.integers(1, 4), st.sampled_from([0.3, 1.0, 8.0, 45.0])),
    st.tuples(st.just("trade"), st.integers(-4, 4), st.integers(1, 200), st.sampled_from([BID, ASK])),
    st.tuples(st.just("tick"), st.sampled_from([0.5, 2.0, 30.0, 130.0]), st.none(), st.none()),
)


def play(played: StrategyHarness, script: Any) -> Iterator[list[Effect]]:
    mid = 50
    for kind, first, second, third in script:
        if kind == "book":
            mid = first
            yield played.book(first, first + second, after=third, size=3 + first % 7)
        elif kind == "trade":
            yield played.trade(min(99, max(1, mid + first)), second, third)
        else:
            yield played.tick(first)


def assert_modest(played: StrategyHarness, effects: list[Effect]) -> None:
    size = contracts(5)
    bids, asks = played.engine.state.orders.worst_case(TICKER)
    assert played.position + bids <= size
    assert asks - played.position <= size
    for order in submitted_orders(effects):
        assert order.reason
        if order.reason.startswith("mid"):
            assert order.fair is not None
        else:
            assert order.side.sign * played.engine.state.held(TICKER) <= 0, "an exit only ever closes"


@settings(max_examples=120, deadline=None)
@given(st.lists(steps, min_size=4, max_size=40), st.sampled_from([0, 150, 2_000]))
def test_it_never_holds_more_than_its_size(script: Any, latency_ms: int) -> None:
    played = StrategyHarness(spike(), latency_ms=latency_ms)
    for effects in play(played, script):
        assert_modest(played, effects)
    event(f"orders: {min(3, len(submitted_orders(played.effects)))}")


def test_the_property_meets_entries_targets_stops_and_timeouts() -> None:
    rng = random.Random(7)
    seen: dict[str, int] = {}
    for _ in range(40):
        played, at, script = StrategyHarness(spike(), latency_ms=150), 50, list[Any]()
        for _ in range(60):
            at = min(90, max(5, at + rng.choice([-6, -3, -1, 0, 0, 1, 3, 6])))
            script.append(("book", at, rng.randint(1, 3), rng.choice([1.0, 2.0, 8.0, 130.0])))
            script.append(("trade", rng.randint(-2, 3), rng.randint(1, 200), rng.choice([BID, ASK])))
        for effects in play(played, script):
            assert_modest(played, effects)
            for order in submitted_orders(effects):
                kind = order.reason.split()[0]
                seen[kind] = seen.get(kind, 0) + 1
    assert seen.keys() == {"mid", "target", "stop", "time"}
    assert min(seen.values()) >= 5


class Greedy(Spike):
    """A broken variant: it forgets that it has entered."""

    def on_book(self, view: Any, ticker: str) -> Any:
        for track in self._tracks.values():
            track.entered = None
        mid = view.book(ticker).mid
        yield from super().on_book(view, ticker)
        if mid is not None:
            yield from self._enter(view, ticker, self._tracks[ticker], mid)


def test_the_property_finds_a_variant_that_enters_twice() -> None:
    played = StrategyHarness(Greedy(spike().params))
    with pytest.raises(AssertionError):  # noqa: PT012
        for effects in play(played, [("book", bid, 2, 1.0) for bid in (40, 46, 47, 48, 46, 52, 40)]):
            assert_modest(played, effects)


# -- on paper, and at the simulated exchange ------------------------------------------------------------------------

SCRIPT: list[tuple[str, int, int]] = [
    ("book", 40, 42),
    ("book", 40, 42),
    ("book", 46, 48),
    ("lift", 48, 105),
    ("book", 45, 49),
    ("hit", 46, 5),
    ("book", 40, 42),
    ("wait", 40, 0),
    ("book", 46, 48),
    ("lift", 48, 105),
    ("book", 45, 49),
    ("wait", 125, 0),
    ("wait", 2, 0),
    ("wait", 2, 0),
]


class Recorded:
    def __init__(self) -> None:
        self.effects: list[Effect] = []

    def record(self, effect: Effect) -> None:
        self.effects.append(effect)


def wanted(effects: list[Effect]) -> list[tuple[Side, int, int, str]]:
    return [(o.side, o.price, o.qty, o.reason) for o in (e.order for e in effects if isinstance(e, SubmitOrder))]


def on_paper() -> list[Effect]:
    played = tape()
    for kind, first, second in SCRIPT:
        if kind == "book":
            played.book(first, second)
        elif kind == "wait":
            played.tick(first)
        else:
            side = BID if first == 48 else ASK
            played.trade(first, second, side)
    return played.effects


def at_the_exchange(folder: Path) -> list[Effect]:
    sim = Simulation(folder)
    try:
        sim.market(40, 42)
        engine = load_engine(
            sim.client,
            sim.store,
            sim.clock,
            StrategyHarness().engine.limits,
            markets=[sim.client.market(SIM_TICKER)],
            fees={},
            new_id=sim.new_id,
            strategies=[spike()],
        )
        venue = LiveVenue(sim.client, None, sim.clock, live=engine.state.orders.live, since=Ts(0), every_s=0.5)
        store = Recorded()

        def hear(message: Message) -> None:
            process_messages((*venue.observe(message), message), engine, venue, store)

        for kind, first, second in SCRIPT:
            sim.clock.advance(first if kind == "wait" else 1.0)
            if kind == "book":
                sim.market(first, second)
                hear(Tick(sim.clock.now()))
                hear(sim.client.orderbook(SIM_TICKER))
            elif kind == "wait":
                hear(Tick(sim.clock.now()))
            else:
                sim.take(BID if first == 48 else ASK, first, second)
        held_at_the_end = sim.exchange.position("alice", SIM_TICKER)
        assert engine.state.ledger.position(SIM_TICKER).qty == held_at_the_end
        return store.effects
    finally:
        sim.close()


def test_it_does_the_same_on_paper_and_at_the_simulated_exchange(tmp_path: Path) -> None:
    paper, exchange = wanted(on_paper()), wanted(at_the_exchange(tmp_path))
    assert paper == exchange
    assert [reason.split()[0] for *_, reason in paper] == ["mid", "target", "mid", "target", "time"]


def test_an_engine_without_markets_leaves_it_silent() -> None:
    engine = TradingEngine(
        EngineState(now=Ts(0)), StrategyHarness().engine.limits, [spike()], new_id=lambda: "x", order_expiry_s=None
    )
    assert engine.step(Tick(Ts(1))) == []
