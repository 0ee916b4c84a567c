"""Time windows of recordings, and scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recordings import T0
from support.tapes import swinging_tapes

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.services.research.search.windows import (
    WindowScore,
    choice_warnings,
    median_score,
    plan_windows,
    rank,
    shared_between_windows,
    start_of,
)

TAPES = [f"{number}.jsonl" for number in range(10)]


def test_windows_follow_each_other_in_time_and_the_holdout_is_last() -> None:
    starts = [Ts(1_000 - number) for number in range(10)]
    plan = plan_windows(TAPES, starts, 3, 0.2)
    assert plan.tapes == tuple(reversed(TAPES))
    assert (plan.windows, plan.holdout) == (((0, 1), (2, 3, 4), (5, 6, 7)), (8, 9))
    assert plan.names()["window 1"] == "9.jsonl, 8.jsonl"
    assert list(plan.names()) == ["window 1", "window 2", "window 3", "holdout"]
    whole = plan_windows([f"/tapes/{name}" for name in TAPES[:1]], starts[:1], 1, 0)
    assert whole.names() == {"window 1": "0.jsonl"}
    assert plan_windows(TAPES, starts, 10, 0).holdout == ()
    with pytest.raises(UsageError, match="10 recordings cannot fill 9 windows and a holdout of 2"):
        plan_windows(TAPES, starts, 9, 0.2)


def test_markets_of_several_windows_or_of_the_holdout_are_named_and_those_of_one_window_are_not() -> None:
    plan = plan_windows(TAPES[:5], [Ts(number) for number in range(5)], 2, 0.2)
    assert (plan.windows, plan.holdout) == (((0, 1), (2, 3)), (4,))
    markets: list[list[str]] = [["inside", "x"], ["inside", "edge"], ["edge"], ["held"], ["held", "y"]]
    assert shared_between_windows(plan, markets) == ("edge", "held")


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


def result(net: int, fills: int, drawdown: int = 0) -> tuple[Money, WindowScore]:
    whole = WindowScore(net=Money(net), fees=Money(0), max_drawdown=Money(drawdown), orders=fills, fills=fills)
    return whole.score, whole


def test_a_variant_without_fills_comes_after_those_that_earn_and_before_those_that_lose() -> None:
    idle, lost, won, won_late = result(0, 0), result(-5, 9), result(9, 9), result(1, 9, drawdown=20)
    assert rank([idle, lost, won_late, won], lambda each: each) == [won, won_late, idle, lost]
    assert rank([lost, idle], lambda each: each) == [idle, lost]


@pytest.mark.parametrize(
    ("fills", "earned", "said"),
    [
        (10, 1, ""),
        (9, 1, "has 9 fills: too few to judge it"),
        (1, 1, "has 1 fill: too few"),
        (
            0,
            0,
            "no variant earned on all recordings together. The best is not to trade|the best variant traded nothing",
        ),
        (10, 0, "The best is not to trade"),
    ],
)
def test_a_choice_that_hardly_traded_or_never_earned_gets_a_warning(fills: int, earned: int, said: str) -> None:
    found = choice_warnings(fills, earned)
    assert len(found) == bool(said) + ("|" in said)
    assert all(part in line for part, line in zip(said.split("|"), found, strict=False))
