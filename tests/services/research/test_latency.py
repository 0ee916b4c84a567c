"""Latency as it was measured: its quantiles, and the same draws for the same seed."""

from __future__ import annotations

from itertools import islice, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.services.research.latency import quantile, recorded_latency


@pytest.mark.parametrize(
    ("share", "ms"), [(0, 20), (0.25, 34), (0.5, 47), (0.7, 70), (0.9, 94), (0.99, 547), (0.995, 1_274), (1, 2_000)]
)
def test_quantiles_are_those_of_the_measurement_and_linear_between(share: float, ms: int) -> None:
    assert quantile(share) == ms


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_has_no_smaller_latency(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 20 <= quantile(low) <= quantile(high) <= 2_000


def drawn(seed: int, count: int) -> list[int]:
    return [draw() for draw in islice(repeat(recorded_latency(seed)), count)]


def test_a_seed_repeats_its_draws_and_they_have_the_distribution() -> None:
    found = drawn(3, 20_000)
    assert found == drawn(3, 20_000) != drawn(4, 20_000)
    found.sort()
    assert found[10_000] == pytest.approx(47, abs=2)
    assert found[18_000] == pytest.approx(94, abs=5)
    assert found[19_800] == pytest.approx(547, rel=0.15)
