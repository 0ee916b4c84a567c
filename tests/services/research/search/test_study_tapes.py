"""The recordings of a study: of files and of a lake, each alone, with a content that changes when its results do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.lake import add, lake_of
from support.recordings import T0, TICKER
from support.tapes import SETUP, scheduler_here, swinging_tapes

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.services.research.backtest import BacktestRequest, unknown_lines
from kalshi_cli.services.research.search.cluster import SchedulerAddress
from kalshi_cli.services.research.search.optimize import (
    OptimizeRequest,
    no_result_text,
    optimize,
    optimize_notes,
    optimize_warnings,
)
from kalshi_cli.services.research.search.study_tapes import list_tapes
from kalshi_cli.services.research.tape_runs import BacktestSetup, merge_reports, run_backtest, split_by_tape
from kalshi_cli.views.research import OptimizeView

OTHER = (
    "earlier ones of threshold have other recordings, results, parameters or settings, "
    "or are of another version of kalshi"
)
SHARED = f"Warning: 1 market is in more than one recording: {TICKER}. "
AFTER_CLOSE = Ts(T0 + 10**12)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[SchedulerAddress]:
    with scheduler_here() as address:
        yield address


def without_names(view: OptimizeView) -> OptimizeView:
    """The view without what names its files: the same data in a lake has other names."""
    best = tuple(msgspec.structs.replace(row, settings={}) for row in view.best)
    return msgspec.structs.replace(view, study="", settings={}, best=best)


def test_files_and_recordings_of_a_lake_have_the_same_starts(tmp_path: Path) -> None:
    tapes = swinging_tapes(tmp_path)
    base = BacktestRequest(strategies=("threshold",), files=())
    of_files = list_tapes(msgspec.structs.replace(base, files=tapes))
    of_lake = list_tapes(msgspec.structs.replace(base, lake=lake_of(tmp_path, *tapes).root))
    assert [each.start for each in of_files] == [each.start for each in of_lake]
    assert [each.start for each in of_files] == [T0 + number * 86_400_000 for number in range(5)]
    assert all(path.is_file() for each in (*of_files, *of_lake) for path in each.paths)
    with pytest.raises(UsageError, match="No recording given"):
        list_tapes(base)


def test_a_new_result_changes_the_results_and_not_the_content(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, swinging_tapes(tmp_path)[0])
    request = BacktestRequest(strategies=("threshold",), files=(), lake=lake.root)
    (before,) = list_tapes(request)
    results = tmp_path / "results.json"
    results.write_bytes(msgspec.json.encode({TICKER: "yes"}))
    add(lake, results)
    (after,) = list_tapes(request)
    assert before.results != after.results
    assert before._replace(results="") == after._replace(results="")


def test_a_study_of_a_lake_has_the_result_of_its_files(tmp_path: Path, scheduler: SchedulerAddress) -> None:
    tapes = swinging_tapes(tmp_path)
    lake = lake_of(tmp_path, *tapes).root
    base = OptimizeRequest(
        strategy="threshold", files=(), params=("buy_below=10c,35c", "sell_above=50c"), trials=2, sampler="grid",
        windows=2, scheduler=scheduler,
    )  # fmt: skip
    told: list[str] = []

    def view_of(request: OptimizeRequest, setup: BacktestSetup = SETUP) -> OptimizeView:
        return optimize(setup, request, ManualClock(T0), tmp_path / "studies", note=told.append)

    views = [view_of(msgspec.structs.replace(base, files=tapes))]
    assert told == []
    views.append(view_of(msgspec.structs.replace(base, lake=lake)))
    assert told == [f"A new study, {views[1].study}: {OTHER}"]
    assert view_of(msgspec.structs.replace(base, lake=lake)) == views[1]
    assert len(told) == 1, "a study that is resumed is not new"
    assert views[1].shared_markets == (TICKER,)
    warning = f"Warning: 1 market is in more than one window (or holdout): {TICKER}. One result can both choose and"
    assert optimize_warnings(views[1])[0].startswith(warning)
    assert not any(
        "more than one" in text for text in optimize_warnings(msgspec.structs.replace(views[1], shared_markets=()))
    )
    slower = msgspec.structs.replace(SETUP, interval_s=SETUP.interval_s + 1)
    own = msgspec.structs.replace(base, lake=lake, study=Path(views[1].study))
    with pytest.raises(UsageError, match="made with another configuration; it has 2 trials"):
        view_of(own, slower)
    assert views[0].study != views[1].study
    assert without_names(views[0]) == without_names(views[1])
    assert views[0].rows[-1].params


def test_a_study_of_files_is_cut_like_one_of_their_lake(tmp_path: Path, scheduler: SchedulerAddress) -> None:
    tapes, told = swinging_tapes(tmp_path), list[str]()
    since, until = Ts(T0 + 86_400_000 + 5_000), Ts(T0 + 4 * 86_400_000)
    base = OptimizeRequest(
        strategy="threshold", files=(), params=("buy_below=10c,35c", "sell_above=50c"), trials=2, sampler="grid",
        windows=1, holdout=0, scheduler=scheduler, since=since, until=until,
    )  # fmt: skip

    def view_of(**changes: Any) -> OptimizeView:
        request = msgspec.structs.replace(base, **changes)
        return optimize(SETUP, request, ManualClock(T0), tmp_path / "studies", tell=told.append)

    of_files = view_of(files=tapes)
    left_out, shared = told
    assert left_out.rpartition(": ")[2] == f"{tapes[0].name}, {tapes[4].name}"
    assert shared.startswith(SHARED)
    of_lake = view_of(lake=lake_of(tmp_path, *tapes).root)
    assert of_files.recordings == 3
    assert without_names(of_files) == without_names(of_lake)
    assert view_of(files=tapes).study == of_files.study, "the same times continue it"
    whole = view_of(files=tapes[1:4], since=None, until=None)
    assert whole.study != of_files.study
    first, *_ = list_tapes(BacktestRequest(strategies=("threshold",), files=tapes, since=since, until=until))
    assert first.start == since


def test_fills_latency_interval_and_gaps_are_those_of_the_study(tmp_path: Path, scheduler: SchedulerAddress) -> None:
    base = OptimizeRequest(
        strategy="threshold", files=swinging_tapes(tmp_path), params=("buy_below=10c,35c", "sell_above=50c"), trials=2,
        sampler="grid", windows=1, scheduler=scheduler, study=tmp_path / "one.db",
    )  # fmt: skip

    def view_of(request: OptimizeRequest) -> OptimizeView:
        return optimize(SETUP, request, ManualClock(T0), tmp_path / "studies")

    usual = view_of(base)
    assert (usual.fill_model, usual.latency) == ("proportional", "150ms")
    assert [row.params for row in usual.best] == ["buy_below=35c", "buy_below=10c"]
    assert usual.best[0].score == usual.score
    others: dict[str, dict[str, Any]] = {
        "fill model": {"fill_model": "pessimistic"},
        "latency": {"latency_ms": None},
        "interval": {"interval_s": 1},
        "treatment of gaps": {"holes": "ignore"},
    }
    for name, changes in others.items():
        with pytest.raises(UsageError, match=f"made with another {name}"):
            view_of(msgspec.structs.replace(base, **changes))
    other = view_of(msgspec.structs.replace(base, fill_model="pessimistic", latency_ms=None, study=None))
    assert (other.fill_model, other.latency) == ("pessimistic", "recorded")
    slow = view_of(msgspec.structs.replace(base, latency_ms=60_000, interval_s=10, study=None))
    assert slow.best[0].net != usual.best[0].net, "the runs take them"
    with pytest.raises(UsageError, match="Invalid latency_ms"):
        view_of(msgspec.structs.replace(base, latency_ms=-1))


def test_a_search_says_what_a_backtest_of_its_choice_does_and_warns_before_it_runs(
    tmp_path: Path, scheduler: SchedulerAddress
) -> None:
    tapes, events = swinging_tapes(tmp_path), list[str]()
    base = OptimizeRequest(
        strategy="threshold", files=tapes[:3], params=("buy_below=10c,35c", "sell_above=95c"), trials=2, sampler="grid",
        windows=2, scheduler=scheduler,
    )  # fmt: skip

    def view_of(request: OptimizeRequest, now: Ts = AFTER_CLOSE) -> OptimizeView:
        events.clear()
        return optimize(
            SETUP, request, ManualClock(now), tmp_path / "studies",
            show=lambda _done, _known: events.append("run"), tell=events.append,
        )  # fmt: skip

    found = view_of(base)
    assert events[0].startswith(SHARED)
    assert events[1].startswith(f"Warning: no result of {TICKER}, which closed: ")
    assert events[2] == "run"
    params = dict(pair.split("=") for pair in (*found.params.split(), "sell_above=95c"))
    request = BacktestRequest(strategies=("threshold",), files=tuple(tapes[:2]), params=params)
    runs = [run_backtest(SETUP, part) for part in split_by_tape(request)]
    assert found.unknown == unknown_lines(merge_reports(runs, SETUP.cash))
    assert any("result of 1 of 1 market" in line for line in found.unknown)
    assert optimize_notes(found)[: len(found.unknown)] == [f"Unknown: {line}" for line in found.unknown]
    assert view_of(base).unknown == found.unknown, "a study that is resumed says the same"
    opened = view_of(msgspec.structs.replace(base, opens_holdout=True))
    assert opened.unknown == view_of(base).unknown
    view_of(msgspec.structs.replace(base, study=tmp_path / "early.db"), T0)
    assert set(events[1:]) == {"run"}, "nothing has closed yet"
    results = tmp_path / "results.json"
    results.write_bytes(msgspec.json.encode({TICKER: "yes"}))
    known = view_of(msgspec.structs.replace(base, results=(results,)))
    assert set(events[1:]) == {"run"}
    assert not any("result of" in line for line in known.unknown)
    lake = lake_of(tmp_path, *tapes[:3])
    of_lake = msgspec.structs.replace(base, files=(), lake=lake.root)
    assert view_of(of_lake).unknown == found.unknown
    assert events[1].startswith(f"Warning: no result of {TICKER}, which closed: ")
    add(lake, results)
    view_of(of_lake)
    assert set(events[1:]) == {"run"}


def test_a_study_names_the_results_that_changed_and_not_the_recordings(
    tmp_path: Path, scheduler: SchedulerAddress
) -> None:
    tapes, results = swinging_tapes(tmp_path)[:3], tmp_path / "results.json"
    lake = lake_of(tmp_path, *tapes)
    other = "made with another set of results; it has 2 trials"
    base = OptimizeRequest(
        strategy="threshold", files=(), params=("buy_below=10c,35c", "sell_above=95c"), trials=2, sampler="grid",
        windows=1, scheduler=scheduler,
    )  # fmt: skip

    def view_of(source: dict[str, Any], *files: Path) -> OptimizeView:
        request = msgspec.structs.replace(base, results=files, study=tmp_path / f"{next(iter(source))}.db", **source)
        return optimize(SETUP, request, ManualClock(AFTER_CLOSE), tmp_path / "studies")

    sources: tuple[dict[str, Any], ...] = ({"files": tuple(tapes)}, {"lake": lake.root})
    for source in sources:
        results.write_bytes(msgspec.json.encode({TICKER: "yes", "OTHER": "no"}))
        first = view_of(source, results)
        with pytest.raises(UsageError, match=other):
            view_of(source)
        assert view_of(source, results.rename(tmp_path / "renamed.json")) == first, "the same results, read elsewhere"
        results.write_bytes(msgspec.json.encode({TICKER: "no", "OTHER": "yes"}))
        with pytest.raises(UsageError, match=other):
            view_of(source, results)
    add(lake, results)
    with pytest.raises(UsageError, match=other):
        view_of(sources[1], tmp_path / "renamed.json")


def test_markets_without_a_result_are_counted_apart_from_those_of_the_holdout(
    tmp_path: Path, scheduler: SchedulerAddress
) -> None:
    """The report counts those of the windows: its holdout is closed."""
    tapes, told = swinging_tapes(tmp_path)[:3], list[str]()
    tapes[2].write_bytes(tapes[2].read_bytes().replace(TICKER.encode(), b"KXB-1"))
    request = OptimizeRequest(
        strategy="threshold", params=("buy_below=20c,30c",), trials=2, sampler="grid", windows=2, scheduler=scheduler,
        files=tuple(tapes),
    )  # fmt: skip
    found = optimize(SETUP, request, ManualClock(AFTER_CLOSE), tmp_path / "studies", tell=told.append)
    assert any("result of 1 of 1 market" in line for line in found.unknown)
    start = f"Warning: no result of {TICKER}, which closed, and of 1 more in the holdout: "
    assert sum(line.startswith(start) for line in told) == 1
    lake = lake_of(tmp_path, *tapes)
    optimize(
        SETUP, msgspec.structs.replace(request, files=(), lake=lake.root), ManualClock(AFTER_CLOSE),
        tmp_path / "studies", tell=told.append,
    )  # fmt: skip
    assert sum(line.startswith(start) for line in told) == 2
    assert no_result_text([], ["KXB-1", "KXB-2"]).startswith(
        "Warning: no result of KXB-1 and 1 other market that closed in the holdout: "
    )


def test_a_search_over_a_part_of_the_markets_is_that_of_the_recordings_that_have_them(
    tmp_path: Path, scheduler: SchedulerAddress
) -> None:
    tapes = swinging_tapes(tmp_path)
    tapes[2].write_bytes(tapes[2].read_bytes().replace(TICKER.encode(), b"KXB-1"))
    told: list[str] = []

    def view_of(*files: Path, tickers: tuple[str, ...] = ()) -> OptimizeView:
        request = OptimizeRequest(
            strategy="threshold", params=("buy_below=20c,30c",), trials=2, sampler="grid", windows=1, holdout=0,
            scheduler=scheduler, files=files, tickers=tickers,
        )  # fmt: skip
        return optimize(SETUP, request, ManualClock(AFTER_CLOSE), tmp_path / "studies", tell=told.append)

    whole = view_of(*tapes[:2], *tapes[3:])
    told.clear()
    part = view_of(*tapes, tickers=(TICKER,))
    assert msgspec.structs.replace(part, study=whole.study) == whole
    assert part.study != whole.study
    assert told[0] == f"Left out 1 of 5 recordings without {TICKER}: {tapes[2].name}"
    assert told[1].startswith(SHARED)
    assert told[2].startswith(f"Warning: no result of {TICKER}, which closed: ")
    assert view_of(*tapes).recordings == 5
