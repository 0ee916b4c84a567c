"""What is run, and what came of it, in numbers."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import Money
from kalshi_cli.core.engine.engine import Engine
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.desk.score import Score, StrategyPart
from kalshi_cli.desk.signals import exit_code


class Plan(msgspec.Struct, frozen=True, kw_only=True):
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


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One run, in numbers. Money is of this run; `net` is realized plus unrealized less fees, `day_net` the day's."""

    strategy: str
    env: str
    mode: str
    uptime_s: float
    cycles: int
    intents: int
    orders: int
    fills: int
    maker_fills: int
    taker_fills: int
    open_positions: int
    live_orders: int
    win_rate: float | None
    denied: dict[str, int]
    realized: Money
    unrealized: Money
    fees: Money
    net: Money
    balance: Money | None
    day_net: Money
    stopped_by: str
    failed: tuple[str, ...]
    """Strategies that raised or hung and were taken out, and why."""
    halt: str = ""
    """Why the account is halted; empty where it is not, or only paused."""
    is_paused: bool = False
    reducing: str = ""
    """Why only what makes a position smaller is placed, and what ends that; empty where that is not so."""
    triggered_groups: tuple[str, ...] = ()
    parts: tuple[StrategyPart, ...] = ()
    """By strategy; `net` and `fees` add up to the run's."""

    @property
    def exit_code(self) -> ExitCode:
        """What the program ends with after it."""
        return exit_code(
            self.stopped_by, live=self.live_orders, is_halted=bool(self.halt), has_failed=bool(self.failed)
        )


def summarize(
    engine: Engine, score: Score, plan: Plan, *, cycles: int, uptime_s: float, day_net: Money, stopped_by: str
) -> Summary:
    """One run in numbers, as it stands."""
    tally, gained = engine.tally, score.gained()
    return Summary(
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
        win_rate=tally.win_rate,
        denied=dict(sorted(tally.denied.items())),
        realized=gained.realized,
        unrealized=gained.unrealized,
        fees=gained.fees,
        net=gained.net,
        balance=engine.cash,
        day_net=day_net,
        failed=engine.failed,
        parts=score.parts(),
        stopped_by=stopped_by or ("halt" if engine.state.trading is TradingState.HALTED else "end of data"),
    )
