"""A comparison of parameters: every variant over every recording, sorted by score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from kalshi_cli.base.units import Money, pluralize
from kalshi_cli.services.research import backtest, tape_runs
from kalshi_cli.services.research.feed_memory import version_of
from kalshi_cli.services.research.search.optimize import show_params
from kalshi_cli.services.research.search.windows import TapeScore, WindowScore, median_score, rank
from kalshi_cli.strategies import registry

MAX_NAMES = 3
"""The most variants that a note names."""
MANY_RUNS = 50
"""From so many runs on, a line says how to keep them."""


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one set of parameters: `score` is the median over the recordings, `result` their sum."""

    params: dict[str, str]
    fill_model: str
    score: Money
    result: WindowScore
    failed: tuple[str, ...] = ()
    refused: str = ""
    """Why nothing was traded, if every order request of every recording was refused."""
    denied: dict[str, int] = {}
    """The refusals by code."""
    refusals: dict[str, str] = {}
    """A line for each code: the number of its refusals, its setting or cause, and the first of them."""
    notices: tuple[str, ...] = ()
    has_trades: bool = True


def compare_variants(
    setup: tape_runs.BacktestSetup,
    request: backtest.BacktestRequest,
    variants: Sequence[Mapping[str, str]],
    jobs: int,
    show: Callable[[int, int], None] = lambda _done, _known: None,
    tell: Callable[[str], None] = lambda _text: None,
    idle_cores: int = 0,
) -> list[VariantResult]:
    """Run every variant over every recording in `jobs` processes; return the best first.

    `rank` says what is the best. `tell` gets a line that names the recordings without data of the times or markets
    asked for, and how to use `idle_cores` beside that of one process. UsageError for invalid parameters, before
    anything runs. After Ctrl-C the variants that are complete on all recordings are returned; KeyboardInterrupt if none
    is. `tell` also gets a line where a file changed meanwhile: later variants read other data.
    """
    versions = {path: version_of(path) for path in (*request.files, *request.results)}
    for params in variants:
        registry.make_all(request.strategies, setup.configured, params, setup.allotted)
    parts = tape_runs.split_by_tape(request, tell)
    requests = [msgspec.structs.replace(part, params=dict(params)) for params in variants for part in parts]
    if len(requests) >= MANY_RUNS:
        tell(
            f"{len(requests)} runs: {len(variants)} variants over {pluralize(len(parts), 'recording')}. Ctrl-C shows "
            "the variants that are complete by then; `kalshi optimize --sampler grid` keeps every run, to be resumed"
        )
    for line in jobs_note(len(requests), 1 + idle_cores):
        tell(line)
    runs: list[backtest.BacktestReport] = []
    try:
        tape_runs.run_tapes(setup, requests, jobs, show, runs, has_repeats=len(variants) > 1)
    except KeyboardInterrupt:
        if len(runs) < len(parts):
            raise
    if changed := [path.name for path, version in versions.items() if version_of(path) != version]:
        tell(
            f"Warning: {', '.join(changed)} changed during the comparison: the variants may have read different data. "
            "Compare again when no program writes to it"
        )
    found = []
    for number, params in enumerate(variants[: len(runs) // len(parts)]):
        own = runs[number * len(parts) : (number + 1) * len(parts)]
        tapes = [TapeScore.of(run) for run in own]
        whole = tape_runs.merge_reports(own, setup.cash)
        found.append(
            VariantResult(
                params=dict(params),
                fill_model=request.fill_model,
                score=median_score([WindowScore.of([tape]) for tape in tapes]),
                result=WindowScore.of(tapes),
                failed=tuple(tape.failed for tape in tapes if tape.failed),
                refused=backtest.all_refused_text(whole) if backtest.is_all_refused(whole) else "",
                denied=dict(whole.summary.denied),
                refusals=backtest.refusal_texts(whole),
                notices=backtest.unknown_lines(whole),
                has_trades=whole.facts.has_trades,
            )
        )
    return rank(found, lambda variant: (variant.score, variant.result))


def jobs_note(runs: int, cores: int) -> list[str]:
    """Return how to use the other cores of this machine, if there are any."""
    jobs = min(runs, cores, tape_runs.MAX_JOBS)
    text = f"The {runs} runs use 1 of {cores} cores: --jobs {jobs} is faster, with the same results"
    return [text] if jobs > 1 else []


def refusal_notes(found: Iterable[VariantResult]) -> list[str]:
    """Return a line for each code of refusals: those of the variant that has the most of them.

    A variant that was refused everything has a warning of its own and is left out.
    """
    most: dict[str, VariantResult] = {}
    for variant in found:
        for code in () if variant.refused else variant.refusals:
            if code not in most or variant.denied[code] > most[code].denied[code]:
                most[code] = variant
    return [f"{show_params(variant.params)}: {variant.refusals[code]}" for code, variant in most.items()]


def unknown_notes(found: Sequence[VariantResult], params: Sequence[str]) -> list[str]:
    """Return what the data does not say, each line once; one that not all variants have names those by their `params`.

    With both bounds, the name has the bound as well.
    """
    has_bounds = len({variant.fill_model for variant in found}) > 1
    names: dict[str, list[str]] = {}
    for variant, shown in zip(found, params, strict=True):
        for text in variant.notices:
            names.setdefault(text, []).append(f"{shown} ({variant.fill_model})" if has_bounds else shown)
    return [
        f"Unknown: {text}" if len(of) == len(found) else f"Unknown for {_shortened(of)}: {text}"
        for text, of in names.items()
    ]


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
