"""The plan of a run and its results in numbers: orders, fills, and profit and loss by strategy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Money, Price, Qty, Ts, pluralize
from kalshi_cli.core.account.ledger import Ledger, Position
from kalshi_cli.core.account.pnl import ProfitAndLoss
from kalshi_cli.core.account.sizing import NO_ALLOTMENT
from kalshi_cli.core.account.strategy_positions import UNOWNED_STRATEGY
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import SLOW_HOOK_S
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.risk.budget import at_risk
from kalshi_cli.services.trading.stop_signals import exit_code
from kalshi_cli.views.formats import Ratio, SignedMoney
from kalshi_cli.views.runs import StartingPositionRow, StrategyPartRow, StrategyRefusalsRow, TradeSummary

MAX_FAILURE_LENGTH = 200
"""The most characters of the reason why a strategy was disabled that a summary shows."""


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a run. `words` names the mode unmistakably, `code` holds the strategy files, `params` all parameters.

    `balance` is the cash at the start, and `feeds` names each data input with the result of its test. Without
    `simulated_latency`, that of orders is measured.
    """

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
    balance: Money | None = None
    feeds: tuple[str, ...] = ()
    params: dict[str, str] = {}
    settings: dict[str, str] = {}
    simulated_latency: str | None = None

    def ends(self, started: Ts) -> Ts | None:
        """Return when a run that started then ends by its duration; None without one."""
        return None if self.duration_s is None else Ts(started + int(1000 * self.duration_s))


class RunSummary(TradeSummary, frozen=True, kw_only=True):
    """The results of one run, with its problems."""

    failed: tuple[str, ...]
    """Strategies that were disabled because they raised or hung, with the reason."""
    halt: str = ""
    """The code of the halt; empty if the account is not halted, or only paused."""
    is_paused: bool = False
    reducing: str = ""
    """Code and reason of a reduce-only state; empty otherwise."""
    triggered_groups: tuple[str, ...] = ()
    empty_sizes: int = 0
    """The number of calls of `view.size` that returned 0 contracts."""

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the program after this run."""
        return exit_code(
            self.stopped_by, live=self.live_orders, is_halted=bool(self.halt), has_failed=bool(self.failed)
        )


def no_orders_text(summary: RunSummary) -> str:
    """Return why a run requested no orders, as far as its end shows it."""
    if summary.is_paused or summary.halt or summary.reducing:
        state = "paused" if summary.is_paused else "halted" if summary.halt else "reduce-only"
        return (
            f"No orders were requested: trading is {state}. `kalshi status` shows why; `kalshi resume --reason TEXT` "
            "ends it"
        )
    if summary.empty_sizes:
        return f"No orders were requested: {empty_sizes_text(summary)}"
    return "No orders were requested. `kalshi strategies NAME` shows the parameters that decide"


def empty_sizes_text(summary: RunSummary) -> str:
    """Return that the sizing left nothing to order, and the settings that decide it."""
    return (
        f"`view.size` left no contract {pluralize(summary.empty_sizes, 'time')}: by the size that the strategy gives, "
        "its sizing and budget (strategies.NAME), risk.max_order_cost or risk.max_order_count"
    )


def run_notes(summary: RunSummary) -> list[str]:
    """Return what the numbers of a run do not say: why it requested nothing, and that its strategies are slow."""
    is_idle = not summary.intents and not summary.failed
    return [*([no_orders_text(summary)] if is_idle else []), *filter(None, [slow_hooks_text(summary)])]


def slow_hooks_text(summary: RunSummary) -> str:
    """Return that the strategies are slow, which no backtest models; empty if they are not."""
    if not summary.slow_hooks:
        return ""
    return (
        f"{summary.slow_hooks} hook calls took {SLOW_HOOK_S * 1000:.0f} ms or more, the slowest "
        f"{summary.slowest_hook_ms} ms, waiting for a busy machine included. A backtest does not model this time: "
        "live, orders leave and messages are read later by it"
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
    started: Ts | None = None,
    ended: Ts | None = None,
    starting_balance: Money | None = None,
) -> RunSummary:
    """Return the results of a run so far."""
    tally, gained = engine.tally, score.gained()
    return RunSummary(
        strategy=plan.strategy,
        params=plan.params,
        settings=plan.settings,
        env=plan.env,
        mode=plan.mode,
        started=started,
        ended=ended,
        markets=len(engine.state.markets),
        starting_balance=starting_balance,
        starting_positions=score.starting_positions,
        uptime_s=round(uptime_s, 1),
        cycles=cycles,
        slow_hooks=engine.hooks.slow_calls,
        slowest_hook_ms=engine.hooks.slowest_ms,
        empty_sizes=engine.state.empty_sizes,
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
        failed_strategies=tuple(safe_text(text, MAX_FAILURE_LENGTH) for text in engine.failed),
        strategies=score.parts(),
        denied_by_strategy=refusal_rows(tally.denied_by) if len(engine.strategies) > 1 else (),
        stopped_by=stopped_by or ("halt" if engine.state.trading is TradingState.HALTED else "end of data"),
    )


def refusal_rows(denied: Mapping[tuple[str, str], int]) -> tuple[StrategyRefusalsRow, ...]:
    """Return the refusals by strategy and code as rows."""
    return tuple(
        StrategyRefusalsRow(strategy=name or "(none)", code=code, denied=n)
        for (name, code), n in sorted(denied.items())
    )


def trade_summary(summary: RunSummary, *, has_sent: bool = True) -> TradeSummary:
    """Return the results without the problems; the row without a strategy is named `(none)`.

    Without `has_sent` the lists of order requests and fills are left out.
    """
    parts = (msgspec.structs.replace(part, strategy=part.strategy or "(none)") for part in summary.strategies)
    lists = {} if has_sent else {"sent": (), "run_fills": ()}
    return TradeSummary.of(summary, strategies=tuple(parts), **lists)


class StrategyResults:
    """Profit and loss of a run since its start, from the engine's ledger; a position without a price counts at cost.

    A position held at the start in a market outside the run has no price yet. It counts from its first known price:
    otherwise the run would report losses from before its start.
    """

    def __init__(self, engine: TradingEngine) -> None:
        self._engine = engine
        self.starting_positions = tuple(_starting_rows(engine.state.ledger))
        self._start = self._now(engine.state.ledger)
        self._start_of = {name: self._now(self._own(name)) for name in engine.strategies}
        self._unpriced = {
            position.ticker: {name: [*self._own(name).holdings(position.ticker)] for name in engine.strategies}
            | {UNOWNED_STRATEGY: [*engine.state.ledger.holdings(position.ticker)]}
            for position in engine.state.ledger.positions.values()
            if position.qty and self._price(position.ticker, position.qty) is None
        }

    def gained(self) -> ProfitAndLoss:
        """Return the profit and loss since the start of the run."""
        self._price_the_start()
        return _combined(self._now(self._engine.state.ledger), self._start, -1)

    def parts(self) -> tuple[StrategyPartRow, ...]:
        """Return a row for each strategy, in calling order, and one for everything else if that is not zero."""
        rest = self.gained()
        by_name = {name: _combined(self._now(self._own(name)), start, -1) for name, start in self._start_of.items()}
        for part in by_name.values():
            rest = _combined(rest, part, -1)
        found = [self._part(name, gained) for name, gained in by_name.items()]
        return (*found, self._part(UNOWNED_STRATEGY, rest)) if rest.net or rest.fees else tuple(found)

    def unrealized(self) -> Money:
        """Return the value of all open positions less their cost."""
        self._price_the_start()
        return self._now(self._engine.state.ledger).unrealized

    def _own(self, strategy: str) -> Ledger:
        return self._engine.state.by_strategy.get(strategy) or Ledger()

    def _price_the_start(self) -> None:
        for ticker in [ticker for ticker in self._unpriced if self._price(ticker, Qty(0)) is not None]:
            for name, held in self._unpriced.pop(ticker).items():
                before = ProfitAndLoss(Money(0), self._open(held), Money(0))
                if name == UNOWNED_STRATEGY:
                    self._start = _combined(self._start, before, 1)
                else:
                    self._start_of[name] = _combined(self._start_of[name], before, 1)

    def _price(self, ticker: str, of_all: Qty) -> Price | None:
        """Return one price per market for all strategies, so that their results add up to the account's."""
        return self._engine.state.external_mark(ticker, of_all)

    def _open(self, positions: Iterable[Position]) -> Money:
        """Return the value of these positions less their cost."""
        held, net = [each for each in positions if each.qty], 0
        if held:
            of_all = self._engine.state.net_held()
            for each in held:
                net += each.unrealized(self._price(each.ticker, of_all.get(each.ticker, Qty(0)))) or 0
        return Money(net)

    def _now(self, ledger: Ledger) -> ProfitAndLoss:
        return ProfitAndLoss(ledger.realized, self._open(ledger.positions.values()), ledger.fees)

    def _part(self, strategy: str, gained: ProfitAndLoss) -> StrategyPartRow:
        engine = self._engine
        return StrategyPartRow(
            strategy=strategy,
            live_orders=sum(1 for order in engine.state.orders.live() if order.strategy == strategy),
            at_risk=at_risk(engine.state, strategy),
            budget=engine.limits.allotments.get(strategy, NO_ALLOTMENT).budget,
            realized=SignedMoney(gained.realized),
            unrealized=SignedMoney(gained.unrealized),
            fees=gained.fees,
            net=SignedMoney(gained.net),
        )


def _starting_rows(ledger: Ledger) -> Iterator[StartingPositionRow]:
    """Yield a row for each open position, by market."""
    for held in sorted(ledger.positions.values(), key=lambda each: (each.ticker, each.subaccount)):
        if held.qty:
            yield StartingPositionRow.of(held, side="yes" if held.qty > 0 else "no", count=Qty(abs(held.qty)))


def _combined(one: ProfitAndLoss, other: ProfitAndLoss, sign: int) -> ProfitAndLoss:
    return ProfitAndLoss(
        Money(one.realized + sign * other.realized),
        Money(one.unrealized + sign * other.unrealized),
        Money(one.fees + sign * other.fees),
    )
