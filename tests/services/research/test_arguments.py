"""Wrong arguments of research in Python: each is a UsageError that names it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.served import Served

from kalshi_cli import Kalshi, errors
from kalshi_cli.services.research.arguments import MAX_LATENCY_MS, interval_of, latency_of, paths_of, texts_of, ts_of
from kalshi_cli.strategies.base import Strategy


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
        ({"since": "2026-05-11", "lake": True}, "is not a time"),
        ({"since": datetime(2026, 5, 11), "lake": True}, "has no time zone"),  # noqa: DTZ001
    ],
)
def test_a_wrong_argument_of_a_backtest_is_named(exchange: Served, changes: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"strategy": "threshold", "files": []} | changes
    with Kalshi.open(env="sim") as kalshi, pytest.raises(errors.UsageError) as refused:
        kalshi.research.backtest(given.pop("strategy"), given.pop("files"), **given)
    assert words in refused.value.message


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
