"""Studies: trials of parameters in batches, chosen on the past, judged on the next window, and kept in SQLite.

Each window but the last has a study of its own over all windows up to it, so that the search itself never sees the
window on which its choice is judged; the last study has all windows. Trials are asked in batches of BATCH and told in
the order asked, and a sampler is made for each batch from the seed and the number of the batch. The number of workers
and an interruption therefore change no result.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from kalshi_cli.base.errors import AnotherInstanceError, KalshiError, RefusedError, UsageError
from kalshi_cli.base.files import make_folder
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Money, Ts, format_ts
from kalshi_cli.services.research.report.unknown import UnknownData, add_up, lines_of
from kalshi_cli.services.research.search.space import ParameterRange, grid_points
from kalshi_cli.services.research.search.windows import (
    RunResult,
    TapeScore,
    WindowPlan,
    WindowScore,
    median_score,
    rank,
)
from kalshi_cli.store.lock import lock

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage, RDBStorage

    from kalshi_cli.base.clock import Clock

BATCH = 8
"""Trials that are asked at once. A constant, because the choice of the next batch depends on it."""

MAX_BEST = 10
"""Variants that a report lists, at most."""

MAX_TRIALS = 100_000
"""Trials of one study, at most."""

SAMPLERS = ("tpe", "random", "grid")
Sampler = Literal["tpe", "random", "grid"]

Point = Mapping[str, str]
Run = tuple[int, Point]
"""A recording, by its number, with the parameters to try on it."""
Evaluate = Callable[[Sequence[Run], Callable[[int, TapeScore | None], None]], None]
"""Runs recordings; calls the function with the number of each in the sequence and its score, None if it was lost."""

_PARAMS, _TAPE, _DEFINITION, _HOLDOUT, _REASON = "params", "tape-", "definition", "holdout", "reason"
_UNKNOWN = "unknown-"


class StudyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The ranges, windows and method of a study. `definition` names everything that changes its results."""

    ranges: tuple[ParameterRange, ...]
    windows: WindowPlan
    trials: int
    sampler: Sampler = "tpe"
    seed: int = 1
    is_pruned: bool = True
    definition: dict[str, str] = {}


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The best parameters of the windows up to `last`, and their result on the window that follows, if one does."""

    last: int
    params: dict[str, str]
    score: Money
    windows: tuple[WindowScore, ...]
    judged: WindowScore | None


class Holdout(msgspec.Struct, frozen=True, kw_only=True):
    """The one look at the holdout: when, with which parameters, after how many variants, and the result.

    `unknown` is what its data does not say.
    """

    opened: Ts
    params: dict[str, str]
    variants: int
    result: WindowScore
    unknown: tuple[UnknownData, ...] = ()


class RankedVariant(RunResult, frozen=True, kw_only=True):
    """Parameters that were tried in all windows: the median score of the windows, and the sums of their results."""

    params: dict[str, str]
    score: Money


class StudyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a study. `variants` are the different parameters that were tried in all of its windows.

    `tied` of them have the score of the best over all windows, which the score cannot tell apart; 1 without a tie.
    `earned` of them made money over all windows. `repeated` trials had the parameters of an earlier one of their
    window.
    `unknown` has a line for each thing that the data does not say, for the parameters chosen over all windows, and for
    the holdout once it is open.
    """

    trials: int
    variants: int
    repeated: int
    pruned: int
    failed: int
    reasons: tuple[str, ...]
    choices: tuple[Choice, ...]
    best: tuple[RankedVariant, ...]
    tied: int
    earned: int
    holdout: Holdout | None
    unknown: tuple[str, ...] = ()


class ParameterSearch:
    """A search in a study file. `show` gets the finished trials and all; `is_valid` refuses parameters at no cost."""

    def __init__(
        self,
        plan: StudyPlan,
        storage: BaseStorage,
        evaluate: Evaluate,
        is_valid: Callable[[Point], bool],
        show: Callable[[int, int], None] = lambda _done, _known: None,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        self._optuna = optuna
        self._plan = plan
        self._storage = storage
        self._evaluate = evaluate
        self._is_valid = is_valid
        self._show = show
        self._known: dict[tuple[str, int], TapeScore] = {}
        self._finished, self._ran, self._share = 0, 0, 0.0
        self._variants: set[str] = set()
        self._points = grid_points(plan.ranges) if plan.sampler == "grid" else []
        random.Random(plan.seed).shuffle(self._points)  # noqa: S311
        self._goal = min(plan.trials, len(self._points)) if self._points else plan.trials
        count = len(plan.windows.windows)
        self._studies = [self._open(f"windows 1 to {number + 1}") for number in range(count)]
        self._check_definition()
        self._unknown = {
            name: msgspec.convert(value, prepared(UnknownData))
            for name, value in self._studies[0].user_attrs.items()
            if name.startswith(_UNKNOWN)
        }
        for study in self._studies:
            self._recover(study)

    def run(self) -> None:
        """Run the trials that are still missing, window by window. KalshiError if the strategy always fails."""
        for number, study in enumerate(self._studies):
            while (done := len(self._settled(study))) < self._goal:
                self._finished = self._done()
                self._show(self._finished, self._goal * len(self._studies))
                self._batch(study, number + 1, done, min(BATCH - done % BATCH, self._goal - done))
        self._show(self._done(), self._goal * len(self._studies))

    def _done(self) -> int:
        return sum(min(len(self._settled(study)), self._goal) for study in self._studies)

    def report(self) -> StudyReport:
        """Return the choices of each window and their results on the next one."""
        by_window = [self._settled(study) for study in self._studies]
        settled = list(chain(*by_window))
        states = self._optuna.trial.TrialState
        failed = [trial for trial in settled if trial.state is states.FAIL]
        choices, held = tuple(self._choice(number) for number in range(len(self._studies))), self._read_holdout()
        chosen = _key(choices[-1].params)
        of_all = [self._known[chosen, tape].unknown for window in self._plan.windows.windows for tape in window]
        unknown = add_up(chain(*of_all, held.unknown if held else ()))
        ranked = self._ranked(len(self._studies) - 1)
        return StudyReport(
            trials=len(settled),
            variants=len(self._variants),
            repeated=len(settled) - sum(len({_key(each.user_attrs[_PARAMS]) for each in found}) for found in by_window),
            pruned=sum(trial.state is states.PRUNED for trial in settled),
            failed=len(failed),
            reasons=tuple(dict.fromkeys(trial.user_attrs.get(_REASON, "") for trial in failed)),
            choices=choices,
            best=tuple(ranked[:MAX_BEST]),
            tied=sum(variant.score == ranked[0].score for variant in ranked),
            earned=sum(variant.net > 0 for variant in ranked),
            holdout=held,
            unknown=lines_of(unknown),
        )

    def check_holdout(self) -> None:
        """Raise RefusedError if the holdout of the study was opened before."""
        if (before := self._read_holdout()) is not None:
            raise RefusedError(
                f"Refused: the holdout of this study was opened on {format_ts(before.opened)}. "
                "A second look would choose by it",
                hint="record new data and begin a new study; without --open-holdout the report shows the first look",
                code="HOLDOUT_OPENED",
            )

    def open_holdout(self, now: Ts) -> Holdout:
        """Run the chosen parameters on the holdout, once for a study. RefusedError if it was opened before."""
        plan = self._plan.windows
        if not plan.holdout:
            raise UsageError("This study has no holdout", hint="begin a new study with --holdout 0.2")
        self.check_holdout()
        params = self._choice(len(self._studies) - 1).params
        scores = _whole(self._scores([(tape, params) for tape in plan.holdout]))
        found = Holdout(
            opened=now, params=params, variants=len(self._variants), result=WindowScore.of(scores),
            unknown=add_up(each for score in scores for each in score.unknown),
        )  # fmt: skip
        self._studies[-1].set_user_attr(_HOLDOUT, msgspec.to_builtins(found))
        return found

    # -- one batch ----------------------------------------------------------------------------------------------------

    def _batch(self, study: Study, windows: int, done: int, count: int) -> None:
        """Ask for trials, run them window by window, and tell them in the order asked."""
        states = self._optuna.trial.TrialState
        study.sampler = self._sampler(done // BATCH)
        trials = [self._ask(study, done + number) for number in range(count)]
        ends: dict[int, tuple[float | None, Any]] = {}
        points = [self._point(trial) for trial in trials]
        for number, point in enumerate(points):
            self._variants.add(_key(point))
            trials[number].set_user_attr(_PARAMS, point)
            if not self._is_valid(point):
                trials[number].set_user_attr(_REASON, "the strategy refuses these parameters")
                ends[number] = (None, states.PRUNED)
        results: dict[int, list[WindowScore]] = {number: [] for number in range(count)}
        self._ran, self._share = 0, 1 / sum(map(len, self._plan.windows.windows[:windows]))
        for step, window in enumerate(self._plan.windows.windows[:windows]):
            live = [number for number in range(count) if number not in ends]
            runs = [(tape, points[number]) for number in live for tape in window]
            found = iter(self._scores(runs, [trials[number] for number in live for _ in window]))
            for number in live:
                scores = [next(found) for _ in window]
                trial, problem = trials[number], next((text for score in scores if (text := _problem(score))), "")
                if problem:
                    trial.set_user_attr(_REASON, problem)
                    ends[number] = (None, states.FAIL)
                    continue
                results[number].append(WindowScore.of(_whole(scores)))
                trial.report(float(median_score(results[number])), step)
                if self._plan.is_pruned and step + 1 < windows and trial.should_prune():
                    ends[number] = (None, states.PRUNED)
        for number, trial in enumerate(trials):
            value, state = ends.get(number) or (float(median_score(results[number])), states.COMPLETE)
            study.tell(trial, value, state=state)
        if not any(trial.state is states.COMPLETE for trial in study.get_trials(deepcopy=False)):
            reasons = [trial.user_attrs.get(_REASON, "") for trial in study.get_trials(deepcopy=False)]
            raise KalshiError(f"No trial could be run: {reasons[-1]}", hint="try one variant with `kalshi backtest`")

    def _scores(self, runs: Sequence[Run], trials: Sequence[Trial] = ()) -> list[TapeScore | None]:
        """Return the score of each run. Known ones are not run again; new ones are kept with their trial at once."""
        keys = [(_key(point), tape) for tape, point in runs]
        missing: dict[tuple[str, int], int] = {}
        for number, key in enumerate(keys):
            if key not in self._known:
                missing.setdefault(key, number)
        order = list(missing)

        def keep(position: int, score: TapeScore | None) -> None:
            self._ran += 1
            self._show(self._finished + int(self._ran * self._share), self._goal * len(self._studies))
            if score is None:
                return
            self._known[order[position]] = score
            if trials:
                self._keep_score(trials[missing[order[position]]], order[position][1], score)

        if missing:
            self._evaluate([runs[number] for number in missing.values()], keep)
        return [self._known.get(key) for key in keys]

    def _keep_score(self, trial: Trial, tape: int, score: TapeScore) -> None:
        """Keep the score of a recording with its trial, and unknown data once in the study: most trials repeat it."""
        names = []
        for each in score.unknown:
            content = msgspec.json.encode(each, order="deterministic")
            names.append(f"{_UNKNOWN}{hashlib.sha256(content).hexdigest()[:16]}")
            if names[-1] not in self._unknown:
                self._unknown[names[-1]] = each
                self._studies[0].set_user_attr(names[-1], msgspec.json.decode(content))
        kept = msgspec.to_builtins(msgspec.structs.replace(score, unknown=())) | {_UNKNOWN: names}
        trial.set_user_attr(f"{_TAPE}{tape}", kept)

    def _score_of(self, kept: dict[str, Any]) -> TapeScore:
        """Return a score that a trial keeps."""
        unknown = tuple(self._unknown[name] for name in kept.get(_UNKNOWN, ()))
        return msgspec.structs.replace(msgspec.convert(kept, prepared(TapeScore)), unknown=unknown)

    def _ask(self, study: Study, number: int) -> Trial:
        if self._points:
            study.enqueue_trial(self._points[number])
        return study.ask()

    def _point(self, trial: Trial) -> dict[str, str]:
        """Return the parameters that the sampler chooses, as a user types them."""
        found = {}
        for each in self._plan.ranges:
            if self._points:
                found[each.name] = str(trial.suggest_categorical(each.name, each.values()))
            elif each.type == "choice":
                found[each.name] = str(trial.suggest_categorical(each.name, list(each.choices)))
            else:
                found[each.name] = each.text_of(
                    trial.suggest_float(each.name, each.low, each.high, step=each.step or None)
                )
        return found

    def _sampler(self, batch: int) -> BaseSampler:
        seed = random.Random(f"{self._plan.seed} {batch}").getrandbits(32)  # noqa: S311
        if self._plan.sampler != "tpe":
            return self._optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant_liar is marked experimental; it spreads the trials of a batch
            return self._optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True)

    # -- the study file -----------------------------------------------------------------------------------------------

    def _open(self, name: str) -> Study:
        return self._optuna.create_study(
            storage=self._storage, study_name=name, direction="maximize", load_if_exists=True,
            pruner=self._optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=0),
        )  # fmt: skip

    def _check_definition(self) -> None:
        """Keep the definition of a new study; UsageError if the file holds a different one."""
        last, now = self._studies[-1], self._plan.definition
        before = self._studies[0].user_attrs.get(_DEFINITION)
        if before is None:
            for study in self._studies:
                study.set_user_attr(_DEFINITION, now)
            return
        if changed := [name for name in {**before, **now} if before.get(name) != now.get(name)]:
            raise UsageError(
                f"The study file was made with another {', '.join(changed)}; it has {len(self._settled(last))} trials",
                hint="name a new file with --study FILE: a study resumes only with the command, recordings, "
                "configuration and version of kalshi that began it",
                code="other_study",
            )

    def _recover(self, study: Study) -> None:
        """Read known scores, and end the trials of an interrupted batch, which is asked again."""
        states = self._optuna.trial.TrialState
        for trial in study.get_trials(deepcopy=False):
            params = trial.user_attrs.get(_PARAMS)
            if params is not None:
                self._variants.add(_key(params))
                for name, value in trial.user_attrs.items():
                    if name.startswith(_TAPE):
                        self._known[_key(params), int(name.removeprefix(_TAPE))] = self._score_of(value)
            if trial.state in (states.RUNNING, states.WAITING):
                self._storage.set_trial_user_attr(trial._trial_id, "interrupted", value=True)
                self._storage.set_trial_state_values(trial._trial_id, state=states.FAIL)

    def _settled(self, study: Study) -> list[Any]:
        """Return the ended trials without those of an interrupted batch."""
        return [
            trial for trial in study.get_trials(deepcopy=False)
            if trial.state.is_finished() and "interrupted" not in trial.user_attrs
        ]  # fmt: skip

    def _choice(self, number: int) -> Choice:
        first = self._ranked(number)[0]
        params = first.params
        windows = self._plan.windows.windows
        after = windows[number + 1] if number + 1 < len(windows) else ()
        runs = [(tape, params) for window in windows[: number + 1] for tape in window]
        past = iter(_whole(self._scores(runs)))
        judged = self._scores([(tape, params) for tape in after])
        return Choice(
            last=number + 1,
            params=params,
            score=first.score,
            windows=tuple(WindowScore.of([next(past) for _ in window]) for window in windows[: number + 1]),
            judged=WindowScore.of(_whole(judged)) if after else None,
        )

    def _ranked(self, number: int) -> list[RankedVariant]:
        """Return the variants that ran in all windows of a study, the best first, then in the order tried."""
        done = self._optuna.trial.TrialState.COMPLETE
        tapes = [tape for window in self._plan.windows.windows[: number + 1] for tape in window]
        found: dict[str, tuple[WindowScore, RankedVariant]] = {}
        for trial in self._settled(self._studies[number]):
            key = _key(trial.user_attrs[_PARAMS])
            if trial.state is not done or key in found:
                continue
            whole = WindowScore.of(_whole([self._known.get((key, tape)) for tape in tapes]))
            found[key] = (
                whole,
                RankedVariant(
                    params=dict(trial.user_attrs[_PARAMS]),
                    score=Money(int(trial.value)),
                    **msgspec.structs.asdict(whole),
                ),
            )
        return [variant for _, variant in rank(found.values(), lambda each: (each[1].score, each[0]))]

    def _read_holdout(self) -> Holdout | None:
        found = self._studies[-1].user_attrs.get(_HOLDOUT)
        return None if found is None else msgspec.convert(found, prepared(Holdout))


def _key(point: Point) -> str:
    return msgspec.json.encode(sorted(point.items())).decode()


def _problem(score: TapeScore | None) -> str:
    return "its worker process died" if score is None else score.failed


def _whole(scores: Sequence[TapeScore | None]) -> list[TapeScore]:
    """Return the scores; KalshiError if one was lost."""
    found = [score for score in scores if score is not None]
    if len(found) < len(scores):
        raise KalshiError("A worker process died", hint="repeat the command: finished trials are kept")
    return found


@contextmanager
def open_study(path: Path, clock: Clock) -> Iterator[RDBStorage]:
    """Open or create a study file for this process alone. AnotherInstanceError if another one uses it."""
    from optuna.storages import RDBStorage

    DatabaseError = import_module("sqlalchemy.exc").DatabaseError  # noqa: N806 (of the library that optuna uses)
    make_folder(path.parent)
    try:
        with lock(path.with_name(f"{path.name}.lock"), clock):
            try:
                storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 10}})
            except (DatabaseError, RuntimeError) as error:
                raise UsageError(
                    f"{path} is not a study file of this version", hint="name another file: --study FILE"
                ) from error
            try:
                yield storage
            finally:
                storage.engine.dispose()
    except AnotherInstanceError:
        raise AnotherInstanceError(
            f"Another `kalshi optimize` is using {path}", hint="wait for it, or name another file: --study FILE"
        ) from None
