"""Time windows of recordings, and scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recordings import T0
from support.tapes import swinging_tapes

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.services.research.search.windows import WindowScore, median_score, plan_windows, start_of

TAPES = [f"{number}.jsonl" for number in range(10)]


def test_windows_follow_each_other_in_time_and_the_holdout_is_last() -> None:
    starts = [Ts(1_000 - number) for number in range(10)]
    plan = plan_windows(TAPES, starts, 3, 0.2)
    assert plan.tapes == tuple(reversed(TAPES))
    assert (plan.windows, plan.holdout) == (((0, 1), (2, 3, 4), (5, 6, 7)), (8, 9))
    assert plan_windows(TAPES, starts, 10, 0).holdout == ()
    with pytest.raises(UsageError, match="10 recordings cannot fill 9 windows and a holdout of 2"):
        plan_windows(TAPES, starts, 9, 0.2)


def test_a_recording_starts_with_its_first_time(tmp_path: Path) -> None:
    for number, path in enumerate(swinging_tapes(tmp_path)):
        assert start_of(path) == T0 + number * 86_400_000
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"type": "ticker"}\n' * 3)
    with pytest.raises(UsageError, match="no line has a time"):
        start_of(bare)
    bare.write_text("no json\n")
    with pytest.raises(UsageError, match=r"bare\.jsonl:1"):
        start_of(bare)


def window(net: int, drawdown: int) -> WindowScore:
    return WindowScore(net=Money(net), fees=Money(0), max_drawdown=Money(drawdown), orders=0, fills=0)


def test_a_score_is_the_median_of_net_less_half_the_drawdown() -> None:
    assert window(100, 50).score == 75
    assert median_score([window(100, 50), window(-500, 0), window(90, 10)]) == 75
    assert median_score([window(100, 50), window(50, 50)]) == 50
