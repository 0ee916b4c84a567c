"""A run of the loop: how it ends, what it leaves, what it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.simulation import OTHER, T0, TICKER, Simulation
from support.trading import Bidder, Broken, Many, TradingSession

from kalshi_cli.base.errors import HaltedError, StateFileError, UnreachableError
from kalshi_cli.base.units import Money, Ts, cents, contracts, dollars
from kalshi_cli.core.model.effects import Effect, FillBooked, OrderChanged, OrderRefused, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import Message, StateCommand
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import DAY_MS, RiskLimits, utc_midnight
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.net.local_events import EventPublisher
from kalshi_cli.services.trading.halts import refuse_if_halted
from kalshi_cli.services.trading.reports.live_events import LoopEvents
from kalshi_cli.services.trading.session import ReportingRecorder
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.store.state_store import ACCOUNT_READ
from kalshi_cli.strategies.base import StrategyParams
from kalshi_cli.views.runs import StartingPositionRow


def test_a_duration_ends_the_run(sim: Simulation) -> None:
    run = TradingSession(sim, duration_s=10)
    summary = run.over(run.ticks(100))
    assert (summary.stopped_by, summary.cycles) == ("duration", 5)
    assert summary.uptime_s == pytest.approx(10, abs=0.5)


def test_a_run_has_reported_once_it_knows_whether_the_exchange_is_paused(sim: Simulation) -> None:
    run, told = TradingSession(sim), list[str]()
    sim.exchange.pause("exchange", sim.clock.now())
    run.reported = lambda: told.extend(alert.code for alert in sim.store.alerts())

    def tick(number: int) -> None:
        told.append(f"tick {number}")
        is_lost = number == 0
        sim.wire.before = lambda asked: httpx.Response(500) if is_lost and "status" in asked.url.path else None

    run.over(run.ticks(4, tick))
    assert told == ["tick 0", "tick 1", "EXCHANGE_PAUSED", "tick 2", "tick 3"]


def test_a_stop_cancels_the_loops_own_orders_and_no_others(sim: Simulation) -> None:
    mine = sim.quote(BID, 20, 3, who="alice", ticker=OTHER)
    run = TradingSession(sim)

    def stop(n: int) -> None:
        if n == 2:
            assert len(sim.exchange.resting("alice", TICKER)) == 1
            run.asked.append(StateCommand(sim.clock.now(), None, "SIGTERM"))

    summary = run.over(run.ticks(100, stop))
    assert (summary.stopped_by, summary.live_orders, summary.orders) == ("SIGTERM", 0, 1)
    (sent,) = summary.sent
    assert (sent.ticker, sent.strategy, sent.book_side) == (TICKER, "bidder", BID)
    assert [order_id for order_id, *_ in sim.exchange.resting("alice")] == [mine]
    statuses = {order.strategy: order.status for order in sim.store.orders()}
    assert statuses == {"bidder": OrderStatus.CANCELED, "": OrderStatus.RESTING}


def test_the_summary_has_the_median_latency_of_the_orders_of_the_run(sim: Simulation) -> None:
    run = TradingSession(sim)

    def measure(n: int) -> None:
        for order, took_ms in zip(sim.store.orders() if n == 1 else (), (47,), strict=False):
            sim.store.record_placement(order.client_order_id, took_ms)

    assert run.over(run.ticks(3, measure)).latency == "47ms"
    sim.clock.advance(1)
    later = TradingSession(sim)
    assert later.over(iter(())).latency is None, "that was an earlier run"
    assert TradingSession(sim, simulated_latency="150ms").over(iter(())).latency == "150ms"


def test_the_end_of_the_feed_is_an_orderly_end_too(sim: Simulation) -> None:
    run = TradingSession(sim)
    assert run.over(run.ticks(3)).stopped_by == "end of data"
    assert sim.exchange.resting("alice") == []


def test_a_halt_by_another_process_is_obeyed_and_lasts(sim: Simulation) -> None:
    run = TradingSession(sim)
    placed_at_halt: list[int] = []

    def halt(n: int) -> None:
        if n == 3:
            other = Store.open(sim.path, account="alice", environment="sim")
            other.set_halt(Halt(TradingState.HALTED, "MANUAL", "a person", sim.clock.now()))
            other.close()
            placed_at_halt.append(sim.wire.posts())

    summary = run.over(run.ticks(8, halt))
    assert summary.stopped_by == "halt"
    assert run.engine.state.trading is TradingState.HALTED
    assert sim.wire.posts() == placed_at_halt[0]
    assert sim.exchange.resting("alice") == []
    stored = sim.store.halt()
    assert (stored.state, stored.code) == (TradingState.HALTED, "MANUAL")
    with pytest.raises(HaltedError, match="MANUAL"):
        refuse_if_halted(sim.store)


def test_a_resume_by_another_process_lets_it_trade_again(sim: Simulation) -> None:
    run = TradingSession(sim)
    states = {2: TradingState.HALTED, 5: TradingState.ACTIVE}

    def decide(n: int) -> None:
        if n in states:
            sim.store.set_halt(Halt(states[n], "MANUAL", "a person", sim.clock.now()))

    summary = run.over(run.ticks(9, decide))
    assert (summary.orders, summary.stopped_by) == (2, "end of data")
    refuse_if_halted(sim.store)


def test_the_summary_says_what_happened_in_numbers(sim: Simulation) -> None:
    run = TradingSession(sim)

    def trade(n: int) -> None:
        if n == 2:
            sim.take(ASK, 40, 10)
        if n == 4:
            sim.market(50, 53)

    summary = run.over(run.ticks(7, trade))
    assert (summary.intents, summary.orders, summary.fills, summary.maker_fills) == (1, 1, 1, 1)
    assert (summary.open_positions, summary.win_rate, summary.denied) == (1, None, {})
    assert (summary.realized, summary.unrealized) == (Money(0), dollars(1)), "ten contracts from 40 to 50"
    assert summary.net == Money(summary.unrealized - summary.fees) == summary.day_net
    assert summary.balance == sim.exchange.cash("alice")
    assert (summary.strategy, summary.env, summary.mode) == ("bidder", "sim", "live")


def test_denials_are_counted_by_code(sim: Simulation) -> None:
    run = TradingSession(sim)
    run.engine.limits = RiskLimits(min_edge=None, max_order_qty=contracts(1))
    summary = run.over(run.ticks(4))
    assert summary.denied == {"ORDER_SIZE": summary.intents}
    assert sim.wire.posts() == 0


def test_profit_from_before_the_run_is_not_this_runs(sim: Simulation) -> None:
    sim.market(39, 44)
    sim.place(price=cents(44))
    sim.market(60, 63)
    run = TradingSession(sim)
    assert run.engine.state.ledger.position(TICKER).qty == contracts(10)
    run.engine.step(sim.client.orderbook(TICKER))
    summary = run.over(iter(()))
    assert (summary.realized, summary.fees, summary.fills) == (0, 0, 0)
    assert summary.starting_positions == (
        StartingPositionRow(ticker=TICKER, side="yes", count=contracts(10), average_price=cents(44)),
    )


def test_every_cycle_leaves_a_heartbeat(sim: Simulation) -> None:
    run = TradingSession(sim)
    seen: list[tuple[int, bool]] = []

    def look(_n: int) -> None:
        cycle = sim.store.last_cycle()
        if cycle is not None:
            seen.append((cycle.cycles, cycle.is_running))

    run.over(run.ticks(4, look))
    assert seen == [(1, True), (2, True), (3, True)]
    last = sim.store.last_cycle()
    assert last is not None
    assert (last.run_id, last.pid, last.cycles, last.is_running, last.mode) == ("run-1", 4242, 4, False, "live")
    assert (last.started, last.completed) == (T0, sim.clock.now())
    assert last.cash == sim.exchange.cash("alice")
    assert sim.store.alert_book.mark(ACCOUNT_READ) == run.engine.state.account_read != 0


def test_the_status_is_shown_every_so_often(sim: Simulation) -> None:
    run = TradingSession(sim, status_every_s=6.0)
    run.over(run.ticks(10))
    assert [summary.cycles for summary in run.shown] == [3, 6, 9]


def test_a_strategy_that_raises_is_contained_and_its_orders_cancelled(sim: Simulation) -> None:
    run = TradingSession(sim, Broken(StrategyParams()), Bidder(StrategyParams()))
    run.engine.limits = RiskLimits(min_edge=None, max_position=None)
    checks: list[set[str]] = []
    run.over(run.ticks(5, lambda _: checks.append({order.strategy for order in run.engine.state.orders.live()})))
    assert checks[2:] == [{"broken", "bidder"}, {"bidder"}, {"bidder"}]
    (line,) = [line for line in sim.said if "STRATEGY_FAILED" in line]
    assert "CRITICAL" in line
    assert "lost my way" in line
    assert [alert.code for alert in sim.store.alerts()] == ["STRATEGY_FAILED"]


class Seller(Bidder):
    """Sells what it does not hold: it buys NO."""

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        if not view.orders(ticker):
            yield Place(ticker, ASK, cents(60), contracts(10))


def test_an_order_left_live_is_named_by_what_it_does_to_the_position(sim: Simulation) -> None:
    run = TradingSession(sim, Seller(StrategyParams()), stop_budget_s=1.0)
    run.over(run.ticks(3, lambda n: sim.exchange.pause("exchange", sim.clock.now()) if n == 2 else None))
    assert any(line.startswith(f"STILL LIVE buy 10 NO {TICKER} at $0.40: order ") for line in sim.said)


def test_orders_that_cannot_be_cancelled_are_named_at_the_end(sim: Simulation) -> None:
    run = TradingSession(sim, stop_budget_s=3.0)

    def pause(n: int) -> None:
        if n == 2:
            sim.exchange.pause("exchange", sim.clock.now())

    before = sim.clock.monotonic()
    summary = run.over(run.ticks(3, pause))
    assert summary.live_orders == 1
    assert sim.clock.monotonic() - before < 6 + 3 + 2
    (order_id, *_) = sim.exchange.resting("alice")[0]
    assert any(line.startswith("STILL LIVE buy ") and line.endswith(f": order {order_id[:8]}") for line in sim.said)
    assert sim.said[-1].startswith("next: `kalshi cancel-all`")


def test_an_error_in_the_loop_still_cancels_and_is_raised(sim: Simulation) -> None:
    run = TradingSession(sim)

    def feed() -> Iterator[Message]:
        yield from run.ticks(2)
        raise UnreachableError("the feed is gone")

    with pytest.raises(UnreachableError, match="the feed is gone"):
        run.over(feed())
    assert sim.exchange.resting("alice") == []


@contextmanager
def full_disk(sim: Simulation, is_full: Callable[[Effect], bool]) -> Iterator[None]:
    """The store of `sim` takes no effect for which `is_full` is true."""
    store = sim.store

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def record(self, effect: Effect) -> None:
            if is_full(effect):
                raise StateFileError("disk full")
            store.record(effect)

    sim.store = Full()  # type: ignore[assignment]
    yield
    sim.store = store


def test_a_full_disk_ends_the_run_and_the_orders_are_cancelled_all_the_same(sim: Simulation) -> None:
    run = TradingSession(sim)
    with full_disk(sim, lambda effect: isinstance(effect, OrderChanged)), pytest.raises(StateFileError):
        run.over(run.ticks(3))
    assert sim.exchange.resting("alice") == []
    assert sim.said == ["While stopping: disk full"]


@pytest.mark.parametrize("saved", [0, 1, 5])
def test_an_order_that_could_not_be_saved_is_not_taken_for_live_when_the_run_ends(sim: Simulation, saved: int) -> None:
    """It was not sent, nor what was decided beside it: the run ends with the fault of the file, not with 7."""
    run = TradingSession(sim, Many(StrategyParams()))
    orders: list[Effect] = []

    def is_full(effect: Effect) -> bool:
        orders.extend([effect] if isinstance(effect, SubmitOrder) else [])
        return len(orders) > saved

    with full_disk(sim, is_full), pytest.raises(StateFileError):
        run.over(run.ticks(3))
    assert sim.exchange.resting("alice") == []
    assert not [line for line in sim.said if "LIVE" in line]


def test_a_store_that_fails_while_stopping_leaves_no_order_resting(sim: Simulation) -> None:
    run = TradingSession(sim, Many(StrategyParams()))
    stopped: list[int] = []
    tried: list[Effect] = []

    def is_full(effect: Effect) -> bool:
        tried.extend([effect] if stopped else [])
        return bool(stopped)

    def fill_the_disk(n: int) -> None:
        if n == 2:
            assert len(sim.exchange.resting("alice")) == 12
            stopped.append(n)
            run.asked.append(StateCommand(sim.clock.now(), None, "SIGTERM"))

    with full_disk(sim, is_full), pytest.raises(StateFileError):
        run.over(run.ticks(3, fill_the_disk))
    assert sim.exchange.resting("alice") == []
    assert [line for line in sim.said if "disk full" in line] == ["While stopping: disk full"]
    assert len(tried) == 1, "a locked file costs five seconds each time, and the cancels have ten"


# -- the lines of a run -------------------------------------------------------------------------------------------


def test_a_fill_is_shown_with_its_time_its_strategy_and_the_result_of_the_day(sim: Simulation) -> None:
    run = TradingSession(sim)
    run.over(run.ticks(3, lambda n: n == 2 and sim.take(ASK, 40, 4)))
    (line,) = [line for line in run.noted if "bought" in line]
    assert re.fullmatch(
        rf"\d\d:\d\d:\d\d UTC bidder bought 4 YES {TICKER} at \$0.40 \(maker, fee .*\); P&L today .*", line
    )


class Sweeper(Bidder):
    """Takes two levels of asks with one order."""

    name = "sweeper"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        if not view.orders(ticker) and not view.position(ticker):
            yield Place(ticker, BID, cents(45), contracts(10), tif=TimeInForce.IOC, reason="sweeps")


class Credited(LoopEvents):
    """Keeps the strategy of each fill."""

    strategies: tuple[str, ...] = ()

    def note(self, effect: Effect, strategy: str = "") -> None:
        self.strategies += (strategy,) if isinstance(effect, FillBooked) else ()


def test_every_piece_of_an_order_is_published_with_its_strategy(sim: Simulation, tmp_path: Path) -> None:
    run = TradingSession(sim, Sweeper(StrategyParams()))
    sim.quote(ASK, 43, qty=5)
    publisher = EventPublisher(tmp_path / "events.sock")
    run.events = published = Credited(publisher, sim.clock, sim.store, host="sim", has_real_money=False)
    run.over(run.ticks(3))
    publisher.close()
    assert published.strategies == ("sweeper", "sweeper")


def test_the_end_of_a_run_lists_open_positions_with_the_command_that_closes_them(sim: Simulation) -> None:
    run = TradingSession(sim)
    run.over(run.ticks(3, lambda n: n == 2 and sim.take(ASK, 40, 4)))
    (line,) = [line for line in run.noted if line.startswith("Open position: ")]
    assert line.startswith(f"Open position: 4 YES {TICKER}, cost $1.60")
    assert line.endswith(f"To close: `kalshi close {TICKER}`")


def test_a_denial_is_shown_once_a_minute_for_each_cause(sim: Simulation) -> None:
    run = TradingSession(sim)
    noted: list[str] = []
    recorder = ReportingRecorder(sim.store, run.engine, noted.append, noted.append)
    for seconds in (0, 1, 70):
        ts = Ts(T0 + 1000 * seconds)
        recorder.record(OrderRefused(ts, "fade", TICKER, "ORDER_SIZE", "too many"))
    assert [line.partition("; ")[0] for line in noted] == [
        f"{time} UTC fade refused {TICKER}: too many (ORDER_SIZE)" for time in ("20:26:40", "20:27:50")
    ]


def test_a_denial_with_one_cause_in_every_market_is_shown_for_the_first_market_only(sim: Simulation) -> None:
    noted: list[str] = []
    recorder = ReportingRecorder(sim.store, TradingSession(sim).engine, lambda _text: None, noted.append)
    for code in ("GROUP_TRIGGERED", "ORDER_SIZE"):
        for ticker in ("KXA-1", "KXB-1"):
            recorder.record(OrderRefused(T0, "fade", ticker, code, "why"))
    shown = [line.partition("refused ")[2].partition(";")[0] for line in noted]
    assert shown == ["KXA-1: why (GROUP_TRIGGERED)", "KXA-1: why (ORDER_SIZE)", "KXB-1: why (ORDER_SIZE)"]


def test_a_group_that_still_blocks_after_a_resume_is_told_once_with_the_command(sim: Simulation) -> None:
    told: list[str] = []
    recorder = ReportingRecorder(sim.store, TradingSession(sim).engine, told.append, lambda _text: None)
    for _ in range(2):
        recorder.record(StateChanged(T0, TradingState.ACTIVE, "RESUMED", "looked into"))
        for minute in range(3):
            ts = Ts(T0 + 60_000 * minute)
            recorder.record(OrderRefused(ts, "fade", TICKER, "GROUP_TRIGGERED", "order group a1 is triggered"))
    assert told == 2 * [
        "TRADING IS ACTIVE",
        "Orders are blocked, exits too: order group a1 is triggered. To let the loop trade:"
        " `kalshi resume --reason TEXT --reset-groups`",
    ]


def test_a_bounded_run_ends_when_every_strategy_is_disabled(sim: Simulation) -> None:
    sim.market()
    run = TradingSession(sim, Broken(StrategyParams()), duration_s=100)
    summary = run.over(run.ticks(40))
    assert (summary.stopped_by, summary.exit_code) == ("strategy_failed", 1)
    assert summary.cycles < 10
    (text,) = summary.failed_strategies
    assert text.startswith("broken: LookupError: lost my way")
    assert (summary.started, summary.markets) == (T0, 1)
    assert summary.ended is not None
    assert summary.ended - T0 == pytest.approx(summary.uptime_s * 1000, abs=100)
    assert summary.starting_balance == dollars(10_000)


def test_it_goes_on_with_another_strategy_without_a_duration_and_with_exits(sim: Simulation) -> None:
    sim.market()
    cases: tuple[tuple[tuple[Bidder, ...], float | None, bool], ...] = (
        ((Broken(StrategyParams()), Bidder(StrategyParams())), 20, False),
        ((Broken(StrategyParams()),), None, False),
        ((Broken(StrategyParams()),), 20, True),
    )
    for strategies, duration_s, has_exits in cases:
        run = TradingSession(sim, *strategies, duration_s=duration_s)
        run.engine.exits.sell = has_exits
        summary = run.over(run.ticks(12))
        assert summary.failed
        assert summary.cycles >= 10, strategies


def test_a_run_over_midnight_saves_the_prices_for_every_other_program(sim: Simulation) -> None:
    sim.market(40, 44)
    sim.place(price=cents(44))
    midnight = Ts(utc_midnight(sim.clock.now()) + DAY_MS)
    sim.clock.advance((midnight - sim.clock.now()) / 1000 - 5)
    sim.exchange.advance(sim.clock.now())
    run = TradingSession(sim)
    run.over(run.ticks(6))
    assert sim.clock.now() > midnight
    assert sim.store.opening_marks(midnight) == {TICKER: cents(40)}
    assert not [path for _, path in sim.wire.sent if path.endswith("/candlesticks")], "no read inside the loop"
