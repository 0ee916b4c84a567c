"""Backtests of several recordings, each a run of its own, in this process or in several.

A run in another process gets a `BacktestSetup` and a `BacktestRequest`, and nothing else of this machine.
"""

from __future__ import annotations

import os
import random
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.core.account.pnl import ProfitAndLoss, sort_by_time, total
from kalshi_cli.core.model.effects import OrderRefused
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.feeds.overlap import refuse_overlaps
from kalshi_cli.feeds.recorded_results import is_history
from kalshi_cli.services.research import recorded_data
from kalshi_cli.services.research.backtest import BacktestReport, BacktestRequest
from kalshi_cli.services.research.feed_memory import FeedMemory
from kalshi_cli.services.research.recorded_run import OpenFeed, over_recordings
from kalshi_cli.services.research.report.measures import BacktestFacts, span
from kalshi_cli.services.research.report.unknown import add_up
from kalshi_cli.services.research.search.main_guard import require_main_guard
from kalshi_cli.services.trading.reports.run_summary import RunPlan, RunSummary, refusal_rows
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.own_code import stdout_to_stderr
from kalshi_cli.views.backtests import RecordingPartRow
from kalshi_cli.views.formats import Ratio, SignedMoney
from kalshi_cli.views.runs import StrategyPartRow

if TYPE_CHECKING:
    from kalshi_cli.config.config import Config

MAX_JOBS = 64
"""Worker processes, at most."""

OWN_PREFIX = "KALSHI_"
"""Variables with this prefix may hold a key; no worker process has them."""


class BacktestSetup(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the configuration that a backtest uses. It has no key and no path of the account."""

    env: str
    limits: RiskLimits
    cash: Money
    seed: int
    references: dict[str, str]
    order_expiry_s: float | None
    interval_s: float
    configured: dict[str, dict[str, Any]]
    allotted: tuple[str, ...]
    group_limit: Qty | None = None

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return the setup of a configuration. Loss limits are off: a halt would end every later day."""
        from kalshi_cli.config.limits import limits_of

        return cls(
            env=config.env,
            limits=msgspec.structs.replace(limits_of(config), max_daily_loss=None, max_drawdown=None),
            cash=config.sim.starting_cash,
            seed=config.sim.seed,
            references=dict(config.references),
            order_expiry_s=config.trade.order_expiry_s,
            interval_s=config.trade.interval_s,
            configured={name: dict(given) for name, given in config.strategies.items()},
            allotted=tuple(config.allotments),
            group_limit=config.trade.group_limit,
        )


def run_backtest(
    setup: BacktestSetup,
    request: BacktestRequest,
    on_read: Callable[[int], None] = lambda _size: None,
    open_feed: OpenFeed = recorded_data.replay_of,
) -> BacktestReport:
    """Run the engine and strategies over the recordings of a request, merged by time. Equal calls give equal reports.

    `on_read` gets the number of bytes of the files that were read since its last call. Runs that get the same
    `FeedMemory.open` decode a recording once.
    UsageError for invalid parameters or recordings.
    """
    numbers = random.Random(setup.seed)  # noqa: S311 (ids of simulated orders)
    strategies = registry.make_all(request.strategies, setup.configured, request.params, setup.allotted)
    plan = RunPlan(
        run_id="backtest", pid=0, strategy=",".join(request.strategies), env=setup.env, mode="backtest",
        words="BACKTEST: recorded order books, simulated fills", markets=0, duration_s=None, status_every_s=60.0,
        stop_budget_s=0.0, params=registry.settings(strategies),
    )  # fmt: skip
    with stdout_to_stderr():  # once a run: a strategy may print, and stdout has the report
        return over_recordings(
            request, plan, setup.limits, strategies,
            cash=setup.cash,
            new_id=lambda: str(uuid.UUID(int=numbers.getrandbits(128), version=4)),
            references=setup.references, order_expiry_s=setup.order_expiry_s, seed=setup.seed,
            interval_s=setup.interval_s if request.interval_s is None else request.interval_s,
            group_limit=setup.group_limit,
            inputs=[wanted for strategy in strategies for wanted in strategy.inputs()], on_read=on_read,
            open_feed=open_feed,
        )  # fmt: skip


def over_phases(run: Callable[[int], BacktestReport], interval_s: float, phases: int) -> BacktestReport:
    """Return the report of `run` with the first phase of the ticks (0 ms), and in `phase_nets` the net of each."""
    if phases == 1:
        return run(0)
    interval_ms = round(interval_s * 1000)
    first, *others = (run(interval_ms * number // phases) for number in range(phases))
    return msgspec.structs.replace(first, phase_nets=tuple(each.summary.net for each in (first, *others)))


def run_tape(setup: BacktestSetup, request: BacktestRequest, memory: FeedMemory | None = None) -> BacktestReport:
    """Run one backtest and return its report, for another process to show."""
    return run_backtest(setup, request, open_feed=memory.open if memory else recorded_data.replay_of)


_worker_memory = FeedMemory()
"""The decoded recordings of a worker process."""


def empty_memory() -> None:
    """Forget the decoded recordings of a worker process."""
    global _worker_memory
    _worker_memory = FeedMemory()


def run_in_worker(setup: BacktestSetup, request: BacktestRequest) -> BacktestReport:
    """Run one backtest in a worker process, which keeps decoded recordings for its next runs."""
    return run_tape(setup, request, _worker_memory)


def split_by_tape(request: BacktestRequest, tell: Callable[[str], None] = lambda _text: None) -> list[BacktestRequest]:
    """Return a request for each recording, as `split_with_shared` does."""
    return split_with_shared(request, tell)[0]


def split_with_shared(
    request: BacktestRequest, tell: Callable[[str], None]
) -> tuple[list[BacktestRequest], dict[str, tuple[int, ...]]]:
    """Return a request for each recording, of files, then of the lake by time. UsageError without a recording.

    Also return the markets that several recordings have, with the numbers of these, which `tell` gets as a warning.

    Files of outside inputs belong to all. Recordings without data from `since` to before `until`, or without a market
    of `tickers`, are left out, which `tell` gets as a line. UsageError for a recording that is given twice, or with a
    copy, for two that have the same market at the same time (profit would count twice, and a search would see what
    judges it), and for a name of `tickers` that no recording has.
    """
    outside = tuple(path for path in request.files if is_history(path))
    tapes = [path for path in request.files if not is_history(path)]
    recorded_data.refuse_copies(request.files)
    if request.lake is None:
        tapes = recorded_data.recordings_of_period(tapes, request.since, request.until, tell)
        refuse_overlaps(tapes, request.since, request.until)
    found = [msgspec.structs.replace(request, files=(tape, *outside), lake=None) for tape in tapes]
    if request.lake is not None:
        *_, sessions = recorded_data.lake_recordings(request.lake, request)
        found += [msgspec.structs.replace(request, files=outside, sessions=(each.session,)) for each in sessions]
    if not found:
        raise UsageError(
            f"No recording among {', '.join(path.name for path in request.files)}",
            hint="add a file that `kalshi record` wrote",
            code="bad_recording",
        )
    parts = recorded_data.requests_with_markets(found, request, tell)
    shared = recorded_data.shared_markets(parts)
    if shared:
        tell(
            f"Warning: {recorded_data.shared_text(shared, 'recording')}. Each recording is a run of its own, which can "
            "trade such a market again: its result then counts again. `kalshi backtest` without --jobs plays the "
            "recordings as one"
        )
    return parts, shared


def run_tapes(
    setup: BacktestSetup,
    requests: Sequence[BacktestRequest],
    jobs: int,
    show: Callable[[int, int], None] = lambda _done, _known: None,
    found: list[BacktestReport] | None = None,
    *,
    has_repeats: bool = False,
) -> list[BacktestReport]:
    """Run backtests in `jobs` processes and return them in the order given; the number of jobs changes no result.

    `has_repeats` says that several runs have the same recording: each process then decodes it once.
    `show` gets the number of finished runs and of all. `found`, if given, has the runs that finished before an
    interruption. KalshiError if a process dies.
    """
    found = [] if found is None else found
    for run in _in_order(setup, requests, jobs, has_repeats=has_repeats):
        found.append(run)
        show(len(found), len(requests))
    return found


def _in_order(
    setup: BacktestSetup, requests: Sequence[BacktestRequest], jobs: int, *, has_repeats: bool
) -> Iterator[BacktestReport]:
    if jobs == 1 or len(requests) == 1:
        memory = FeedMemory() if has_repeats else None
        yield from (run_tape(setup, request, memory) for request in requests)
        return
    require_main_guard()
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    run = run_in_worker if has_repeats else run_tape
    with without_secrets(os.environ):
        pool = ProcessPoolExecutor(
            min(jobs, len(requests)), mp_context=get_context("spawn"), initializer=_end_on_interrupt
        )
        try:
            for future in [pool.submit(run, setup, request) for request in requests]:
                yield future.result()
        except BrokenProcessPool:
            raise KalshiError(
                "A worker process ended unexpectedly; no result is shown",
                hint="each process needs memory for one recording: use fewer with --jobs N",
                code="worker_died",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _end_on_interrupt() -> None:
    """End a worker at Ctrl-C without a traceback: the parent reports it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def without_secrets(variables: MutableMapping[str, str]) -> Iterator[None]:
    """Remove every KALSHI_ variable for a time, so that processes started meanwhile have none."""
    removed = {name: variables.pop(name) for name in list(variables) if name.startswith(OWN_PREFIX)}
    try:
        yield
    finally:
        variables.update(removed)


def run_parts(
    setup: BacktestSetup,
    parts: Sequence[BacktestRequest],
    jobs: int,
    show: Callable[[int, int], None] = lambda _done, _known: None,
    **model: Any,
) -> BacktestReport:
    """Run each part of a backtest with these fields of its request replaced, and return the merged report."""
    requests = [msgspec.structs.replace(part, **model) for part in parts]
    found = run_tapes(setup, requests, jobs, show)
    return merge_reports(found, setup.cash, [part.recording for part in parts])


def merge_reports(reports: Sequence[BacktestReport], cash: Money, names: Sequence[str] = ()) -> BacktestReport:
    """Return one report of several runs, as if the profit of each came after that of the one before it.

    Every run started with `cash` and no position. The drawdown is that of the joined curve. `names`, if given, are
    those of the recordings.
    """
    first, *others = reports
    if not others:
        return first
    summaries = [report.summary for report in reports]
    curve: list[tuple[Ts, Money]] = []
    sums = DrawdownSum()
    markets: dict[str, list[ProfitAndLoss]] = {}
    refusals: dict[str, OrderRefused] = {}
    for report in reports:
        curve += [(ts, Money(net + sums.net)) for ts, net in report.curve]
        sums.add(report.summary.net, report.max_drawdown, *extremes(report))
        for ticker, part in report.markets.items():
            markets.setdefault(ticker, []).append(part)
        for refusal in report.refusals:
            refusals.setdefault(refusal.code, refusal)
    return BacktestReport(
        summary=_merged_summary(summaries, cash, total(part for parts in markets.values() for part in parts)),
        max_drawdown=sums.deepest,
        markets={ticker: total(parts) for ticker, parts in sorted(markets.items())},
        curve=tuple(curve),
        refusals=tuple(refusals.values()),
        holes=sum(report.holes for report in reports),
        lost_s=sum(report.lost_s for report in reports),
        gap_mode=first.gap_mode,
        unused_results=tuple(sorted(set.intersection(*(set(report.unused_results) for report in reports)))),
        facts=merge_facts([report.facts for report in reports], cash),
        fill_model=first.fill_model,
        latency=first.latency,
        by_recording=tuple(
            RecordingPartRow.of(each, recording=name) for each, name in zip(reports, names, strict=False)
        ),
    )


def merge_facts(parts: Sequence[BacktestFacts], cash: Money) -> BacktestFacts:
    """Return the measures of several runs with accounts of their own: their sum, and each of them in `runs`.

    A market or a day (UTC) that several runs have counts once; the gains of such a day are summed.
    """
    days: Counter[int] = Counter()
    for part in parts:
        days.update(part.days)
    started = [part.started for part in parts if part.started is not None]
    ended = [part.ended for part in parts if part.ended is not None]
    return BacktestFacts(
        runs=tuple(parts),
        started=min(started, default=None),
        ended=max(ended, default=None),
        tickers=frozenset().union(*(part.tickers for part in parts)),
        starting_balance=cash,
        ordered=Qty(sum(part.ordered for part in parts)),
        largest=max(part.largest for part in parts),
        entries=tuple(sort_by_time(entry for part in parts for entry in part.entries)),
        highest=max(part.highest for part in parts),
        closes={ticker: close for part in parts for ticker, close in part.closes.items()},
        days={day: Money(gain) for day, gain in days.items()},
        group_limits=tuple(alert for part in parts for alert in part.group_limits),
        unknown=add_up(each for part in parts for each in part.unknown),
        has_trades=any(part.has_trades for part in parts),
        bids=span(part.bids for part in parts),
        asks=span(part.asks for part in parts),
        waiting=next((part.waiting for part in parts if part.waiting), ""),
    )


def extremes(report: BacktestReport) -> tuple[Money, Money]:
    """Return the highest and the lowest net of a run, both from its start at zero."""
    values = [net for _, net in report.curve]
    return Money(max([0, *values])), Money(min([0, *values]))


class DrawdownSum:
    """The net and the maximum drawdown of runs that follow each other."""

    def __init__(self) -> None:
        self.net = Money(0)
        self.deepest = Money(0)
        self._peak = 0

    def add(self, net: Money, drawdown: Money, high: Money, low: Money) -> None:
        """Add a run with its own net, drawdown, and highest and lowest net."""
        self.deepest = Money(max(self.deepest, drawdown, self._peak - (self.net + low)))
        self._peak = max(self._peak, self.net + high)
        self.net = Money(self.net + net)


_COUNTED = (
    "cycles", "slow_hooks", "empty_sizes", "intents", "orders", "fills", "maker_fills", "taker_fills", "open_positions",
    "live_orders", "realized", "unrealized", "fees", "net", "day_net",
)  # fmt: skip


def _merged_summary(summaries: Sequence[RunSummary], cash: Money, whole: ProfitAndLoss) -> RunSummary:
    denied, denied_by = Counter[str](), Counter[tuple[str, str]]()
    for summary in summaries:
        denied.update(summary.denied)
        denied_by.update({(row.strategy, row.code): row.denied for row in summary.denied_by_strategy})
    balances = [summary.balance for summary in summaries]
    known = [balance for balance in balances if balance is not None]
    closed = whole.wins + whole.losses
    return msgspec.structs.replace(
        summaries[0],
        **{name: sum(getattr(summary, name) for summary in summaries) for name in _COUNTED},
        slowest_hook_ms=max((each.slowest_hook_ms for each in summaries if each.slowest_hook_ms), default=None),
        uptime_s=round(sum(summary.uptime_s for summary in summaries), 1),
        denied=dict(sorted(denied.items())),
        denied_by_strategy=refusal_rows(denied_by),
        balance=Money(sum(known) - cash * (len(known) - 1)) if len(known) == len(balances) else None,
        win_rate=Ratio(whole.wins / closed) if closed else None,
        failed=tuple(dict.fromkeys(text for summary in summaries for text in summary.failed)),
        strategies=tuple(_merged_parts(summaries)),
    )


def _merged_parts(summaries: Sequence[RunSummary]) -> Iterator[StrategyPartRow]:
    parts: dict[str, list[StrategyPartRow]] = {}
    for summary in summaries:
        for part in summary.strategies:
            parts.setdefault(part.strategy, []).append(part)
    for found in parts.values():
        yield msgspec.structs.replace(
            found[0],
            live_orders=sum(part.live_orders for part in found),
            at_risk=Money(sum(part.at_risk for part in found)),
            realized=SignedMoney(Money(sum(part.realized for part in found))),
            unrealized=SignedMoney(Money(sum(part.unrealized for part in found))),
            fees=Money(sum(part.fees for part in found)),
            net=SignedMoney(Money(sum(part.net for part in found))),
        )


def absolute(path: Path) -> Path:
    """Return the absolute path, as another process or machine with the same folder opens it."""
    return path.expanduser().absolute()
