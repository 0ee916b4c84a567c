"""The composition of backtests: the recordings, fill models and processes of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from kalshi_cli.services.research import tape_runs
from kalshi_cli.services.research.feed_memory import FeedMemory
from kalshi_cli.services.research.recorded_data import replay_of, size_of_data

if TYPE_CHECKING:
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.services.research.backtest import BacktestReport, BacktestRequest


def run_backtests(
    environment: Environment,
    request: BacktestRequest,
    jobs: int | None = None,
    show: Callable[[int, int], None] = lambda _done, _known: None,
    *,
    has_both_bounds: bool = False,
    phases: int = 1,
) -> BacktestReport:
    """Run the same engine and strategies over recordings, with simulated fills, in recorded time.

    With `jobs`, each recording is a run of its own, so many at a time; `show` gets the finished runs and all. Without,
    it gets how much was read, and all: kilobytes of files, or seconds of a lake. With both bounds, the result is that
    of the pessimistic fill model, and its `bounds` are both. With several `phases`, ticks come at so many moments of
    their interval, a run each; the result is that of the first, with `phase_nets`, those of the pessimistic model.
    """
    setup = tape_runs.BacktestSetup.of(environment.config)
    environment.strategies(request.strategies, request.params)  # warnings, and invalid parameters
    parts = [] if jobs is None else tape_runs.split_by_tape(request, environment.tell)
    known = size_of_data(request) * (has_both_bounds + phases) if jobs is None else 0
    done, memory = 0, FeedMemory()

    def read(size: int) -> None:
        nonlocal done
        done += size
        show(done // 1000, known // 1000)

    def run(**model: Any) -> BacktestReport:
        if jobs is None:
            open_feed = memory.open if has_both_bounds else replay_of
            return tape_runs.run_backtest(setup, msgspec.structs.replace(request, **model), read, open_feed)
        return tape_runs.run_parts(setup, parts, jobs, show, **model)

    model = {"fill_model": "pessimistic"} if has_both_bounds else {}
    interval_s = request.interval_s or setup.interval_s
    report = tape_runs.over_phases(lambda phase_ms: run(phase_ms=phase_ms, **model), interval_s, phases)
    if not has_both_bounds:
        return report
    return msgspec.structs.replace(report, bounds=(report, run(fill_model="optimistic")))
