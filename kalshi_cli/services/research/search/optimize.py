"""Parameter searches: from recordings, ranges and workers to a study and its report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

import msgspec

from kalshi_cli.base.checked import check_fields, check_type
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.base.version import __version__
from kalshi_cli.feeds.recorded_results import merge_results
from kalshi_cli.services.research import arguments
from kalshi_cli.services.research.backtest import BacktestRequest, FillChoice, decisive_rules
from kalshi_cli.services.research.recorded_data import shared_text
from kalshi_cli.services.research.search.cluster import SchedulerAddress, TrialCluster, trial_cluster
from kalshi_cli.services.research.search.space import ParameterRange, read_space
from kalshi_cli.services.research.search.study import (
    ParameterSearch,
    Point,
    Run,
    Sampler,
    StudyPlan,
    StudyReport,
    open_study,
)
from kalshi_cli.services.research.search.study_tapes import StudyTape, closed_without_result, list_tapes
from kalshi_cli.services.research.search.windows import (
    MAX_WINDOWS,
    OF_BEST,
    TapeScore,
    WindowPlan,
    choice_warnings,
    plan_windows,
    shared_between_windows,
)
from kalshi_cli.services.research.tape_runs import MAX_JOBS, BacktestSetup, absolute
from kalshi_cli.strategies import registry
from kalshi_cli.views.formats import SignedMoney
from kalshi_cli.views.research import OptimizeView, VariantRow, WindowChoiceRow

MAX_TRIALS = 100_000
"""Trials of each window, at most."""

MAX_HOLDOUT = 0.9
"""The largest share of the recordings that can be kept apart."""


class OptimizeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A search for the parameters of one strategy. `params` are texts as of `kalshi optimize`: `buy_below=20c..40c`.

    The recordings are `files`, or with `lake` those of its `series` (all, if there are none). Both are cut to the times
    from `since` to before `until`, and to the markets that `tickers` (names of markets, events or series) choose;
    recordings without such data are left out. `latency_ms` (None: drawn from the recorded distribution), `fill_model`,
    `interval_s` and `holes` are those of a backtest.

    `trials` are those of each window; `study` is the file of the study, by default one in the state directory that
    the same request finds again.
    """

    strategy: str
    files: str | Path | Iterable[str | Path] = ()
    params: str | Sequence[str]
    trials: int = 50
    results: str | Path | Iterable[str | Path] = ()
    lake: str | Path | None = None
    series: tuple[str, ...] = ()
    tickers: tuple[str, ...] = ()
    since: Ts | datetime | str | None = None
    until: Ts | datetime | str | None = None
    latency_ms: int | None = 150
    fill_model: FillChoice = "proportional"
    interval_s: float | None = None
    holes: str = "forget"
    windows: int = 3
    holdout: float = 0.2
    sampler: Sampler = "tpe"
    seed: int = 1
    is_pruned: bool = True
    jobs: int = 1
    scheduler: SchedulerAddress | None = None
    study: str | Path | None = None
    opens_holdout: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError for a value of another type, or an unknown word."""
        check_fields(self)


def optimize(
    setup: BacktestSetup,
    request: OptimizeRequest,
    clock: Clock,
    folder: Path,
    show: Callable[[int, int], None] = lambda _done, _known: None,
    note: Callable[[str], None] = lambda _text: None,
    tell: Callable[[str], None] = lambda _text: None,
    settings_of: Callable[[BacktestRequest], dict[str, str]] = lambda _request: {},
) -> OptimizeView:
    """Run the trials that a study still misses, and return its report. Finished trials survive any end.

    `folder` is where studies without a name are; `tell` gets a line that names the recordings without data of the
    times or markets asked for, and one about markets that closed and have no result, before anything runs. UsageError
    for invalid parameters, recordings or workers; RefusedError for a second look at the holdout.
    """
    _check_numbers(check_type("request", request, OptimizeRequest))
    spec = _absolute_spec(arguments.strategy_of(request.strategy))
    kind = registry.load(spec)
    ranges, fixed = read_space(kind, arguments.texts_of(request.params, "params"), request.strategy)
    own = setup.configured.get(request.strategy, {})
    setup = msgspec.structs.replace(setup, configured={**setup.configured, spec: own})
    base = _base(request, spec, fixed)
    tapes = {each.name: each for each in list_tapes(base, tell)}
    windows = plan_windows(list(tapes), [each.start for each in tapes.values()], request.windows, request.holdout)
    searched = [tapes[name] for name in windows.tapes]
    if any(missing := closed_without_result(base, searched, clock.now(), windows.holdout)):
        tell(no_result_text(*missing))
    definition = _definition(setup, request, base, msgspec.json.encode(ranges), searched)
    plan = _plan_of(request, ranges, windows, definition)
    path = absolute(Path(request.study)) if request.study else _study_of(kind.name, plan.definition, folder, note)

    def is_valid(point: Point) -> bool:
        try:
            registry.make_all((spec,), setup.configured, {**fixed, **point}, setup.allotted)
        except UsageError:
            return False
        return True

    with ExitStack() as stack:
        storage = stack.enter_context(open_study(path, clock))
        found: list[TrialCluster] = []

        def cluster() -> TrialCluster:
            """Return the workers, which start when something is to be run."""
            if not found:
                found.append(stack.enter_context(trial_cluster(request.jobs, request.scheduler)))
                found[0].check(list(dict.fromkeys(path for each in searched for path in each.paths)))
            return found[0]

        def evaluate(runs: Sequence[Run], keep: Callable[[int, TapeScore | None], None]) -> None:
            requests = [
                msgspec.structs.replace(searched[tape].request, params={**fixed, **point}) for tape, point in runs
            ]
            cluster().evaluate(setup, requests, keep)

        search = ParameterSearch(plan, storage, evaluate, is_valid, show)
        if request.opens_holdout:
            search.check_holdout()
        try:
            search.run()
        except KeyboardInterrupt:
            note(f"Stopped. Finished trials are kept in {path}; repeat the command to resume")
            raise
        if request.opens_holdout:
            search.open_holdout(clock.now())
        made_with = partial(fixed_text, setup, base), settings_of(base) | windows.names()
        view = _view(request, windows, path, search.report(), *made_with)
        shared = shared_between_windows(windows, [each.shared for each in searched])
        return msgspec.structs.replace(view, shared_markets=shared)


def _check_numbers(request: OptimizeRequest) -> None:
    arguments.number_of(request.trials, "trials", MAX_TRIALS)
    arguments.number_of(request.windows, "windows", MAX_WINDOWS)
    arguments.number_of(request.jobs, "jobs", MAX_JOBS)
    if not isinstance(request.holdout, int | float) or not 0 <= request.holdout <= MAX_HOLDOUT:
        raise UsageError(f"Invalid holdout: {request.holdout!r:.80}", hint=f"use a share from 0 to {MAX_HOLDOUT}")
    if request.sampler not in get_args(Sampler):
        raise UsageError(f"Invalid sampler: {request.sampler!r:.80}", hint=f"use {', '.join(get_args(Sampler))}")


def optimize_notes(view: OptimizeView, *, with_unknown: bool = True) -> list[str]:
    """Return what a reader of the report must know: how many variants were tried, and the state of the holdout.

    First `with_unknown` what the recordings do not say.
    """
    notes = [f"Unknown: {each}" for each in view.unknown if with_unknown]
    notes += [f"{view.variants} variants were tried. The best of many looks good by luck: judge by the next scores"]
    if view.tied > 1:
        notes.append(tied_text(view.tied, view.variants))
    notes.append(made_with_text(view.fixed, view.settings))
    notes.append(
        "To repeat the best: `kalshi backtest --jobs N` with these parameters and settings, over the recordings of the "
        "windows. Each recording is a run of its own, from the starting cash"
    )
    if denied := view.best[0].denied:
        refused = f"{pluralize(denied, 'order request')} of the best variant were refused"
        notes.append(f"{refused}: `kalshi backtest` with its parameters names the limits")
    if view.reasons:
        notes.append(f"{view.failed} trials failed: {'; '.join(view.reasons)}")
    if not view.holdout_recordings:
        notes.append("No holdout: nothing is left to judge the choice on")
    elif view.holdout_opened is None:
        notes.append("The holdout is closed. Open it once, at the very end: repeat the command with --open-holdout")
    elif view.holdout_variants != view.variants or view.holdout_params != view.params:
        notes.append("The holdout was opened before the last trials: it is no judge of the present choice")
    if view.sampler != "grid" and 2 * view.repeated > view.trials:
        repeated = f"{view.repeated} of {view.trials} trials repeated an earlier one of their window"
        notes.append(f"{repeated}: with few combinations use `--sampler grid`")
    return notes


def optimize_warnings(view: OptimizeView) -> list[str]:
    """Return warnings of shared markets, of a choice that hardly traded or that a limit decided, and of no gain."""
    shared = (
        f"Warning: {shared_text(view.shared_markets, 'window (or holdout)')}. One result can both choose and judge: "
        "leave out a recording at the edge of these windows"
    )
    best = view.best[0]
    return [
        *[shared] * bool(view.shared_markets),
        *choice_warnings(best.fills, view.earned),
        *decisive_rules(best.denied_by, best.intents, OF_BEST),
    ]


def tied_text(tied: int, variants: int) -> str:
    """Return that the score does not tell some variants apart, and what then decided."""
    return (
        f"{tied} of {variants} variants have the score of the best one: this search cannot tell them apart. The result "
        "of all recordings together decided"
    )


def no_result_text(missing: Sequence[str], held: Sequence[str]) -> str:
    """Return that markets of the windows, or of the holdout alone, have closed and have no result."""
    first, *others = missing or held
    more = f" and {pluralize(len(others), 'other market')} that closed" if others else ", which closed"
    where = f", and of {len(held)} more in the holdout" if missing and held else " in the holdout" if held else ""
    effect = "which can choose other parameters" if missing else "so its score can be another one"
    return (
        f"Warning: no result of {first}{more}{where}: a position that is held to the close is valued by the last "
        f"prices, {effect}. Add the results: --results FILE"
    )


def _study_of(name: str, definition: dict[str, str], folder: Path, note: Callable[[str], None]) -> Path:
    """Return the study of this definition in a folder; say if it is new there and the strategy has earlier ones."""
    path = folder / f"{name}-{_digest(definition)}.db"
    if not path.exists() and any(folder.glob(f"{name}-*.db")):
        note(
            f"A new study, {path}: earlier ones of {name} have other recordings, results, parameters or settings, "
            "or are of another version of kalshi"
        )
    return path


def _view(
    request: OptimizeRequest, windows: WindowPlan, path: Path, report: StudyReport,
    fixed_of: Callable[[Mapping[str, str]], str], settings: dict[str, str],
) -> OptimizeView:  # fmt: skip
    best, held = report.choices[-1], report.holdout
    rows = tuple(
        WindowChoiceRow(
            chosen_on=f"1-{choice.last}" if choice.last > 1 else "1",
            params=show_params(choice.params),
            score=SignedMoney(choice.score),
            next_score=SignedMoney(choice.judged.score) if choice.judged else None,
            next_net=SignedMoney(choice.judged.net) if choice.judged else None,
            next_max_drawdown=choice.judged.max_drawdown if choice.judged else None,
            next_fills=choice.judged.fills if choice.judged else None,
        )
        for choice in report.choices
    )
    latency = "recorded" if arguments.latency_of(request.latency_ms) is None else f"{request.latency_ms}ms"
    of_all: dict[str, Any] = {"fill_model": request.fill_model, "latency": latency}
    of_all |= {"fixed": fixed_of(best.params), "settings": settings}
    return OptimizeView(
        strategy=request.strategy, study=str(path), **of_all,
        best=tuple(VariantRow.of(each, params=show_params(each.params), **of_all) for each in report.best),
        sampler=request.sampler, recordings=len(windows.tapes),
        windows=len(windows.windows), trials=report.trials, variants=report.variants, tied=report.tied,
        repeated=report.repeated, earned=report.earned, pruned=report.pruned, failed=report.failed,
        reasons=report.reasons,
        params=show_params(best.params), score=SignedMoney(best.score),
        holdout_recordings=len(windows.holdout),
        holdout_opened=held.opened if held else None,
        holdout_params=show_params(held.params) if held else None,
        holdout_variants=held.variants if held else None,
        holdout_score=SignedMoney(held.result.score) if held else None,
        holdout_net=SignedMoney(held.result.net) if held else None,
        rows=rows, unknown=report.unknown,
    )  # fmt: skip


def show_params(params: Point) -> str:
    """Return parameters as options of a command take them: `edge=2c size=5`."""
    return " ".join(f"{name}={value}" for name, value in params.items())


def fixed_text(setup: BacktestSetup, base: BacktestRequest, varied: Mapping[str, str]) -> str:
    """Return every parameter but those that vary, the configured ones and the defaults included."""
    params = {**base.params, **varied}
    values = registry.settings(registry.make_all(base.strategies, setup.configured, params, setup.allotted))
    return show_params({name: value for name, value in values.items() if value and name not in varied})


def made_with_text(fixed: str, settings: Mapping[str, str]) -> str:
    """Return what made every variant beside the parameters that it shows."""
    return f"Made with {', '.join(filter(None, (fixed, *(f'{name} {text}' for name, text in settings.items()))))}"


def _base(request: OptimizeRequest, spec: str, fixed: dict[str, str]) -> BacktestRequest:
    """Return the backtest that every trial runs with its own parameters. UsageError for invalid settings."""
    since, until = arguments.period_of(request.since, request.until)
    return BacktestRequest(
        strategies=(spec,), files=tuple(dict.fromkeys(map(absolute, arguments.paths_of(request.files, "files")))),
        results=tuple(map(absolute, arguments.paths_of(request.results, "results"))), params=fixed,
        latency_ms=arguments.latency_of(request.latency_ms), fill_model=arguments.fills_of(request.fill_model),
        holes=request.holes, interval_s=arguments.interval_of(request.interval_s),
        lake=None if request.lake is None else absolute(Path(request.lake)), series=request.series,
        tickers=request.tickers, since=since, until=until,
    )  # fmt: skip


def _absolute_spec(spec: str) -> str:
    """Return a strategy as a worker with another working directory finds it."""
    file, dot_py, rest = spec.partition(".py")
    return f"{absolute(Path(file + dot_py))}{rest}" if dot_py else spec


def _plan_of(
    request: OptimizeRequest, ranges: tuple[ParameterRange, ...], windows: WindowPlan, definition: dict[str, str]
) -> StudyPlan:
    return StudyPlan(
        ranges=ranges, windows=windows, trials=request.trials, sampler=request.sampler, seed=request.seed,
        is_pruned=request.is_pruned, definition=definition,
    )  # fmt: skip


def _definition(
    setup: BacktestSetup, request: OptimizeRequest, base: BacktestRequest, ranges: bytes, tapes: Sequence[StudyTape]
) -> dict[str, str]:
    """Return everything that the results of a study depend on, by the name that an error shows."""
    files = dict.fromkeys(path for each in tapes for path in each.paths if path not in each.request.results)
    contents = [each.content for each in tapes if each.content] + [
        f"{path.name} {path.stat().st_size}" for path in files
    ]
    results = [sorted(merge_results(base.results).items()), *dict.fromkeys(each.results for each in tapes)]
    return {
        "version of kalshi": __version__,
        "strategy": registry.fingerprint(base.strategies[0]) or request.strategy,
        "range of parameters": ranges.decode(),
        "fixed parameter": msgspec.json.encode(sorted(base.params.items())).decode(),
        "set of recordings": _digest({"files": "\n".join(contents)}),
        "set of results": _digest({"results": msgspec.json.encode(results).decode()}),
        "windows or holdout": f"{request.windows} {request.holdout:g}",
        "sampler, seed or pruning": f"{request.sampler} {request.seed} {request.is_pruned}",
        "latency": str(base.latency_ms),
        "configuration": hashlib.sha256(msgspec.json.encode(setup, enc_hook=_encode)).hexdigest()[:16],
        **{name: str(value) for name, (value, usual) in _chosen(base).items() if value != usual},
    }


def _chosen(base: BacktestRequest) -> dict[str, tuple[object, object]]:
    """Return settings with their usual values, which a study of earlier versions does not name."""
    return {
        "fill model": (base.fill_model, "proportional"),
        "interval": (base.interval_s, None),
        "treatment of gaps": (base.holes, "forget"),
        "choice of markets": (base.tickers, ()),
    }


def _encode(value: object) -> object:
    """Return a function of the limits, such as that of the trading day, as its name and arguments."""
    if isinstance(value, partial):
        return [value.func.__qualname__, *map(str, value.args), sorted((k, str(v)) for k, v in value.keywords.items())]
    return str(value)


def _digest(definition: dict[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(definition.items()))).hexdigest()[:12]
