"""A run over recordings: the live engine and strategies, simulated fills, recorded time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import StrategyProtocol
from kalshi_cli.core.model.inputs import Input
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.stream.sequencing import recorded_frames
from kalshi_cli.feeds.recorded_results import MarketResult, read_results
from kalshi_cli.feeds.replay import Replay
from kalshi_cli.services.research.backtest import BacktestReport, BacktestRequest, backtest
from kalshi_cli.services.research.input_filter import InputFilter
from kalshi_cli.services.research.latency import recorded_latency
from kalshi_cli.services.trading.run_summary import RunPlan
from kalshi_cli.simulator.paper.queue_position import FillModel
from kalshi_cli.simulator.paper.venue import PaperVenue

FEES_ASSUMED = (
    "The recording does not contain the fees of each series; the standard fee is assumed (taker 7% of p(1-p))"
)


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
    seed: int = 0,
    inputs: Iterable[Input] = (),
    tell: Callable[[str], None] = lambda _text: None,
    note: Callable[[str], None] = lambda _text: None,
) -> BacktestReport:
    """Run the live engine and strategies over recordings, in recorded time. The same `new_id` gives the same report.

    `inputs` are the data inputs of the strategies; UsageError if an input was not recorded. `seed` is that of drawn
    latencies. The first lines of the report, what the recording does not tell, also go to `note` and `tell`.
    """
    clock = ManualClock(Ts(0))
    results: dict[str, MarketResult] = {}
    for path in request.results:
        results.update(read_results(path))
    replay = Replay(
        request.files,
        new_decoder=lambda use_yes_price: recorded_frames(use_yes_price=use_yes_price),
        results=results,
        clock=clock,
    )
    engine = TradingEngine(
        EngineState(references=references, are_own_in_books=False, now=Ts(0)),
        limits,
        strategies,
        new_id=new_id,
        order_expiry_s=order_expiry_s,
    )
    fees = engine.state.fees
    venue = PaperVenue(
        cash=cash,
        fees=lambda ticker: fees.get(ticker, FeeSchedule()),
        new_id=new_id,
        latency_ms=recorded_latency(seed) if request.latency_ms is None else request.latency_ms,
        fill_model=FillModel(request.fill_model),
    )
    engine.step(venue.snapshot(engine.state.now))  # strategies size their orders by the balance
    hearing = InputFilter(inputs)
    report = backtest(plan, engine, hearing.of(replay), venue, clock)
    if not engine.state.markets:
        names = ", ".join(path.name for path in request.files)
        hint = "use a file that `kalshi record` wrote: --data FILE"
        raise UsageError(f"No market found in {names}", hint=hint, code="bad_recording")
    unknown = list(report.facts.unknown)
    if not fees.keys() >= engine.state.markets.keys():
        unknown.insert(0, FEES_ASSUMED)
    for line in unknown:
        note(line)
    for coin in hearing.missing_inputs(request):
        unknown.append(f"No outside price of {coin} in the data: its markets were not traded")
        tell(unknown[-1])
    return msgspec.structs.replace(
        report,
        facts=msgspec.structs.replace(report.facts, unknown=tuple(unknown)),
        fill_model=request.fill_model,
        latency="recorded" if request.latency_ms is None else f"{request.latency_ms}ms",
    )
