"""Ratios, drawdowns and exposure, against hand-worked examples and against numbers of random samples."""

from __future__ import annotations

import random
from math import sqrt
from statistics import fmean, pstdev, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.simulation import T0

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account.pnl import LedgerEntry
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.services.research.report.statistics import (
    MIN_OBSERVATIONS,
    drawdowns,
    highest_cost,
    sharpe,
    sortino,
)

samples = st.lists(st.integers(-(10**9), 10**9), min_size=MIN_OBSERVATIONS, max_size=60)


def test_sharpe_of_a_sample_worked_by_hand() -> None:
    """Ten days of +3 and ten of -1: mean 1, population deviation 2, and no skew; kurtosis 1."""
    found = sharpe([3, -1] * 10)
    assert found is not None
    assert found.value == pytest.approx(1 / (2 * sqrt(20 / 19)))
    assert found.error == pytest.approx(sqrt(1 / 20)), "kurtosis 1 and skewness 0 leave 1/n"


def test_sortino_of_a_sample_worked_by_hand() -> None:
    """Mean 1; the losses are ten of -1 in twenty, so that their root mean square is the root of one half."""
    found = sortino([3, -1] * 10)
    assert found is not None
    assert found.value == pytest.approx(sqrt(2))
    # Influence of a gain: 2 * sqrt(2) + sqrt(2) / 2; of a loss: the same, negative.
    assert found.error == pytest.approx(2.5 * sqrt(2) / sqrt(20))


@pytest.mark.parametrize("measure", [sharpe, sortino])
def test_fewer_than_twenty_observations_give_no_ratio(measure: object) -> None:
    assert callable(measure)
    assert measure([1, -1] * 9 + [5]) is None
    assert measure([1, -1] * 10) is not None


def test_without_variation_or_without_a_loss_there_is_no_ratio() -> None:
    assert sharpe([7] * 30) is None
    assert sortino([0, 7] * 15) is None


@given(samples)
def test_ratios_follow_their_definitions(sample: list[int]) -> None:
    found = sharpe(sample)
    assert (found is None) == (len(set(sample)) == 1)
    if found is not None:
        assert found.value == pytest.approx(fmean(sample) / stdev(sample))
        mean, spread, count = fmean(sample), pstdev(sample), len(sample)
        skew = sum((one - mean) ** 3 for one in sample) / count / spread**3
        kurtosis = sum((one - mean) ** 4 for one in sample) / count / spread**4
        ratio = mean / spread
        variance = (1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2) / count
        assert found.error == pytest.approx(sqrt(max(0, variance)), rel=1e-4, abs=1e-6), "Mertens 2002"


@given(samples, st.integers(2, 1_000))
def test_ratios_do_not_depend_on_the_unit(sample: list[int], factor: int) -> None:
    for measure in (sharpe, sortino):
        one, other = measure(sample), measure([gain * factor for gain in sample])
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert (other.value, other.error) == (pytest.approx(one.value), pytest.approx(one.error, abs=1e-9))


@pytest.mark.parametrize("measure", [sharpe, sortino])
def test_the_standard_error_is_the_spread_of_the_ratio_over_many_samples(measure: object) -> None:
    assert callable(measure)
    numbers = random.Random(7)
    found = [measure([round(numbers.gauss(300, 1_000)) for _ in range(200)]) for _ in range(400)]
    assert fmean(one.error for one in found) == pytest.approx(pstdev([one.value for one in found]), rel=0.12)


def test_a_losing_sample_has_negative_ratios() -> None:
    sample = [-3, 1] * 10
    first, second = sharpe(sample), sortino(sample)
    assert first is not None
    assert second is not None
    assert first.value < 0 > second.value


curves = st.lists(st.integers(-1_000, 1_000), max_size=40)


@given(curves)
def test_a_drawdown_is_the_distance_below_the_highest_value_so_far(values: list[int]) -> None:
    found = drawdowns([(Ts(at), Money(value)) for at, value in enumerate(values)])
    for at, (ts, below) in enumerate(found):
        assert (ts, below) == (at, max(0, *values[: at + 1], 0) - values[at])


def test_a_drawdown_worked_by_hand() -> None:
    values = [0, 5, 3, 8, -2, 1]
    found = drawdowns([(Ts(at), Money(value)) for at, value in enumerate(values)])
    assert [below for _, below in found] == [0, 0, 2, 0, 10, 7]


def fill(at: int, side: Side, price: int, qty: int, ticker: str = "KXA-1", fee: int = 0) -> Fill:
    """A trade `at` milliseconds after the start, at cents, of contracts."""
    return Fill(
        trade_id=f"t{at}{ticker}{side}", order_id="o1", ticker=ticker, side=side, price=cents(price),
        qty=contracts(qty), fee=Money(fee), is_taker=False, ts=Ts(T0 + at),
    )  # fmt: skip


def settlement(at: int, value: Price, ticker: str = "KXA-1") -> Settlement:
    return Settlement(
        ticker=ticker, event_ticker="KXA", result="yes" if value else "no", value=value, yes_qty=Qty(0), no_qty=Qty(0),
        revenue=Money(0), fee=Money(0), ts=Ts(T0 + at),
    )  # fmt: skip


def test_the_highest_exposure_is_the_cost_of_all_positions_at_once() -> None:
    """Ten YES at 40 cents and five NO at 70 cents (a sale of YES at 30) cost $7.50; later ones are cheaper."""
    entries: list[LedgerEntry] = [
        fill(0, BID, 40, 10),
        fill(1, ASK, 30, 5, "KXA-2"),
        fill(2, ASK, 50, 10),
        settlement(3, Price(0), "KXA-2"),
        fill(4, BID, 1, 10),
    ]
    assert highest_cost(entries) == dollars("7.50")
    assert highest_cost(reversed(entries)) == dollars("7.50"), "in the order of time"
    assert highest_cost([]) == 0
