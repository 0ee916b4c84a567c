"""A run over recordings: the live engine and strategies, simulated fills, recorded time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import msgspec

from kalshi_cli.base.clock import Clock, ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import StrategyProtocol
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.inputs import Input
from kalshi_cli.core.model.markets import FeeSchedule, Market
from kalshi_cli.core.state.last_prices import LastPrices
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.feeds.recorded_results import MarketResult, read_results
from kalshi_cli.feeds.recording_format import NO_TIME
from kalshi_cli.services.research import recorded_data
from kalshi_cli.services.research.backtest import BacktestReport, BacktestRequest, Drive, backtest
from kalshi_cli.services.research.input_filter import InputFilter
from kalshi_cli.services.research.latency import recorded_latency
from kalshi_cli.services.research.report.unknown import UnknownData
from kalshi_cli.services.runner import run
from kalshi_cli.services.trading.reports.run_summary import RunPlan
from kalshi_cli.services.trading.strategy_watchdog import Watchdog
from kalshi_cli.simulator.paper.queue_position import FillModel
from kalshi_cli.simulator.paper.venue import PaperVenue

OpenFeed = Callable[[BacktestRequest, ManualClock, float, Callable[[int], None]], recorded_data.BacktestFeed]
"""Opens the feed of a backtest; `replay_of` is the reference."""

HOOK_LIMIT_S = 60.0
"""Seconds of real time in which a hook of a strategy must return, in a backtest."""


def over_recordings(
    request: BacktestRequest,
    plan: RunPlan,
    limits: RiskLimits,
    strategies: Sequence[StrategyProtocol],
    *,
    cash: Money,
    new_id: Callable[[], str],
    references: Mapping[str, str],
    order_expiry_s: float | None,
    interval_s: float,
    seed: int = 0,
    inputs: Iterable[Input] = (),
    hook_limit_s: float = HOOK_LIMIT_S,
    group_limit: Qty | None = None,
    on_read: Callable[[int], None] = lambda _size: None,
    open_feed: OpenFeed = recorded_data.replay_of,
) -> BacktestReport:
    """Run the live engine and strategies over recordings, in recorded time. The same `new_id` gives the same report.

    `inputs` are the data inputs of the strategies; UsageError if an input was not recorded. `seed` is that of drawn
    latencies. A tick comes every `interval_s` of recorded time. A hook that does not return within `hook_limit_s` of
    real time ends its strategy, if this is the main thread of the process: only there it can be interrupted. The report
    says where live trading would have stopped, because the fills reached `group_limit`. `on_read` gets the number of
    bytes of the recordings that were read since its last call.
    """
    clock = ManualClock(Ts(0))
    coming, replay, is_compiled, period = open_feed(request, clock, interval_s, on_read)
    engine, venue, drive = set_up(
        limits, strategies, cash=cash, new_id=new_id, references=references, order_expiry_s=order_expiry_s,
        latency_ms=request.latency_ms, fill_model=request.fill_model, seed=seed,
        is_compiled=is_compiled, results=replay.results,
    )  # fmt: skip
    engine.state.simulated_group_limit = group_limit
    hearing = InputFilter(inputs)
    hearing.gaps.age_s = engine.state.spot_ages.get
    holes = recorded_data.HoleFilter(request.holes)
    with _ending_hung_hooks(engine, clock, hook_limit_s):
        report = backtest(plan, engine, holes.of(hearing.of(coming)), venue, clock, drive)
    holes.end(min(replay.last_line, NO_TIME if request.until is None else request.until))
    if period is not None:
        recorded_data.require_messages(period, request.sources)
    recorded_data.require_chosen(request, engine.state.markets, replay.left_out)
    if not engine.state.markets:
        raise UsageError(
            f"No market found in {request.sources}" + ("" if replay.last_line else ": there is no recorded message"),
            hint="use a recording that `kalshi record` wrote",
            code="bad_recording",
        )
    hearing.require_inputs(request)
    cuts = [f"the rest of a recording: {recorded_data.cut_text(*each)}" for each in replay.cut.items()]
    cuts += [recorded_data.order_text(name, *times) for name, times in replay.turned_back.items()]
    unknown = recorded_data.unknown_of(engine.state.markets, engine.state.fees, has_trades=holes.has_trades)
    found = (*(UnknownData(words=each) for each in cuts), *hearing.gaps.unknown(), *unknown)
    return msgspec.structs.replace(
        report,
        unused_results=_unused(request.results, engine.state.markets),
        holes=holes.count,
        lost_s=holes.lost_s,
        gap_mode=request.holes,
        facts=msgspec.structs.replace(
            report.facts,
            unknown=(*found, *report.facts.unknown),
            pauses=tuple(holes.pauses),
            has_trades=holes.has_trades,
        ),
        fill_model=request.fill_model,
        latency=request.latency,
    )


def _ending_hung_hooks(engine: TradingEngine, clock: Clock, limit_s: float) -> AbstractContextManager[None]:
    """Return a context that interrupts a strategy whose hook does not return, as in live trading."""
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    watchdog = Watchdog(
        lambda: engine.hooks.asked, limit_s, clock,
        tell=lambda _text: None, remember=lambda _alert: None, withdraw=lambda: True,
    )  # fmt: skip
    return watchdog.watching()


def _unused(results: Iterable[Path], markets: Mapping[str, Market]) -> tuple[str, ...]:
    """Return the tickers of results whose markets are not in the data, if some of its markets have no result.

    A file with the results of many recordings is usual; where a result is missing, a ticker may be mistyped.
    """
    if all(market.result for market in markets.values()):
        return ()
    return tuple(sorted({ticker for path in results for ticker in read_results(path)} - markets.keys()))


def set_up(
    limits: RiskLimits,
    strategies: Sequence[StrategyProtocol],
    *,
    cash: Money,
    new_id: Callable[[], str],
    references: Mapping[str, str],
    order_expiry_s: float | None,
    latency_ms: int | None,
    is_compiled: bool,
    fill_model: str = "proportional",
    seed: int = 0,
    results: Mapping[str, MarketResult] | None = None,
) -> tuple[TradingEngine, PaperVenue, Drive]:
    """Return the engine, the venue and the trading loop of a backtest.

    Only the venue has the `results` of markets, to pay positions at the close: strategies do not see them.
    With `is_compiled`, and the packages of the extra `[research]`, the loop replays order books compiled: its feed may
    contain `compiled.rows.BookRows`, and the trades are the same.
    """
    new_books: tuple[Callable[[str], OrderBook], Callable[[str], OrderBook]] = (OrderBook, OrderBook)
    drive: Drive = run
    if is_compiled and find_spec("numba") is not None:
        from kalshi_cli.services.research.compiled_run import compiled_drive  # numba takes half a second to import

        drive, new_books = compiled_drive()
    engine = TradingEngine(
        EngineState(references=references, are_own_in_books=False, new_book=new_books[0], now=Ts(0)),
        limits,
        strategies,
        new_id=new_id,
        order_expiry_s=order_expiry_s,
    )
    state = engine.state
    state.last_prices = LastPrices()
    venue = PaperVenue(
        cash=cash,
        fees=lambda ticker: state.fees.get(ticker, FeeSchedule()),
        new_id=new_id,
        latency_ms=recorded_latency(seed) if latency_ms is None else latency_ms,
        fill_model=FillModel(fill_model),
        results={ticker: (each.result, each.value) for ticker, each in (results or {}).items()},
        new_book=new_books[1],
    )
    engine.step(venue.snapshot(engine.state.now))  # strategies size their orders by the balance
    return engine, venue, drive
