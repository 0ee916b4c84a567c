"""The same loop over recordings, and what its report says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace
from support.backtests import losing
from support.simulation import T0, TICKER
from support.trading import PLAN, Bidder, Broken

from kalshi_cli.base.clock import ManualClock, stopwatch
from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts, dollars, show_price
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.intents import Amend, Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot, MarketChange, Message, PublicTrade, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.research.backtest import (
    INVERTED_BOUNDS,
    BacktestReport,
    backtest,
    backtest_notes,
    backtest_view,
    bound_notes,
)
from kalshi_cli.services.trading.reports.run_summary import no_orders_text
from kalshi_cli.simulator.paper.venue import PaperVenue
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.views.formats import SignedMoney, columns
from kalshi_cli.views.runs import BacktestView

MARKET = Market(
    ticker=TICKER,
    event_ticker="KXSIM-26JUN",
    title="Above 3?",
    status=MarketStatus.ACTIVE,
    grid=CENT_GRID,
    yes_bid=None,
    yes_bid_size=Qty(0),
    yes_ask=None,
    yes_ask_size=Qty(0),
    last=None,
    volume=Qty(0),
    volume_24h=Qty(0),
    open_interest=Qty(0),
    open_time=T0,
    close_time=Ts(T0 + 86_400_000),
)


def recording(seed: int) -> list[Message]:
    """Books, trades and ticks of one market for ten minutes."""
    rng = random.Random(seed)
    messages: list[Message] = [MarketChange(T0, MARKET)]
    mid = 50
    for second in range(600):
        now = Ts(T0 + second * 1000)
        mid = min(90, max(10, mid + rng.choice([-5, -1, 0, 0, 0, 1, 5])))
        levels = [((cents(at), contracts(20)),) for at in (mid - 1, mid + 1)]
        messages.append(BookSnapshot(now, MARKET.ticker, *levels))
        taker: Side = rng.choice([BID, ASK])
        at = cents(mid + taker.sign)
        messages.append(PublicTrade(now, MARKET.ticker, f"p{second}", at, contracts(rng.randint(1, 60)), taker))
        messages.append(Tick(now))
    return messages


def replayed(messages: list[Message], *strategies: Strategy, **limits: Any) -> BacktestReport:
    ids = count(1)
    engine = TradingEngine(
        EngineState(now=Ts(0)), RiskLimits(**limits), strategies, new_id=lambda: f"c{next(ids)}", order_expiry_s=90.0
    )
    venue = PaperVenue(cash=dollars(1_000), fees=lambda _: FeeSchedule(), new_id=lambda: f"v{next(ids)}")
    clock = ManualClock(Ts(0))

    def feed() -> Iterator[Message]:
        for message in messages:
            clock.set(message.ts)
            yield message

    return backtest(PLAN, engine, feed(), venue, clock)


def test_the_same_recording_gives_the_same_report() -> None:
    first, second = (replayed(recording(3), registry.make("spike", {})) for _ in range(2))
    assert first == second
    assert first.summary.fills > 10
    assert replayed(recording(4), registry.make("spike", {})) != first


def test_a_report_adds_up() -> None:
    report = replayed(recording(3), registry.make("spike", {}))
    summary = report.summary
    assert (summary.cycles, summary.uptime_s, summary.stopped_by) == (600, 599.0, "end of data")
    assert summary.net == Money(summary.realized + summary.unrealized - summary.fees)
    assert sum(part.net for part in report.markets.values()) == summary.net
    assert report.max_drawdown >= max(0, -summary.net)
    assert summary.fills == summary.maker_fills + summary.taker_fills


def test_a_strategy_that_raises_in_a_backtest_is_contained() -> None:
    report = replayed(recording(3), Broken(StrategyParams()), min_edge=None)
    assert report.summary.orders == 1
    assert report.summary.cycles == 600


def test_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    """Ten bought at 40: marked at 50, then 30, then 60."""
    messages: list[Message] = [MarketChange(T0, MARKET)]
    for second, bid in enumerate((39, 39, 39, 50, 30, 60)):
        now = Ts(T0 + second * 1000)
        if second == 2:
            messages.append(PublicTrade(now, TICKER, "p", cents(40), contracts(10), ASK))
        levels = [((cents(at), contracts(20)),) for at in (bid, bid + 5)]
        messages += [BookSnapshot(now, TICKER, *levels), Tick(now)]
    report = replayed(messages, Bidder(StrategyParams()), min_edge=None)
    assert report.summary.fills == 1
    assert report.max_drawdown == dollars(2)
    assert report.summary.unrealized == dollars(2)


def test_nothing_recorded_is_an_empty_report() -> None:
    report = replayed([])
    assert (report.summary.cycles, report.summary.net, report.markets) == (0, 0, {})


class Mistaken(Strategy):
    """On every tick, places an order whose price is a float."""

    name = "mistaken"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        yield Place(TICKER, BID, 0.2, contracts(5))  # type: ignore[arg-type]


def test_a_backtest_without_orders_names_the_likely_causes() -> None:
    report = replayed(recording(3))
    (note,) = backtest_notes(report)
    assert report.facts.asks is not None
    low, high = map(show_price, report.facts.asks)
    assert note.startswith(f"No orders were requested: in 1 market the asks were {low} to {high} and the bids were $")
    assert "no order book had a price" in backtest_notes(replayed([]))[0]


class Sampler(Strategy):
    """Never has enough samples."""

    name, waiting = "sampler", "12 of 30 samples"


def test_a_strategy_that_waits_for_data_says_so_where_it_requested_no_orders() -> None:
    (note,) = backtest_notes(replayed(recording(3), Sampler(StrategyParams())))
    assert "it waits for sampler: 12 of 30 samples" in note


class Unsized(Strategy):
    """Asks for the size of an order at each tick, and it is none."""

    name = "unsized"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        if view.size(TICKER, BID, cents(40), None, contracts(0)):
            yield Place(TICKER, BID, cents(40), contracts(1))


def test_a_size_that_leaves_nothing_to_order_is_named_as_the_cause() -> None:
    report = replayed(recording(3), Unsized(StrategyParams()))
    (note,) = backtest_notes(report)
    times = report.summary.empty_sizes
    assert times > 1
    assert note.startswith(f"No orders were requested: `view.size` left no contract {times} times: by the size that ")
    assert no_orders_text(report.summary) == note


class Small(Strategy):
    """Places 5 hundredths of a contract, and means 5 contracts."""

    name = "small"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        yield Place(TICKER, BID, cents(1), Qty(5))


def test_a_backtest_names_orders_below_one_contract() -> None:
    text = "Every order was for less than one contract: a bare 5 is 0.05 contracts, contracts(5) is 5"
    small, usual = (
        replayed(recording(3), each, min_edge=None) for each in (Small(StrategyParams()), Bidder(StrategyParams()))
    )
    assert small.summary.orders > 0
    assert text in backtest_notes(small)
    assert text not in backtest_notes(usual)


class Mover(Strategy):
    """Places 5 contracts, and then only amends them."""

    name = "mover"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        orders = view.orders(TICKER)
        if not orders:
            yield Place(TICKER, BID, cents(1), contracts(5))
        for order in orders:
            yield Amend(order.order_id, cents(2) if order.price == cents(1) else cents(1), order.remaining)


def test_amends_do_not_make_orders_small() -> None:
    report = replayed(recording(3), Mover(StrategyParams()), min_edge=None)
    assert report.summary.orders > 5, "contracts placed by order, amends included, are below one"
    assert not [note for note in backtest_notes(report) if "less than one contract" in note]


def test_a_pessimistic_run_that_is_better_than_the_optimistic_one_is_remarked() -> None:
    report = replayed(recording(3), Bidder(StrategyParams()), min_edge=None)
    worse = replace(report, summary=replace(report.summary, net=SignedMoney(Money(report.summary.net - 1))))
    facts = replace(report.facts, has_trades=True)
    report = replace(report, facts=facts)
    assert INVERTED_BOUNDS in backtest_notes(replace(report, bounds=(report, worse)))
    assert INVERTED_BOUNDS not in backtest_notes(replace(worse, facts=facts, bounds=(worse, report)))
    assert INVERTED_BOUNDS not in backtest_notes(report)


def test_a_backtest_explains_the_first_refusal_of_each_code() -> None:
    (note,) = backtest_notes(replayed(recording(3), Mistaken(StrategyParams())))
    nothing, refused = note.split("refused. ")
    assert nothing == "Warning: nothing was traded: no order was sent, 600 requests were "
    assert refused.startswith("Refused 600 by BAD_INTENT (the strategy: its order request is not valid); first 2")
    assert f"{TICKER}: price has the wrong type: 0.2 (expected int: cents(20)). Correct the strategy or" in refused
    usual = backtest_notes(replayed(recording(3), Bidder(StrategyParams()), min_edge=None))
    assert not any("nothing was traded" in each for each in usual)


def test_a_code_that_refused_more_than_half_of_the_requests_is_a_warning_with_its_setting() -> None:
    report = replayed(recording(3), Bidder(StrategyParams()), min_edge=None)
    assert not any("more than the strategy" in each for each in backtest_notes(report))
    for refused, is_told in ((5, False), (6, True)):
        summary = replace(report.summary, intents=10, denied={"COOLDOWN": refused, "EXPOSURE": 1})
        notes = backtest_notes(replace(report, summary=summary))
        text = (
            f"Warning: COOLDOWN (risk.cooldown_after_loss_s) refused {refused} of 10 order requests: the result shows "
            "this rule more than the strategy. Correct the strategy or the setting, then run it again"
        )
        assert (text in notes) == is_told
        assert sum("more than the strategy" in each for each in notes) == is_told
    assert len(backtest_notes(replayed(recording(3), Mistaken(StrategyParams())))) == 1, "all were refused"


class Thinker(Strategy):
    """Thinks for 60 ms of real time at each tick."""

    name = "thinker"

    def on_tick(self, view: StrategyContext) -> None:
        until = stopwatch() + 0.06
        while stopwatch() < until:
            pass


def test_slow_hooks_are_noted_beside_the_report() -> None:
    slow, quick = (replayed(recording(3)[:16], one(StrategyParams())) for one in (Thinker, Bidder))
    (note,) = [note for note in backtest_notes(slow) if "hook calls took 50 ms or more" in note]
    assert " ms, waiting for a busy machine included. A backtest does not model this time" in note
    assert not any("hook calls" in note for note in backtest_notes(quick))
    names = {each.name for each in columns(BacktestView)}
    assert not names & {"slow_hooks", "slowest_hook_ms"}, "the same recording gives the same report"


@pytest.mark.parametrize(
    ("nets", "text"),
    [
        ((620_000, -70_000), "+$0.62 or -$0.07: the fill model decides its sign, so this is no demonstrated edge"),
        ((620_000, 70_000), ""),
        ((-620_000, 0), ""),
        ((620_000,), ""),
    ],
)
def test_a_sign_that_depends_on_the_fill_model_is_told(nets: tuple[int, ...], text: str) -> None:
    assert bound_notes([Money(net) for net in nets]) == ([f"The net is {text}"] if text else [])


def test_a_report_has_the_range_of_the_net_over_the_phases_of_ticks() -> None:
    report = losing()
    (one,) = [line for line in backtest_notes(report) if line.startswith("Fills are simulated")]
    assert "(--phases 4 shows how much that changes)" in one
    nets = (Money(1_330_000), Money(-160_000), Money(90_000))
    several = replace(report, phase_nets=nets)
    line = "Net with 3 phases of the ticks: -$0.16 to +$1.33"
    assert f"{line}; the phase decides its sign, so this is no demonstrated edge" in backtest_notes(several)
    assert not any("--phases" in text for text in backtest_notes(several))
    assert backtest_view(several).phase_nets == nets
    gains = replace(report, phase_nets=(Money(0), Money(5_000_000)))
    assert "Net with 2 phases of the ticks: $0.00 to +$5.00" in backtest_notes(gains)
