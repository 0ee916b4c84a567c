"""What an alert closes: every subaccount, and what is left is said."""

from __future__ import annotations

from contextlib import closing

import msgspec
import pytest
from support.served import KEY_ID, ME, TWO_SIDED, Served, program
from support.simulation import Simulation, intend
from support.values import make_order

from kalshi_cli.app.environment import opened
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import dollars
from kalshi_cli.config import sources
from kalshi_cli.core.model.effects import AlertRaised, OrderChanged
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.services.orders import flatten as flattening
from kalshi_cli.services.orders.flatten import await_cancels, flatten
from kalshi_cli.store.lock import lock
from kalshi_cli.store.sqlite_store import Store


def flattened(exchange: Served, **values: object) -> AlertRaised:
    """What was recorded."""
    chosen = sources.load(None, exchange.variables(), values)
    flatten(lambda: opened(chosen, lambda _: None))
    with opened(chosen, lambda _: None) as found:
        return found.store.alerts()[0]


def held_in_a_subaccount(exchange: Served) -> int:
    def made() -> int:
        number = exchange.exchange.add_subaccount(ME)
        assert number is not None
        exchange.exchange.deposit(ME, dollars(50), subaccount=number)
        return number

    number: int = exchange.call(made)
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "3", subaccount=number)
    return number


def test_every_subaccount_is_closed(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "2")
    number = held_in_a_subaccount(exchange)
    alert = flattened(exchange)
    assert (alert.code, alert.tier) == ("FLATTENED", "warning")
    assert alert.text == f"closed {TWO_SIDED}, {TWO_SIDED} in subaccount {number}"
    for one in (0, number):
        assert exchange.call(lambda one=one: exchange.exchange.position(ME, TWO_SIDED, one)) == 0  # type: ignore[misc]


def test_with_nothing_held_it_says_so(exchange: Served) -> None:
    assert flattened(exchange).text == "no open positions"


def test_what_is_left_is_critical_and_named(exchange: Served) -> None:
    number = held_in_a_subaccount(exchange)
    exchange.call(lambda: exchange.exchange.pause_market(TWO_SIDED, exchange.clock.now()))
    alert = flattened(exchange)
    assert (alert.code, alert.tier) == ("FLATTEN_FAILED", "critical")
    assert f"left: 3 YES of {TWO_SIDED} in subaccount {number}" in alert.text


def test_that_nothing_may_be_sent_is_a_failure(exchange: Served) -> None:
    alert = flattened(exchange, read_only=True)
    assert alert.code == "FLATTEN_FAILED"


def test_the_cancels_of_a_paused_loop_are_awaited_for_a_few_seconds(sim: Simulation) -> None:
    sim.market()
    order = intend(sim, "of-the-loop")
    before = sim.clock.monotonic()
    assert not await_cancels(sim.store, sim.clock, 5.0)
    assert 5.0 <= sim.clock.monotonic() - before < 6.0
    sim.store.record(OrderChanged(msgspec.structs.replace(order, status=OrderStatus.CANCELED)))
    assert await_cancels(sim.store, sim.clock, 5.0)
    assert sim.clock.monotonic() - before < 6.0


def test_the_command_waits_only_for_a_paused_loop_and_says_if_orders_are_left(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flattening, "CANCELS_S", 0.0)  # the orders of this loop stay
    with closing(Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim")) as store:
        store.record(OrderChanged(make_order("of-the-loop", order_id="o1", ticker=TWO_SIDED, strategy="spike")))
    left = "The paused loop still has live orders"
    assert left not in program("flatten").err, "no loop runs"
    with lock(exchange.state / "sim" / "trade.lock", SystemClock()):
        assert left not in program("flatten").err, "the loop is not paused"
        assert program("pause", "--reason", "a test").code == 0
        assert left not in program("flatten", "--dry-run").err, "nothing is sent"
        assert left in program("flatten").err
