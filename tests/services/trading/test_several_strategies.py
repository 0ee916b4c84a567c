"""Several strategies at once: whose is what, who is asked first, and that nobody stands in another's way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from support.simulation import TICKER, Simulation
from support.trading import PLAN, TradingLoop

from kalshi_cli.base.units import Money, Price, Qty, cents, contracts, dollars
from kalshi_cli.cli.screen.render import status_block
from kalshi_cli.core.account.open_amends import is_amend_open
from kalshi_cli.core.account.sizing import StrategyAllocation
from kalshi_cli.core.model.effects import AmendOrder, Effect, OrderRefused
from kalshi_cli.core.model.intents import Amend, Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.trading.reports.run_summary import StrategyResults, summarize
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.views.formats import columns
from kalshi_cli.views.runs import StrategyPartRow


class Once(Strategy):
    """Does what a test says, at the next tick."""

    def __init__(self, name: str) -> None:
        super().__init__(StrategyParams())
        self.name = name  # type: ignore[misc]
        self.wants: list[Intent] = []

    def on_tick(self, _view: StrategyContext) -> Iterator[Intent]:
        while self.wants:
            yield self.wants.pop(0)


class Broken(Once):
    def on_tick(self, _view: StrategyContext) -> Iterator[Intent]:
        raise LookupError("lost my way")
        yield


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulation]:
    made = Simulation(tmp_path)
    made.market(40, 44)
    yield made
    made.close()


def place(side: Side, price: int, qty: int = 10) -> Place:
    return Place(TICKER, side, cents(price), contracts(qty), fair=cents(50))


def watched(loop: TradingLoop) -> list[Effect]:
    """What is written down from now on."""
    seen: list[Effect] = []
    loop.sim.store.on_record = lambda effect, _store: seen.append(effect)
    return seen


def denials(seen: list[Effect]) -> list[tuple[str, str]]:
    return [(effect.strategy, effect.code) for effect in seen if isinstance(effect, OrderRefused)]


def parts(loop: TradingLoop, score: StrategyResults) -> dict[str, StrategyPartRow]:
    """By strategy; together they are what the run gained."""
    found, whole = score.parts(), score.gained()
    assert sum(part.net for part in found) == whole.net
    assert sum(part.fees for part in found) == whole.fees
    return {part.strategy: part for part in found}


def position(loop: TradingLoop, strategy: str) -> Qty:
    return StrategyContext(loop.engine.state, strategy).position(TICKER)


def test_each_keeps_its_own_position_on_its_own_side_of_one_market(sim: Simulation) -> None:
    one, two = Once("one"), Once("two")
    loop = TradingLoop(sim, one, two)
    score = StrategyResults(loop.engine)
    one.wants.append(place(BID, 44))
    loop.ticks(2)
    two.wants.append(place(ASK, 40, 15))
    loop.ticks(6)
    assert (position(loop, "one"), position(loop, "two")) == (contracts(10), contracts(-15))
    assert loop.engine.state.held(TICKER) == contracts(-5)
    found = parts(loop, score)
    assert list(found) == ["one", "two"], "in the order in which they are asked, and nobody else traded"
    assert all(part.fees > 0 for part in found.values())
    assert (found["one"].at_risk, found["two"].at_risk) == (dollars("4.40"), dollars(9))


def test_what_they_hold_against_each_other_is_not_there_to_be_closed_and_no_order_goes_for_it(sim: Simulation) -> None:
    """The exchange would cancel or refuse each, and they would take the order rate from everybody."""
    one, two = Once("one"), Once("two")
    loop = TradingLoop(sim, one, two)
    one.wants.append(place(BID, 44))
    loop.ticks(2)
    two.wants.append(place(ASK, 40, 4))
    loop.ticks(6)
    out = Place(TICKER, BID, cents(44), contracts(4), tif=TimeInForce.IOC, reduce_only=True)
    seen = watched(loop)
    two.wants.append(out)
    loop.ticks(6)
    assert denials(seen) == [("two", "NOT_CLOSING")]
    one.wants.append(msgspec.structs.replace(out, side=ASK, price=cents(40), qty=contracts(10)))
    loop.ticks(6)
    assert denials(seen) == [("two", "NOT_CLOSING")]
    assert (position(loop, "one"), position(loop, "two")) == (contracts(4), contracts(-4)), "six were there to be sold"


def test_what_a_person_trades_beside_them_is_nobody_s_but_theirs(sim: Simulation) -> None:
    one, two = Once("one"), Once("two")
    loop = TradingLoop(sim, one, two)
    score = StrategyResults(loop.engine)
    one.wants.append(place(BID, 44))
    loop.ticks(2)
    sim.place(price=cents(44), qty=contracts(5))
    sim.market(42, 46)
    loop.ticks(8)
    found = parts(loop, score)
    assert list(found) == ["one", "two", ""]
    assert found["two"].net == 0
    assert found[""].fees > 0
    assert position(loop, "one") == contracts(10)


@pytest.mark.parametrize("names", [("one", "two"), ("two", "one")])
def test_two_strategies_never_cross_each_other_whoever_comes_first(sim: Simulation, names: tuple[str, str]) -> None:
    first, second = map(Once, names)
    loop = TradingLoop(sim, first, second)
    seen = watched(loop)
    first.wants.append(place(BID, 42))
    second.wants.append(place(ASK, 42))
    loop.ticks(2)
    assert denials(seen) == [(second.name, "SELF_CROSS")]
    second.wants.append(place(ASK, 43))
    loop.ticks(2)
    assert len(loop.live) == 2
    assert loop.engine.state.held(TICKER) == 0


@pytest.mark.parametrize("names", [("one", "two"), ("two", "one")])
def test_nor_do_they_by_an_amend(sim: Simulation, names: tuple[str, str]) -> None:
    first, second = map(Once, names)
    loop = TradingLoop(sim, first, second)
    seen = watched(loop)
    first.wants.append(place(BID, 41))
    second.wants.append(place(ASK, 43))
    loop.ticks(2)
    orders = {order.strategy: order for order in loop.live}
    first.wants.append(Amend(orders[first.name].order_id, cents(43), contracts(10)))
    loop.ticks(2)
    second.wants.append(Amend(orders[second.name].order_id, cents(41), contracts(10)))
    loop.ticks(2)
    assert denials(seen) == [(first.name, "SELF_CROSS"), (second.name, "SELF_CROSS")]
    second.wants.append(Amend(orders[second.name].order_id, cents(42), contracts(10)))
    loop.ticks(2)
    assert {order.price for order in loop.live} == {cents(41), cents(42)}


def test_the_order_given_is_the_order_in_which_they_are_asked(sim: Simulation) -> None:
    """There is room for one of them."""
    for names in (("one", "two"), ("two", "one")):
        strategies = [Once(name) for name in names]
        limits = RiskLimits(min_edge=None, max_orders_per_minute=1)
        loop = TradingLoop(sim, *strategies, limits=limits)
        seen = watched(loop)
        for each in strategies:
            each.wants.append(place(BID, 41))
        loop.ticks(1)
        assert loop.engine.strategies == names
        assert denials(seen) == [(names[1], "ORDER_RATE")]
        sim.clock.advance(120)


def test_one_that_fails_does_not_stop_the_others(sim: Simulation) -> None:
    broken, two = Broken("one"), Once("two")
    loop = TradingLoop(sim, broken, two)
    two.wants.append(place(BID, 41))
    loop.ticks(2)
    assert [order.strategy for order in loop.live] == ["two"]
    assert [text.partition(":")[0] for text in loop.engine.failed] == ["one"]


def test_the_status_has_a_line_for_each_of_several(sim: Simulation) -> None:
    one, two = Once("one"), Once("two")
    limits = RiskLimits(min_edge=None, allotments={"one": StrategyAllocation(budget=dollars(5))})
    loop = TradingLoop(sim, one, two, limits=limits)
    score = StrategyResults(loop.engine)
    one.wants.append(place(BID, 40))
    loop.ticks(2)
    for names, lines in (
        (
            2,
            [
                "  one: net $0.00, 1 live orders, at risk $4.00 of $5.00",
                "  two: net $0.00, 0 live orders, at risk $0.00",
            ],
        ),
        (1, []),
    ):
        summary = summarize(loop.engine, score, PLAN, cycles=1, uptime_s=1, day_net=Money(0), stopped_by="")
        shown = status_block(msgspec.structs.replace(summary, strategies=summary.strategies[:names])).splitlines()
        assert [line for line in shown if "at risk" in line] == lines
        assert "unrealized change $0.00" in shown[2], "positions of an earlier run count with their change"
        assert "unrealized change" in [column.label for column in columns(type(summary))]


# -- amends in a loop -------------------------------------------------------------------------------------------------


def amending(loop: TradingLoop, one: Once) -> str:
    """An order of ten at 41 rests; its id."""
    one.wants.append(Place(TICKER, BID, cents(41), contracts(10), fair=cents(50), post_only=True))
    loop.ticks(2)
    (order,) = loop.live
    assert order.status is OrderStatus.RESTING
    return order.order_id


def test_an_amend_reaches_the_exchange_and_is_the_order_from_then_on(sim: Simulation) -> None:
    one = Once("one")
    loop = TradingLoop(sim, one)
    order_id = amending(loop, one)
    one.wants.append(Amend(order_id, cents(42), contracts(7)))
    loop.ticks(1)
    (order,) = loop.live
    assert (order.status, order.price, order.remaining) == (OrderStatus.RESTING, cents(42), contracts(7))
    stated = sim.client.order(order_id)
    assert (stated.price, stated.remaining) == (cents(42), contracts(7))
    assert [(filed.price, filed.remaining) for filed in sim.store.live_orders()] == [(cents(42), contracts(7))]


@pytest.mark.parametrize("is_taken", [True, False])
def test_an_amend_without_an_answer_counts_as_the_worse_and_is_found_out(sim: Simulation, is_taken: bool) -> None:
    """Once the exchange states the new terms it is known at once; that it never came is known when it no more can."""
    one = Once("one")
    loop = TradingLoop(sim, one, expiry_s=None)
    order_id = amending(loop, one)
    lose = lost(sim, is_taken=is_taken)
    one.wants.append(Amend(order_id, cents(42), contracts(20)))
    loop.ticks(1)
    assert lose() == 1, "sent once"
    (order,) = loop.live
    (filed,) = sim.store.live_orders()
    assert (filed.status, filed.price, filed.remaining) == (OrderStatus.UNKNOWN, cents(42), contracts(20))
    loop.ticks(3)
    (order,) = loop.live
    assert is_amend_open(order) is not is_taken
    loop.ticks(40)
    (order,) = loop.live
    expected = (cents(42), contracts(20)) if is_taken else (cents(41), contracts(10))
    assert (order.status, order.price, order.remaining) == (OrderStatus.RESTING, *expected)


def lost(sim: Simulation, *, is_taken: bool) -> Callable[[], int]:
    """From now on amends get no answer, or do not arrive; how many there were."""
    count = 0

    def fail(request: httpx.Request) -> None:
        nonlocal count
        if request.url.path.endswith("/amend"):
            count += 1
            raise httpx.ReadTimeout("no answer", request=request)

    if is_taken:
        sim.wire.after = fail
    else:
        sim.wire.before = fail
    return lambda: count


def test_an_amend_is_on_file_before_it_is_sent(sim: Simulation) -> None:
    one = Once("one")
    loop = TradingLoop(sim, one)
    order_id = amending(loop, one)
    on_file: list[tuple[OrderStatus, Price, Qty]] = []

    def look(request: object) -> None:
        if str(getattr(request, "url", "")).endswith("/amend"):
            (filed,) = sim.store.live_orders()
            on_file.append((filed.status, filed.price, filed.remaining))

    sim.wire.before = look
    one.wants.append(Amend(order_id, cents(42), contracts(12)))
    seen = watched(loop)
    loop.ticks(1)
    assert on_file == [(OrderStatus.UNKNOWN, cents(42), contracts(12))]
    assert [effect.wanted.price for effect in seen if isinstance(effect, AmendOrder)] == [cents(42)]


def test_a_budget_holds_in_a_loop(sim: Simulation) -> None:
    one, two = Once("one"), Once("two")
    limits = RiskLimits(min_edge=None, allotments={"one": StrategyAllocation(budget=dollars(5))})
    loop = TradingLoop(sim, one, two, limits=limits)
    seen = watched(loop)
    one.wants += [place(BID, 40), place(BID, 40)]
    two.wants += [place(BID, 40), place(BID, 40)]
    loop.ticks(2)
    assert denials(seen) == [("one", "BUDGET")]
    found = parts(loop, StrategyResults(loop.engine))
    assert (found["one"].budget, found["two"].budget) == (dollars(5), None)
    assert found["one"].live_orders == 1
