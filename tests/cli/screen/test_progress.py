"""The progress of long work in a log."""

from __future__ import annotations

import pytest

from kalshi_cli.cli.screen.progress import progress


@pytest.mark.parametrize(
    ("step_s", "shown"),
    [
        (0.125, [16, 32, 48, 64, 80, 96]),
        (0.5, list(range(10, 101, 10))),
        (30.0, list(range(2, 101, 2))),
    ],
)
def test_a_log_gets_a_line_for_each_tenth_at_most_every_two_seconds_and_at_least_each_minute(
    step_s: float, shown: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    with progress("trials", lambda: now) as show:
        for done in range(1, 101):
            now += step_s
            show(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.partition(" of 100 trials")[0]) for line in lines] == shown
    assert lines[0].endswith(f", about {step_s * (100 - shown[0]):.0f}s left")
