"""The sessions: short, so that every request can get every fault; together they use everything that trades."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from support.simulation import OTHER, TICKER, Simulation

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import Message, StateCommand, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.account import portfolio
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.runner import run
from kalshi_cli.strategies.base import Strategy
from verification.nth.person import Person, order


class Session(NamedTuple):
    """`prepare` makes what it begins with, untroubled; `play` is what the faults are tried on."""

    name: str
    prepare: Callable[[Person], None]
    play: Callable[[Person], None]


def _markets(person: Person) -> None:
    """Two books, 30 contracts on each side."""
    for ticker in (TICKER, OTHER):
        person.sim.quote(BID, 39, 30, ticker=ticker)
        person.sim.quote(ASK, 44, 30, ticker=ticker)


def _place(person: Person) -> None:
    person.place("rests", price=cents(40), qty=contracts(10))
    person.sim.take(ASK, 40, 3)
    person.place("crosses", price=cents(44), qty=contracts(45), ticker=OTHER)
    person.reconcile()


def _take(person: Person) -> None:
    person.place("takes", price=cents(45), qty=contracts(5), tif=TimeInForce.IOC)
    person.place("refused", price=cents(45), qty=contracts(5), post_only=True)
    person.place("denied", price=cents(99))


def _batch(person: Person) -> None:
    person.batch(
        order("first", price=cents(38)),
        order("crosses", price=cents(45), post_only=True),
        order("fills", price=cents(45), qty=contracts(2), ticker=OTHER),
        order("sells", price=cents(50), action="sell", ticker=OTHER),
    )
    person.reconcile()


def _three_rest(person: Person) -> None:
    _markets(person)
    person.place("one", price=cents(40), qty=contracts(10))
    person.place("two", price=cents(50), qty=contracts(8), action="sell")
    person.place("three", price=cents(38), qty=contracts(6), ticker=OTHER)
    person.sim.take(ASK, 40, 3)


def _id(person: Person, name: str) -> str:
    found = person.sim.store.order(name)
    assert found is not None
    assert found.order_id
    return found.order_id


def _change(person: Person) -> None:
    one, two = _id(person, "one"), _id(person, "two")
    person.amend(one, price=cents(41), qty=contracts(5))
    person.decrease(one, to=contracts(2))
    person.sim.take(BID, 50, 1)
    person.decrease(two, by=contracts(3))


def _amend_across(person: Person) -> None:
    person.amend(_id(person, "one"), price=cents(44), qty=contracts(9))
    person.reconcile()


def _cancel(person: Person) -> None:
    one, two = _id(person, "one"), _id(person, "two")
    person.cancel(one)
    person.sim.take(BID, 50, 8)
    person.cancel(two)
    person.cancel_all(OTHER)
    person.reconcile()


def _kill(person: Person) -> None:
    client = person.sim.client
    group = person.do("new group", "group", lambda: client.create_order_group(contracts(100)))
    if group is not None:
        person.place("grouped", price=cents(37), order_group_id=group.group_id)
    person.cancel_all(with_groups=True)
    if group is not None:
        person.do("reset group", "group", lambda: client.reset_order_group(group))
        person.do("delete group", "group", lambda: client.delete_order_group(group))


def _kill_again(person: Person) -> None:
    """Before this, a list was read in which nothing rests."""
    person.place("one more", price=cents(40), qty=contracts(10))
    person.place("two more", price=cents(38), qty=contracts(6), ticker=OTHER)
    person.sim.clock.advance(5)
    person.cancel_all(with_groups=True)


def _nothing_rests(person: Person) -> None:
    _markets(person)
    person.cancel_all(with_groups=True)


def _holds(person: Person) -> None:
    _markets(person)
    person.place("bought", price=cents(44), qty=contracts(12))


def _close(person: Person) -> None:
    person.close(TICKER)


def _reads(person: Person) -> None:
    client = person.sim.client
    person.read("orders", lambda: list(client.all_orders()))
    person.read("portfolio", lambda: portfolio.read(client))
    person.read("balance", client.balance)
    person.read("groups", client.order_groups)


class Quoter(Strategy):
    """Rests, takes, replaces and takes back, by the number of the tick."""

    name = "quoter"

    def __init__(self) -> None:
        self._ticks = 0

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        self._ticks += 1
        if self._ticks == 1:
            yield Place(TICKER, BID, cents(40), contracts(10), fair=cents(60), reason="rest", post_only=True)
        if self._ticks == 2:
            yield Place(OTHER, BID, cents(44), contracts(4), fair=cents(60), reason="take", tif=TimeInForce.IOC)
        if self._ticks == 4:
            for each in view.orders(TICKER):
                yield Cancel(each.client_order_id, reason="replace")
            yield Place(TICKER, ASK, cents(52), contracts(3), fair=cents(40), reason="replace", post_only=True)


def _ticks(person: Person) -> Iterator[Message]:
    """Every two seconds the books, as polled; then a stop in good order."""
    sim = person.sim

    def tick() -> Iterable[Message]:
        sim.clock.advance(2.0)
        for ticker in (TICKER, OTHER):
            with suppress(KalshiError):  # the loop polls on
                yield sim.client.orderbook(ticker)
        yield Tick(sim.clock.now())

    for number in range(1, 6):
        person.wires.step = f"tick {number}"
        if number == 3:
            sim.take(ASK, 40, 4)
        yield from tick()
    person.wires.step = "stop"
    yield StateCommand(sim.clock.now(), None, "the proof")
    for _ in range(3):
        yield from tick()


def _loop(person: Person) -> None:
    sim = person.sim

    def act() -> None:
        markets = [sim.client.market(ticker) for ticker in (TICKER, OTHER)]
        engine = load_engine(
            sim.client, sim.store, sim.clock, RiskLimits(), markets=markets,
            fees={ticker: FeeSchedule() for ticker in (TICKER, OTHER)}, new_id=sim.new_id,
            strategies=[Quoter()], order_expiry_s=20.0,
        )  # fmt: skip
        venue = LiveVenue(sim.client, None, sim.clock, live=engine.state.orders.live, since=engine.state.last_entry)
        run(_ticks(person), engine, venue, sim.store)
        assert engine.state.trading is TradingState.ACTIVE or sim.store.halt().state is not TradingState.ACTIVE

    person.do("loop", "loop", act)
    person.reconcile("reconcile after the loop")


SESSIONS = (
    Session("place", _markets, _place),
    Session("take", _markets, _take),
    Session("batch", _markets, _batch),
    Session("change", _three_rest, _change),
    Session("amend across", _three_rest, _amend_across),
    Session("cancel", _three_rest, _cancel),
    Session("kill", _three_rest, _kill),
    Session("kill again", _nothing_rests, _kill_again),
    Session("close", _holds, _close),
    Session("reads", _three_rest, _reads),
    Session("loop", _markets, _loop),
)


def begin(sim: Simulation, session: Session, person: Person) -> None:
    """Everything until the faults begin."""
    session.prepare(person)
    assert all(told.code == 0 for told in person.told), person.told
    person.told.clear()
    sim.clock.advance(2.5)  # whatever the lag, reads have caught up
