"""A study: chosen on the past, the same after an interruption, one look at the holdout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from optuna.storages import BaseStorage, InMemoryStorage

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import AnotherInstanceError, KalshiError, RefusedError, UsageError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.services.research.search.space import ParameterRange
from kalshi_cli.services.research.search.study import (
    BATCH,
    MAX_BEST,
    ParameterSearch,
    Point,
    Run,
    StudyPlan,
    StudyReport,
    open_study,
)
from kalshi_cli.services.research.search.windows import TapeScore, WindowPlan, WindowScore, median_score

X = ParameterRange(name="x", type="int", low=0, high=1_000, step=1)
Y = ParameterRange(name="y", choices=("a", "b"))
PLAN = StudyPlan(
    ranges=(X, Y), windows=WindowPlan(tuple(str(n) for n in range(5)), ((0, 1), (2,), (3,)), (4,)), trials=20,
    definition={"strategy": "parabola"},
)  # fmt: skip
SHORT = msgspec.structs.replace(PLAN, trials=6)
"""Enough where nothing depends on the number of trials."""
TWO_WINDOWS = msgspec.structs.replace(PLAN, windows=WindowPlan(tuple(str(n) for n in range(5)), ((0, 1), (2,)), (4,)))
ONE_WINDOW = msgspec.structs.replace(PLAN, windows=WindowPlan(tuple(str(n) for n in range(3)), ((0, 1),), (2,)))
CLOCK = ManualClock(Ts(1_000))
Keep = Callable[[int, TapeScore | None], None]


def score_of(tape: int, point: Point) -> TapeScore:
    """Best where x is 300 plus 100 for each recording, and y is b."""
    net = -((int(point["x"]) - 300 - 100 * tape) ** 2) + (500 if point["y"] == "b" else 0)
    return TapeScore(
        net=Money(net), fees=Money(1), max_drawdown=Money(10), high=Money(max(net, 0)), low=Money(min(net, 0)),
        orders=2, fills=1,
    )  # fmt: skip


class Workers:
    """Runs what it is asked for in another order, and stops after a number of runs, as Ctrl-C does."""

    def __init__(self, stop_after: int = 10**9, score: Callable[[int, Point], TapeScore | None] = score_of) -> None:
        self.runs: list[Run] = []
        self._stop_after = stop_after
        self._score = score

    def __call__(self, runs: Sequence[Run], keep: Keep) -> None:
        for number in reversed(range(len(runs))):
            if len(self.runs) == self._stop_after:
                raise KeyboardInterrupt
            self.runs.append(runs[number])
            keep(number, self._score(*runs[number]))


def search(
    workers: Workers,
    plan: StudyPlan = PLAN,
    study: Path | BaseStorage | None = None,
    is_valid: Callable[[Point], bool] = lambda _point: True,
) -> StudyReport:
    """Search in a study file, or in memory: a trial takes ten times as long in a file as in memory."""
    with open_study(study, CLOCK) if isinstance(study, Path) else nullcontext(study or InMemoryStorage()) as storage:
        found = ParameterSearch(plan, storage, workers, is_valid)
        found.run()
        return found.report()


@pytest.mark.parametrize(
    ("sampler", "of", "trials"), [("tpe", ONE_WINDOW, 2 * BATCH + 1), ("random", TWO_WINDOWS, BATCH + 3)]
)
def test_an_interrupted_study_ends_like_an_undisturbed_one_and_runs_nothing_twice(
    tmp_path: Path, sampler: Any, of: StudyPlan, trials: int
) -> None:
    """The third batch of `tpe` is the first that depends on results; it is the one that is kept in a file."""
    plan = msgspec.structs.replace(of, sampler=sampler, trials=trials)
    study = tmp_path / "cut.db" if sampler == "tpe" else InMemoryStorage()
    whole = Workers()
    report = search(whole, plan)
    first, second, third = Workers(13), Workers(15), Workers()
    for workers in (first, second):
        with pytest.raises(KeyboardInterrupt):
            search(workers, plan, study)
    assert search(third, plan, study) == report
    again = [*first.runs, *second.runs, *third.runs]
    assert len(again) == len(whole.runs) == len({(tape, str(sorted(point.items()))) for tape, point in again})


def test_a_study_is_continued_with_more_trials() -> None:
    study = InMemoryStorage()
    more = msgspec.structs.replace(ONE_WINDOW, trials=2 * BATCH + 1)
    search(Workers(), msgspec.structs.replace(ONE_WINDOW, trials=BATCH), study)
    assert search(Workers(), more, study) == search(Workers(), more)


def test_the_past_is_chosen_without_the_window_that_judges_it() -> None:
    def other_future(tape: int, point: Point) -> TapeScore:
        return score_of(tape if tape < 3 else 9 - tape, point)

    one = search(Workers(), SHORT)
    two = search(Workers(score=other_future), SHORT)
    assert [choice.params for choice in one.choices[:2]] == [choice.params for choice in two.choices[:2]]
    assert one.choices[1].judged != two.choices[1].judged
    assert one.choices[2] != two.choices[2]
    assert one.choices[2].judged is None
    assert [choice.last for choice in one.choices] == [1, 2, 3]
    judged = one.choices[0].judged
    assert judged is not None
    assert judged.net == score_of(2, one.choices[0].params).net


def test_the_holdout_is_run_once_and_only_when_opened(tmp_path: Path) -> None:
    workers, plan = Workers(), msgspec.structs.replace(ONE_WINDOW, trials=3)
    with open_study(tmp_path / "a.db", CLOCK) as storage:
        found = ParameterSearch(plan, storage, workers, lambda _point: True)
        found.run()
        assert found.report().holdout is None
        assert 2 not in {tape for tape, _ in workers.runs}
        looked = found.open_holdout(Ts(5_000))
        assert looked.params == found.report().choices[-1].params
        assert looked.result.net == score_of(2, looked.params).net
        assert looked.variants == found.report().variants
    with open_study(tmp_path / "a.db", CLOCK) as storage:
        again = ParameterSearch(plan, storage, Workers(), lambda _point: True)
        again.run()
        assert again.report().holdout == looked
        with pytest.raises(RefusedError, match="opened on 1970-01-01T00:00:05"):
            again.open_holdout(Ts(6_000))


def test_a_grid_is_tried_once_each() -> None:
    ranges = (ParameterRange(name="x", choices=("100", "400", "900")), Y)
    plan = msgspec.structs.replace(PLAN, ranges=ranges, sampler="grid", trials=100)
    report = search(Workers(), plan)
    assert (report.variants, report.trials, report.repeated) == (6, 18, 0)
    assert report.choices[-1].params == {"x": "400", "y": "b"}


def test_trials_that_repeat_an_earlier_one_of_their_window_are_counted() -> None:
    """Another window that tries the same parameters is not a repetition."""
    plan = msgspec.structs.replace(PLAN, ranges=(ParameterRange(name="x", choices=("100",)), Y), sampler="random")
    report = search(Workers(), plan)
    assert (report.variants, report.trials, report.repeated) == (2, 60, 54)


def test_the_result_of_all_windows_decides_between_equal_scores_and_the_tie_is_counted() -> None:
    """The median is that of the window in which all variants have the same result, as in a window without a trade."""

    def equal_in_the_middle(tape: int, point: Point) -> TapeScore:
        net = {2: 0, 3: 5_000}.get(tape, -int(point["x"]))
        return msgspec.structs.replace(
            score_of(tape, {**point, "y": "a"}), net=Money(net), high=Money(max(net, 0)), low=Money(min(net, 0))
        )

    ranges = (ParameterRange(name="x", choices=("400", "100", "900")),)
    plan = msgspec.structs.replace(PLAN, ranges=ranges, sampler="grid", is_pruned=False)
    for seed in range(3):
        of = msgspec.structs.replace(plan, seed=seed)
        report = search(Workers(score=equal_in_the_middle), of)
        assert report.choices[-1].params == {"x": "100"}
        assert [each.params["x"] for each in report.best] == ["100", "400", "900"]
        assert (report.tied, len({each.score for each in report.best})) == (3, 1)
    assert search(Workers(), msgspec.structs.replace(plan, ranges=(*ranges, Y))).tied == 1


def test_a_variant_without_fills_is_not_chosen_before_one_that_earns() -> None:
    def score(tape: int, point: Point) -> TapeScore:
        """`a` earns 1 on each recording after a deep drawdown; `b` trades nothing, and 5 is the number refused."""
        net, down, fills = (1, 10, 3) if point["y"] == "a" else (0, 0, 0)
        return TapeScore(
            net=Money(net), fees=Money(0), max_drawdown=Money(down), high=Money(net), low=Money(-down),
            orders=fills, fills=fills, denied=5,
        )  # fmt: skip

    plan = msgspec.structs.replace(PLAN, ranges=(Y,), sampler="grid")
    found = search(Workers(score=score), plan)
    assert [(each.params["y"], each.fills, each.denied) for each in found.best] == [("a", 12, 20), ("b", 0, 20)]
    assert [choice.params["y"] for choice in found.choices] == ["a", "a", "a"]
    assert found.earned == 1


def test_poor_trials_are_pruned_and_less_is_run() -> None:
    plan = msgspec.structs.replace(TWO_WINDOWS, trials=2 * BATCH, sampler="random")
    pruned, whole = Workers(), Workers()
    assert search(pruned, plan).pruned > 0
    assert search(whole, msgspec.structs.replace(plan, is_pruned=False)).pruned == 0
    assert len(pruned.runs) < len(whole.runs)


def test_parameters_that_the_strategy_refuses_are_never_run() -> None:
    workers = Workers()
    search(workers, msgspec.structs.replace(SHORT, sampler="random"), is_valid=lambda point: point["y"] == "b")
    assert {point["y"] for _, point in workers.runs} == {"b"}


def test_a_lost_run_loses_its_trial_only() -> None:
    def score(tape: int, point: Point) -> TapeScore | None:
        return None if int(point["x"]) % 2 else score_of(tape, point)

    report = search(Workers(score=score), SHORT)
    assert report.trials == 18
    assert 0 < report.failed < 18
    assert report.reasons == ("its worker process died",)
    assert int(report.choices[-1].params["x"]) % 2 == 0
    with pytest.raises(KalshiError, match="No trial could be run: its worker process died"):
        search(Workers(score=lambda _tape, _point: None))


def test_a_study_of_something_else_is_refused(tmp_path: Path) -> None:
    study = InMemoryStorage()
    search(Workers(), SHORT, study)
    with pytest.raises(UsageError, match="made with another strategy, latency") as refused:
        search(Workers(), msgspec.structs.replace(SHORT, definition={"latency": "1"}), study)
    assert refused.value.hint.startswith("name a new file with --study FILE")
    (tmp_path / "text.db").write_text("not a database, only a line of text that is long enough" * 20)
    with pytest.raises(UsageError, match="not a study file"):
        search(Workers(), study=tmp_path / "text.db")


def test_a_study_is_used_by_one_process(tmp_path: Path) -> None:
    with (
        open_study(tmp_path / "a.db", CLOCK),
        pytest.raises(AnotherInstanceError, match="Another `kalshi optimize`"),
        open_study(tmp_path / "a.db", CLOCK),
    ):
        pass


def test_the_best_variants_of_all_windows_are_ranked() -> None:
    study = InMemoryStorage()
    plan = msgspec.structs.replace(TWO_WINDOWS, trials=MAX_BEST + 2, sampler="random", is_pruned=False)
    report = search(Workers(), plan, study)
    assert len(report.best) == MAX_BEST < report.variants
    scores = [each.score for each in report.best]
    assert scores == sorted(scores, reverse=True)
    assert (report.best[0].params, report.best[0].score) == (report.choices[-1].params, report.choices[-1].score)
    assert len({tuple(sorted(each.params.items())) for each in report.best}) == len(report.best)
    for each in report.best:
        tapes = [score_of(tape, each.params) for tape in range(3)]
        assert (each.net, each.fees, each.orders, each.fills) == (sum(tape.net for tape in tapes), 3, 6, 3)
        windows = [WindowScore.of(tapes[first:last]) for first, last in ((0, 2), (2, 3))]
        assert each.score == median_score(windows)
    again = search(Workers(stop_after=0), plan, study)
    assert again.best == report.best, "nothing is run for the list"
