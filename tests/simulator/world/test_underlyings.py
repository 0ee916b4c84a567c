"""Paths are pure functions of (seed, name, time), with the volatility they claim; spikes come and go."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
from itertools import pairwise

import pytest

from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.simulator.model.seeded_random import SeededRandom
from kalshi_cli.simulator.world.families import BTC, ETH
from kalshi_cli.simulator.world.underlyings import Paths, PricePath, PriceSource, crowd_bias, spike

NOW = parse_ts("2026-11-21T19:00:00Z")
HOUR_MS = 3_600_000


def test_a_path_does_not_depend_on_what_was_asked_before() -> None:
    """So a restart, or a jump over a week, continues the same path."""
    walked = PricePath(1, BTC)
    for second in range(0, 7_200, 7):
        walked.at(NOW + second * 1000)
    fresh = PricePath(1, BTC)
    for moment in (NOW + 60_250, NOW, NOW + 7_199_750, NOW + 7 * 24 * HOUR_MS):
        walked.at(moment - 250)
        assert fresh.at(moment) == walked.at(moment)
    assert PricePath(2, BTC).at(NOW) != fresh.at(NOW)
    assert PricePath(1, ETH).at(NOW) != fresh.at(NOW)


def test_another_process_sees_the_same_path() -> None:
    """Python salts `hash` per process; nothing here may lean on it."""
    code = (
        "from kalshi_cli.simulator.world.families import BTC;"
        "from kalshi_cli.simulator.world.underlyings import PricePath, crowd_bias;"
        f"print(repr(PricePath(1, BTC).at({NOW})), repr(crowd_bias(1, 'KXINX', {NOW})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [repr(PricePath(1, BTC).at(NOW)), repr(crowd_bias(1, "KXINX", NOW))]


def test_a_path_stays_near_its_level_for_years() -> None:
    path = PricePath(1, BTC)
    values = [
        path.at(parse_ts(f"{year}-{month:02d}-15T12:00:00Z")) for year in range(2025, 2036) for month in (1, 5, 9)
    ]
    assert all(0.8 < value / BTC.level < 1.25 for value in values)


@pytest.mark.parametrize("step_s", [5, 600, 10_800])
def test_the_volatility_is_what_the_source_says(step_s: int) -> None:
    calm = PriceSource(name="calm", level=100, daily_sd=0.03, is_log=True, jump_sd=0, jump_every_s=600)
    path = PricePath(1, calm)
    values = [math.log(path.at(NOW + n * step_s * 1000)) for n in range(3_000)]
    moves = [after - before for before, after in pairwise(values)]
    expected = 0.03 * math.sqrt(step_s / 86_400)
    assert statistics.pstdev(moves) == pytest.approx(expected, rel=0.15)


def test_jumps_of_the_reference_happen_and_stay() -> None:
    """The largest move between two quarter seconds is a jump; a minute later most of it is still there."""
    jumpy = PriceSource(name="jumpy", level=100, daily_sd=0.001, jump_sd=1.0, jump_every_s=600)
    path = PricePath(1, jumpy)
    kept, sizes = [], []
    for slot in range(10):
        times = [NOW + slot * 600_000 + n * 250 for n in range(2_400)]
        values = [path.at(time) for time in times]
        at = max(range(1, len(values)), key=lambda n: abs(values[n] - values[n - 1]))
        size = values[at] - values[at - 1]
        sizes.append(abs(size))
        kept.append((path.at(times[at] + 60_000) - values[at - 1]) / size if at + 240 < len(values) else 1.0)
    assert statistics.median(sizes) > 0.3
    assert statistics.median(kept) > 0.8


def test_fair_chances_are_calibrated() -> None:
    """Over many hours the chance given half way is right on average, and better than always saying a half."""
    path = PricePath(3, BTC)
    errors, scores = [], []
    for hour in range(400):
        opens = NOW + hour * HOUR_MS
        close = Ts(opens + HOUR_MS)
        strike = path.at(opens) * (1 + 0.002 * (hour % 5 - 2))
        chance = path.chance(opens + HOUR_MS // 2, close, strike, math.inf, 60)
        came_true = path.average(close, 60) >= strike
        errors.append(chance - came_true)
        scores.append((chance - came_true) ** 2)
    assert abs(statistics.mean(errors)) < 0.04
    assert statistics.mean(scores) < 0.18


def test_the_chance_becomes_the_outcome_as_the_average_fills() -> None:
    path, close = PricePath(1, BTC), NOW
    final = path.average(close, 60)
    for bound, expected in ((final - 0.01, 1.0), (final + 0.01, 0.0)):
        assert path.chance(close, close, bound, math.inf, 60) == pytest.approx(expected)


def test_a_spike_rises_at_once_and_is_gone_within_two_minutes() -> None:
    spikes = [found for slot in range(200) if (found := spike(1, "KXBTCD-X", NOW + slot * 240_000)) is not None]
    assert 80 < len(spikes) < 160
    assert {spike.size > 0 for spike in spikes} == {True, False}
    for found in spikes:
        assert abs(crowd_bias(1, "KXBTCD-X", found.at - 1)) < 35  # what is left of the one before
        assert crowd_bias(1, "KXBTCD-X", found.at) == found.size
        assert 500 <= abs(found.size) <= 1_300
        assert abs(crowd_bias(1, "KXBTCD-X", found.at + 110_000)) < 35


def test_only_the_last_few_paths_are_kept() -> None:
    paths = Paths(1)
    kept = paths.of(BTC)
    for n in range(500):
        paths.of(PriceSource(name=str(n), level=1, daily_sd=1, jump_sd=1, jump_every_s=60))
        assert paths.of(BTC) is kept
    assert len(paths._kept) == 64


def test_dice_are_even() -> None:
    draws = [SeededRandom("even", n).uniform() for n in range(4_000)]
    assert statistics.mean(draws) == pytest.approx(0.5, abs=0.02)
    assert statistics.mean(SeededRandom("normal", n).normal() for n in range(4_000)) == pytest.approx(0, abs=0.05)
    assert statistics.pstdev([SeededRandom("normal", n).normal() for n in range(4_000)]) == pytest.approx(1, abs=0.05)
    counts = [sum(SeededRandom("below", n).below(3) == face for n in range(3_000)) for face in range(3)]
    assert all(900 < count < 1_100 for count in counts)
    heavy = sorted(SeededRandom("heavy", n).heavy(10, 400) for n in range(4_000))
    assert heavy[2_000] == pytest.approx(10, rel=0.1)
    assert heavy[-1] == 400
