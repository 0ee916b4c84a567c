"""Wrong arguments of research in Python: each is a UsageError that names it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.served import Served
from support.tapes import swinging_tape

from kalshi_cli import Kalshi, OptimizeRequest, errors
from kalshi_cli.services.research.arguments import MAX_LATENCY_MS, interval_of, latency_of, paths_of, texts_of, ts_of
from kalshi_cli.strategies.base import Strategy

STRATEGY = """
from kalshi_cli.strategies.api import BID, Cancel, Place, Strategy, contracts
class Asks(Strategy):
    name = "asks"
    def on_tick(self, view):
        yield {}
"""
NOW, LATER = datetime(2026, 5, 11, tzinfo=UTC), datetime(2026, 5, 12, tzinfo=UTC)


class Fade(Strategy):
    """A class of a notebook."""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"latency_ms": "slow"}, "Invalid latency_ms: 'slow'"),
        ({"latency_ms": -60_000}, "Invalid latency_ms: -60000"),
        ({"latency_ms": True}, "Invalid latency_ms"),
        ({"latency_ms": MAX_LATENCY_MS + 1}, "Invalid latency_ms"),
        ({"interval_s": "1s"}, "Invalid interval_s: '1s'"),
        ({"interval_s": 0}, "Invalid interval_s: 0"),
        ({"fills": "both"}, "Invalid fills: 'both'"),
        ({"fills": ["pessimistic"]}, "Invalid fills"),
        ({"results": [{"KXA": "yes"}]}, "results takes paths of files"),
        ({"results": {"KXA": "yes"}}, "results takes paths of files"),
        ({"files": 5}, "files takes paths of files"),
        ({"strategy": Fade}, "not by the class Fade"),
        ({"since": "2026-05-11", "lake": True}, "'2026-05-11' is not a time with a zone"),
        ({"since": datetime(2026, 5, 11), "lake": True}, "has no time zone"),  # noqa: DTZ001
        ({"since": LATER, "until": NOW}, "since 2026-05-12T00:00:00Z is not before until 2026-05-11T00:00:00Z"),
    ],
)
def test_a_wrong_argument_of_a_backtest_is_named(exchange: Served, changes: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"strategy": "threshold", "files": []} | changes
    with Kalshi.open(env="sim") as kalshi, pytest.raises(errors.UsageError) as refused:
        kalshi.research.backtest(given.pop("strategy"), given.pop("files"), **given)
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trials": 0}, "Invalid trials: 0"),
        ({"windows": 51}, "Invalid windows: 51"),
        ({"jobs": "two"}, "jobs must be a whole number, not 'two'"),
        ({"holdout": 1}, "Invalid holdout: 1"),
        ({"holdout": "20%"}, "holdout must be a number, not '20%'"),
        ({"sampler": "best"}, "sampler must be one of tpe, random, grid, not 'best'"),
        ({"since": LATER, "until": NOW}, "is not before until"),
        ({"since": "2026-05-11"}, "is not a time"),
    ],
)
def test_a_wrong_argument_of_a_search_is_named(exchange: Served, changes: dict[str, Any], words: str) -> None:
    pytest.importorskip("optuna", reason="the extra research is not installed")
    request = OptimizeRequest(strategy="threshold", files="a.jsonl", params="buy_below=20c..30c")
    with Kalshi.open(env="sim") as kalshi, pytest.raises(errors.UsageError) as refused:
        kalshi.research.optimize(replace(request, **changes))
    assert words in refused.value.message


@pytest.mark.parametrize("given", [None, 5, [3]])
@pytest.mark.parametrize("name", ["sessions", "series"])
def test_recordings_of_a_lake_are_chosen_by_names(exchange: Served, tmp_path: Path, name: str, given: Any) -> None:
    with Kalshi.open(env="sim") as kalshi, pytest.raises(errors.UsageError, match=f"{name} takes names, not") as caught:
        kalshi.research.backtest("threshold", lake=tmp_path, **{name: given})
    assert f"{name}=" in caught.value.hint


def test_jobs_are_a_number_and_a_failed_strategy_is_no_result(exchange: Served, tmp_path: Path) -> None:
    tape = swinging_tape(tmp_path / "a.jsonl", 0, 20, 70)
    fails, refused = tmp_path / "fails.py", tmp_path / "refused.py"
    for path, request in ((fails, "Cancel(reason='x')"), (refused, "Place(view.tickers[0], BID, 0.2, contracts(5))")):
        path.write_text(STRATEGY.format(request))
        path.chmod(0o600)
    warned: list[str] = []
    with Kalshi.open(env="sim", warn=warned.append) as kalshi:
        for jobs in (0, 65, "two", True):
            with pytest.raises(errors.UsageError, match="Invalid jobs"):
                kalshi.research.backtest("threshold", tape, jobs=jobs)  # type: ignore[arg-type]
        with pytest.raises(errors.KalshiError, match=r"Strategy failed: .*; Cancel takes client_order_id, reason"):
            kalshi.research.backtest(str(fails), tape)
        assert kalshi.research.backtest(str(refused), tape).view.orders == 0
        (told,) = [text for text in warned if "nothing was traded" in text]
        assert "expected int: cents(20)" in told


def test_other_methods_name_a_missing_folder(exchange: Served, tmp_path: Path) -> None:
    with Kalshi.open(env="sim") as kalshi:
        with pytest.raises(errors.UsageError, match="No folder"):
            kalshi.research.tapes(tmp_path / "nothere")
        with pytest.raises(errors.KalshiError):
            kalshi.research.data_list(str(tmp_path / "nothere"))
        with pytest.raises(errors.UsageError, match=r"gone\.jsonl"):
            kalshi.research.backtest("threshold", str(tmp_path / "gone.jsonl"))


def test_what_is_right_is_taken() -> None:
    assert [latency_of(given) for given in (None, "recorded", 0, MAX_LATENCY_MS)] == [None, None, 0, MAX_LATENCY_MS]
    assert [interval_of(given) for given in (None, 0.5, 10)] == [None, 0.5, 10]
    assert paths_of("day.jsonl.gz", "files") == paths_of(Path("day.jsonl.gz"), "files") == (Path("day.jsonl.gz"),)
    assert paths_of((each for each in ("a", Path("b"))), "files") == (Path("a"), Path("b"))
    assert texts_of("a=1", "params") == texts_of(["a=1"], "params") == ("a=1",)
    assert ts_of(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 1000
    with pytest.raises(errors.UsageError, match="params takes texts"):
        texts_of({"a": 1}, "params")


def test_a_time_is_a_datetime_or_text_with_a_zone() -> None:
    assert ts_of("2026-05-11T00:00:00Z") == ts_of("2026-05-10T20:00:00-04:00") == ts_of(NOW)
