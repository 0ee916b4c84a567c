"""Exits with the real client, venue, store and exchange: a strategy that never sells is sold out at its floor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from support.simulation import TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Qty, cents, contracts, dollars
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams

LIMITS = RiskLimits(min_edge=None, stop_loss_pct=50, cooldown_after_loss_ms=600_000)


class Holder(Strategy):
    """Buys ten whenever it holds none, and never sells."""

    name = "holder"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        if not view.position(TICKER) and not view.orders(TICKER):
            yield Place(TICKER, BID, cents(44), contracts(10), tif=TimeInForce.IOC, reason="in")


def started(sim: Simulation) -> TradingLoop:
    sim.market(40, 44)
    loop = TradingLoop(sim, Holder(StrategyParams()), limits=LIMITS)
    loop.ticks(2)
    assert sim.exchange.position("alice", TICKER) == contracts(10)
    return loop


def exits(sim: Simulation) -> list[Order]:
    return sorted((o for o in sim.store.orders() if o.reason == "stop-loss"), key=lambda order: order.created)


def codes(loop: TradingLoop) -> list[str]:
    return [alert.code for alert in loop.alerts("STOP_LOSS", "STOP_LOSS_STUCK")]


@pytest.mark.parametrize("bid", [21, 22])
def test_a_strategy_that_never_sells_is_sold_out_below_its_floor_and_stays_out(sim: Simulation, bid: int) -> None:
    """It paid 44: 22 is half of it."""
    loop = started(sim)
    sim.market(bid, 44)
    loop.ticks(4)
    is_sold = bid < 22
    assert sim.exchange.position("alice", TICKER) == (0 if is_sold else contracts(10))
    assert [(order.price, order.filled, order.strategy) for order in exits(sim)] == [
        (cents(21), contracts(10), "holder")
    ] * is_sold
    assert loop.engine.state.owned(TICKER, "holder") == (0 if is_sold else contracts(10))
    assert codes(loop) == ["STOP_LOSS"] * is_sold


def test_an_empty_book_is_waited_for_and_then_sold_into(sim: Simulation) -> None:
    loop = started(sim)
    sim.exchange.cancel_all("maker", sim.clock.now(), TICKER)
    sim.quote(ASK, 5)
    loop.ticks(10)
    assert sim.exchange.position("alice", TICKER) == contracts(10)
    assert (exits(sim), codes(loop)) == ([], ["STOP_LOSS_STUCK"])
    sim.quote(BID, 4, 6)
    loop.ticks(2)
    assert sim.exchange.position("alice", TICKER) == contracts(4), "what somebody bought"


def test_an_exit_whose_answer_is_lost_is_not_sent_twice(sim: Simulation) -> None:
    loop = started(sim)
    sim.market(21, 44)

    def lose(request: httpx.Request) -> None:
        if request.method == "POST":
            sim.wire.after = lambda _: None
            raise httpx.ReadTimeout("lost", request=request)

    sim.wire.after = lose
    loop.ticks(6)
    (order,) = exits(sim)
    assert (order.status, order.filled) == (OrderStatus.FILLED, contracts(10))
    assert sim.exchange.position("alice", TICKER) == 0


def test_a_loop_that_crashed_in_the_middle_of_an_exit_goes_on_with_what_is_left(sim: Simulation) -> None:
    loop = started(sim)
    sim.exchange.cancel_all("maker", sim.clock.now(), TICKER)
    sim.quote(BID, 21, 4)
    sim.quote(ASK, 44)
    loop.ticks(2)
    assert sim.exchange.position("alice", TICKER) == contracts(6)
    sim.quote(BID, 20, 100)
    again = TradingLoop(sim, Holder(StrategyParams()), limits=LIMITS)
    again.ticks(2)
    assert sim.exchange.position("alice", TICKER) == 0
    again.ticks(5)
    assert sim.exchange.position("alice", TICKER) == 0, "and it stays out, after the restart too"


@pytest.mark.parametrize("is_limited", [True, False])
def test_a_fall_from_the_best_is_counted_over_a_restart(sim: Simulation, is_limited: bool) -> None:
    """What a loop saw as the best is in the state file; the next one falls from there."""
    limits = RiskLimits(min_edge=None, max_drawdown=dollars(2) if is_limited else None)
    sim.market(40, 44)
    first = TradingLoop(sim, Holder(StrategyParams()), limits=limits)
    first.ticks(2)
    sim.store.update_account_high(dollars(5), sim.clock.now())
    again = TradingLoop(sim, Holder(StrategyParams()), limits=limits)
    again.ticks(2)
    code = "DRAWDOWN" if is_limited else ""
    assert sim.store.halt().code == code
    assert [alert.code for alert in again.alerts("DRAWDOWN")] == [code] * is_limited


class Runaway(Strategy):
    """Buys ten at every look, whatever it holds."""

    name = "runaway"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        yield Place(ticker, BID, cents(44), contracts(10), tif=TimeInForce.IOC)


NO_LIMITS = RiskLimits(
    max_position=None, max_exposure=None, max_order_qty=None, max_order_cost=None, price_collar=None, min_edge=None,
    max_orders_per_minute=None, max_daily_loss=None, max_api_errors=None, max_close_slippage=None,
)  # fmt: skip


@pytest.mark.parametrize("is_braked", [True, False])
def test_a_runaway_strategy_is_stopped_by_the_exchange_with_our_own_limits_off(
    sim: Simulation, is_braked: bool
) -> None:
    """`trade.group_limit`: fifty contracts within fifteen seconds trip the group, and it takes no more."""
    sim.market(40, 44)
    sim.quote(ASK, 44, 1_000)
    loop = TradingLoop(sim, Runaway(StrategyParams()), limits=NO_LIMITS)
    if is_braked:
        loop.engine.state.groups[0] = sim.client.create_order_group(contracts(50)).group_id
    with suppress(KalshiError):
        loop.ticks(30, every_s=1.0)
    held: Qty = sim.exchange.position("alice", TICKER)
    if is_braked:
        assert contracts(50) <= held <= contracts(60)
        assert [alert.code for alert in loop.alerts("GROUP_TRIGGERED")] == ["GROUP_TRIGGERED"]
    else:
        assert held > contracts(200), "the companion: nothing else held it"
