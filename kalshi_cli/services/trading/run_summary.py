"""What is run, and what came of it, in numbers."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import Money
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.services.trading.run_score import StrategyResults
from kalshi_cli.services.trading.stop_signals import exit_code
from kalshi_cli.views.formats import Ratio, SignedMoney
from kalshi_cli.views.runs import TradeSummary


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is run. `words` says the mode so that nobody can take one for another, `code` which strategy files."""

    run_id: str
    pid: int
    strategy: str
    env: str
    mode: str
    words: str
    code: tuple[str, ...] = ()
    markets: int
    duration_s: float | None
    status_every_s: float
    stop_budget_s: float


class RunSummary(TradeSummary, frozen=True, kw_only=True):
    """One run, with what is amiss."""

    failed: tuple[str, ...]
    """Strategies that raised or hung and were taken out, and why."""
    halt: str = ""
    """Why the account is halted; empty where it is not, or only paused."""
    is_paused: bool = False
    reducing: str = ""
    """Why only what makes a position smaller is placed, and what ends that; empty where that is not so."""
    triggered_groups: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """What the program ends with after it."""
        return exit_code(
            self.stopped_by, live=self.live_orders, is_halted=bool(self.halt), has_failed=bool(self.failed)
        )


def summarize(
    engine: TradingEngine,
    score: StrategyResults,
    plan: RunPlan,
    *,
    cycles: int,
    uptime_s: float,
    day_net: Money,
    stopped_by: str,
) -> RunSummary:
    """One run in numbers, as it stands."""
    tally, gained = engine.tally, score.gained()
    return RunSummary(
        strategy=plan.strategy,
        env=plan.env,
        mode=plan.mode,
        uptime_s=round(uptime_s, 1),
        cycles=cycles,
        intents=tally.intents,
        orders=tally.orders,
        fills=tally.fills,
        maker_fills=tally.maker_fills,
        taker_fills=tally.taker_fills,
        open_positions=sum(1 for position in engine.state.ledger.positions.values() if position.qty),
        live_orders=sum(1 for order in engine.state.orders.live() if order.strategy),
        win_rate=None if tally.win_rate is None else Ratio(tally.win_rate),
        denied=dict(sorted(tally.denied.items())),
        realized=SignedMoney(gained.realized),
        unrealized=SignedMoney(gained.unrealized),
        fees=gained.fees,
        net=SignedMoney(gained.net),
        balance=engine.cash,
        day_net=SignedMoney(day_net),
        failed=engine.failed,
        strategies=score.parts(),
        stopped_by=stopped_by or ("halt" if engine.state.trading is TradingState.HALTED else "end of data"),
    )


def trade_summary(summary: RunSummary) -> TradeSummary:
    """Return the numbers alone; who has no name is `(none)`."""
    parts = (msgspec.structs.replace(part, strategy=part.strategy or "(none)") for part in summary.strategies)
    return TradeSummary.of(summary, strategies=tuple(parts))
