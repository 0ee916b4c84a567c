"""An account whose fills are simulated: against the real books on paper, against recorded ones in a backtest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from kalshi_cli.base.clock import Clock, ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.engine.engine import Engine
from kalshi_cli.core.engine.strategy_runner import Strategy
from kalshi_cli.core.model.inputs import Input
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import MarketChange
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.core.state.state import State
from kalshi_cli.desk.account import restore
from kalshi_cli.desk.backtest import BacktestReport, BacktestRequest, backtest
from kalshi_cli.desk.hearing import Hearing
from kalshi_cli.desk.summary import Plan
from kalshi_cli.exchange.stream.sequencing import recorded_frames
from kalshi_cli.feeds.recorded_results import Outcome, read_results
from kalshi_cli.feeds.replay import Replay
from kalshi_cli.runner import pump
from kalshi_cli.simulator.paper.venue import PaperVenue
from kalshi_cli.store.sqlite_store import Store


def load_paper(
    store: Store,
    clock: Clock,
    limits: Limits,
    *,
    cash: Money,
    markets: Sequence[Market],
    fees: Mapping[str, FeeSchedule],
    new_id: Callable[[], str],
    strategies: Sequence[Strategy],
    references: Mapping[str, str],
    families: Mapping[str, Family] | None = None,
    order_expiry_s: float | None,
    resync: Callable[[str], None] = lambda _ticker: None,
) -> tuple[Engine, PaperVenue]:
    """Engine and venue as the last run on paper left them; the orders that it left live are ended.

    `cash` is what the paper account began with.
    """
    memory = store.load()
    venue = PaperVenue(
        cash=cash,
        fees=lambda ticker: fees.get(ticker, FeeSchedule()),
        new_id=new_id,
        fills=memory.fills,
        settlements=memory.settlements,
        stale=memory.orders,
        resync=resync,
    )
    state = State(
        markets=markets,
        fees=fees,
        references=references,
        families=families,
        are_own_in_books=False,
        now=clock.now(),
    )
    engine = restore(memory, state, limits, strategies, new_id=new_id, order_expiry_s=order_expiry_s)
    for market in markets:
        venue.observe(MarketChange(state.now, market))
    pump([venue.snapshot(state.now)], engine, venue, store)
    return engine, venue


def over_recordings(
    request: BacktestRequest,
    plan: Plan,
    limits: Limits,
    strategies: Sequence[Strategy],
    *,
    cash: Money,
    new_id: Callable[[], str],
    references: Mapping[str, str],
    order_expiry_s: float | None,
    inputs: Iterable[Input] = (),
    tell: Callable[[str], None] = lambda _text: None,
    note: Callable[[str], None] = lambda _text: None,
) -> BacktestReport:
    """The same engine and strategies over recordings, in recorded time. The same `new_id` gives the same report.

    `inputs` are what the strategies ask for from outside the exchange: UsageError where nothing of it was recorded.
    """
    clock = ManualClock(Ts(0))
    results: dict[str, Outcome] = {}
    for path in request.results:
        results.update(read_results(path))
    replay = Replay(
        request.files,
        new_decoder=lambda use_yes_price: recorded_frames(use_yes_price=use_yes_price),
        results=results,
        clock=clock,
    )
    engine = Engine(
        State(references=references, are_own_in_books=False, now=Ts(0)),
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
        latency_ms=request.latency_ms,
    )
    engine.step(venue.snapshot(engine.state.now))  # what a strategy sizes its orders by
    hearing = Hearing(inputs)
    report = backtest(plan, engine, hearing.of(replay), venue, clock)
    if not engine.state.markets:
        names = ", ".join(path.name for path in request.files)
        hint = "give what `kalshi record` writes; --data FILE"
        raise UsageError(f"no market was found in {names}", hint=hint, code="bad_recording")
    if not fees.keys() >= engine.state.markets.keys():
        note("the recording does not say what each series charges: fees are those of most (taker 7% of p(1-p))")
    for coin in hearing.unheard(request):
        tell(f"no outside price of {coin} was heard: nothing was traded on one")
    return report
