"""What is held in markets that a loop does not trade: it counts, at what it is worth, until it is paid out."""

from __future__ import annotations

import httpx
from support.simulation import OTHER, TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.units import Price, cents, contracts, dollars
from kalshi_cli.core.model.effects import OrderRefused
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.trading.reports.run_summary import StrategyResults

LOSS = RiskLimits(min_edge=None, max_daily_loss=dollars(10))


def hold_other(sim: Simulation) -> None:
    """A hundred contracts of the other market, bought by a person at 44 cents."""
    sim.market()
    sim.market(ticker=OTHER)
    sim.place(ticker=OTHER, price=cents(44), qty=contracts(100))


def test_a_settlement_that_can_be_read_only_hours_after_its_time_is_booked_by_a_running_loop(sim: Simulation) -> None:
    hold_other(sim)
    loop = TradingLoop(sim)
    loop.ticks(2)
    none_yet = httpx.Response(200, json={"settlements": [], "cursor": ""})
    sim.wire.before = lambda request: none_yet if request.url.path.endswith("/portfolio/settlements") else None
    sim.exchange.settle(OTHER, Price(0), sim.clock.now())
    loop.ticks(12, every_s=900)
    assert loop.engine.state.held(OTHER) == contracts(100), "companion: nothing told of it for three hours"
    sim.wire.before = lambda _request: None
    loop.ticks(10)
    assert loop.engine.state.held(OTHER) == 0
    assert [settlement.ticker for settlement in sim.store.settlements()] == [OTHER]


def test_what_a_loop_holds_in_markets_that_it_does_not_trade_counts_at_what_it_is_worth(sim: Simulation) -> None:
    hold_other(sim)
    loop = TradingLoop(sim, limits=LOSS)
    loop.ticks(3)
    assert loop.live, "companion: at 40 the four dollars and the fee are within the limit"
    sim.market(5, 9, ticker=OTHER)
    loop.ticks(20)
    assert sim.store.halt().code == "DAILY_LOSS"
    assert loop.live == sim.exchange.resting("alice") == []


def test_a_loss_elsewhere_from_before_the_start_stops_a_loop_before_its_first_order(sim: Simulation) -> None:
    hold_other(sim)
    sim.market(5, 9, ticker=OTHER)
    posts = sim.wire.posts()
    loop = TradingLoop(sim, limits=LOSS)
    loop.take(Tick(sim.clock.now()))
    loop.ticks(3)
    assert sim.store.halt().code == "DAILY_LOSS"
    assert sim.wire.posts() == posts


def test_what_was_lost_elsewhere_before_the_start_is_no_loss_of_the_run(sim: Simulation) -> None:
    hold_other(sim)
    sim.market(5, 9, ticker=OTHER)
    loop = TradingLoop(sim)
    score = StrategyResults(loop.engine)
    loop.ticks(3)
    assert score.unrealized() == -dollars(39), "bought at 44, worth 5 at the start"
    assert score.gained().net == sum(part.net for part in score.parts()) == 0
    sim.market(3, 9, ticker=OTHER)
    loop.ticks(20)
    assert score.gained().net == sum(part.net for part in score.parts()) == -dollars(2)


def test_a_market_that_is_only_held_is_none_that_a_strategy_may_trade(sim: Simulation) -> None:
    hold_other(sim)
    loop = TradingLoop(sim)
    loop.ticks(3)
    view = StrategyContext(loop.engine.state, "quoter")
    assert (view.tickers, view.market(OTHER)) == ([TICKER], None)
    denied = loop.engine.place(Place(OTHER, BID, cents(40), contracts(1)), "quoter")
    assert isinstance(denied, OrderRefused)
    assert denied.code == "UNKNOWN_MARKET"
    assert loop.engine.state.valued[OTHER].yes_bid == cents(40)


def test_what_is_held_elsewhere_is_read_twice_a_minute_and_again_soon_where_that_failed(sim: Simulation) -> None:
    hold_other(sim)
    loop = TradingLoop(sim)
    asked: list[str] = []
    is_down = True

    def look(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("/markets"):
            return None
        asked.append(request.url.params["tickers"])
        return httpx.Response(404, json={}, request=request) if is_down else None

    sim.wire.before = look
    loop.ticks(10)
    assert (asked, loop.engine.state.valued) == ([OTHER] * 3, {})
    is_down = False
    loop.ticks(60)
    assert asked == [OTHER] * 7, "at every read of the account until it succeeds, then every half a minute"
