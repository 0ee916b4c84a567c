"""The comparison of parameters for `kalshi backtest`, and the progress of its runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import msgspec

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import pluralize
from kalshi_cli.cli.backtest_files import strategy_failed
from kalshi_cli.cli.options import show_list
from kalshi_cli.cli.screen.output import info, warn
from kalshi_cli.cli.screen.progress import progress
from kalshi_cli.services.research.backtest import NO_BOUNDS, BacktestRequest, decisive_rules
from kalshi_cli.services.research.report.made_with import recordings_of, settings_of_variants
from kalshi_cli.services.research.search.optimize import fixed_text, made_with_text, show_params, tied_text
from kalshi_cli.services.research.search.space import sweep_variants
from kalshi_cli.services.research.search.windows import OF_BEST, choice_warnings
from kalshi_cli.services.research.sweep import VariantResult, compare_variants, refusal_notes, unknown_notes
from kalshi_cli.services.research.tape_runs import BacktestSetup
from kalshi_cli.views.research import VariantRow

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from kalshi_cli.app.environment import Environment


def backtest_progress(jobs: int | None, *, is_of_files: bool) -> AbstractContextManager[Callable[[int, int], None]]:
    """Show the progress of separate runs, or of the reading of the files or the lake of a single one."""
    what = "recordings" if jobs is not None else f"{'kB' if is_of_files else 'seconds'} of recordings"
    return progress(what, SystemClock().monotonic, redraws=jobs is not None)


def show_sweep(
    ctx: typer.Context,
    environment: Environment,
    request: BacktestRequest,
    jobs: int | None,
    of_one_run: tuple[bool, Path | None, Path | None],
    has_both_bounds: bool,
    phases: int,
) -> bool:
    """Compare the listed values of parameters, best score first; return False if nothing is listed.

    With both bounds, each value runs under the pessimistic and the optimistic fill model, and the pessimistic score
    decides. UsageError if an option of one run is given: `--plot`, `--html`, `--out` (`of_one_run`), or `--phases`.
    """
    variants = sweep_variants(request.strategies, request.params)
    if len(variants) == 1:
        return False
    for option, given in zip(("--plot", "--html", "--out", "--phases"), (*of_one_run, phases > 1), strict=True):
        if given:
            raise UsageError(f"{option} shows one run, not a comparison", hint="give each parameter one value")
    setup = BacktestSetup.of(environment.config)
    with progress("runs", SystemClock().monotonic) as show:
        idle = (os.cpu_count() or 1) - 1 if jobs is None else 0
        jobs = jobs or 1
        found = compare_variants(setup, request, variants, jobs, show, warn, idle)
    tried = len(found)
    is_complete = tried == len(variants)
    failed = {show_params(variant.params): variant.failed[0] for variant in found if variant.failed}
    found = [variant for variant in found if not variant.failed]
    if not found:
        raise strategy_failed(f"{params}: {text}" for params, text in failed.items())
    tied = sum(variant.score == found[0].score for variant in found)
    doubts = _doubts(found)
    if has_both_bounds and is_complete:
        in_order = [variant.params for variant in found]
        optimistic = msgspec.structs.replace(request, fill_model="optimistic")
        with progress("optimistic runs", SystemClock().monotonic) as show:
            found += compare_variants(setup, optimistic, in_order, jobs, show)
        is_complete = len(found) == 2 * len(in_order)
        found.sort(key=lambda variant: in_order.index(variant.params))  # stable: the pessimistic one stays first
    failed |= {show_params(variant.params): variant.failed[0] for variant in found if variant.failed}
    settings = settings_of_variants(environment.config, request) | {"recordings": ", ".join(recordings_of(request))}
    rows = _rows(found, setup, variants, request, settings)
    show_list(ctx, VariantRow, rows)
    warn(*doubts)
    info(made_with_text(rows[0].fixed, settings))
    info(*_notes(found, [row.params for row in rows], tried, tied, has_both_bounds=has_both_bounds))
    if failed:
        raise strategy_failed(f"{params}: {text}" for params, text in failed.items())
    if not is_complete:
        warn(
            "Warning: interrupted: only variants that were complete on all recordings are shown. `kalshi optimize "
            "--sampler grid` keeps every run and can be resumed"
        )
        raise KeyboardInterrupt
    return True


def _rows(
    found: Sequence[VariantResult], setup: BacktestSetup, variants: Sequence[Mapping[str, str]],
    request: BacktestRequest, settings: dict[str, str],
) -> list[VariantRow]:  # fmt: skip
    """Return the rows of a comparison: the parameters in which the variants differ, and what all of them have."""
    varied = {name for name in request.params if len({params[name] for params in variants}) > 1}
    given = msgspec.structs.replace(request, params=dict(variants[0]))
    fixed = fixed_text(setup, given, {name: variants[0][name] for name in varied})
    return [
        VariantRow.of(
            variant.result,
            params=show_params({name: value for name, value in variant.params.items() if name in varied}),
            score=variant.score,
            fill_model=variant.fill_model,
            latency=request.latency,
            fixed=fixed,
            settings=settings,
        )
        for variant in found
    ]


def _doubts(found: Sequence[VariantResult]) -> list[str]:
    """Return warnings of a best variant that hardly traded or that a limit decided, and of no gain."""
    best = found[0]
    doubts = choice_warnings(best.result.fills, sum(variant.result.net > 0 for variant in found))
    if not best.refused:  # a note has the refusals of one that traded nothing
        doubts += decisive_rules(best.denied, best.result.intents, OF_BEST)
    return doubts


def _notes(
    found: Sequence[VariantResult], params: Sequence[str], tried: int, tied: int, *, has_both_bounds: bool
) -> list[str]:
    """Return what limits a comparison: refusals, missing data, the number of variants, and ties of the best."""
    no_bounds = (
        [f"Unknown: {NO_BOUNDS}"] if has_both_bounds and not any(variant.has_trades for variant in found) else []
    )
    return [
        *[f"{show_params(variant.params)}: {variant.refused}" for variant in found if variant.refused][:1],
        *refusal_notes(found),
        *no_bounds,
        *unknown_notes(found, params),
        f"{pluralize(tried, 'variant')} tried; score = net less half of the maximum drawdown, median over the "
        "recordings, each a run of its own from the starting cash; one variant with `--jobs 1` has the same numbers",
        *([tied_text(tied, tried)] if tied > 1 else []),
        "The best of many looks good by luck: judge it on other recordings, or with `kalshi optimize`",
    ]
