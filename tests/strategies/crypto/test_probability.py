"""The chance of a threshold: closed forms, the world's own model, and what bars and indicators make of prices."""

from __future__ import annotations

import math
import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talipp.indicators import MACD, RSI

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.world.families import BTC
from kalshi_cli.simulator.world.underlyings import PricePath
from kalshi_cli.strategies.crypto.bars import REGIME_BARS, BarIndicators, Bars
from kalshi_cli.strategies.crypto.probability import chance, tilt

NOW = Ts(1_780_000_000_000 - 1_780_000_000_000 % 3_600_000)
VOL = 0.0001
INF = math.inf


def after(sds: float, *, spot: float = 100.0, left_s: float = 640.0, vol: float = VOL) -> float:
    """The strike that lies so many standard deviations above the spot: of 640 s, 600 count for the average."""
    return spot * math.exp(sds * vol * math.sqrt(left_s - 40))


@pytest.mark.parametrize(("sds", "expected"), [(0, 0.5), (1, 0.158655), (-1, 0.841345), (2, 0.022750), (5, 0.0000003)])
def test_above_a_strike_is_what_the_normal_table_says(sds: float, expected: float) -> None:
    assert chance(100.0, after(sds), INF, 640.0, VOL) == pytest.approx(expected, abs=1e-6)


def test_a_range_is_the_difference_and_all_outcomes_together_are_certain() -> None:
    low, high = after(-1), after(1)
    inside = chance(100.0, low, high, 640.0, VOL)
    assert inside == pytest.approx(0.682689, abs=1e-6)
    below, above = chance(100.0, -INF, low, 640.0, VOL), chance(100.0, high, INF, 640.0, VOL)
    assert below + inside + above == pytest.approx(1.0)
    assert chance(100.0, -INF, INF, 640.0, VOL) == 1.0
    assert chance(100.0, 0.0, INF, 640.0, VOL) == 1.0, "a price is above zero"


def test_a_tilt_moves_the_outcome_by_so_many_standard_deviations() -> None:
    assert chance(100.0, after(1), INF, 640.0, VOL, tilt=1.0) == pytest.approx(0.5)
    assert chance(100.0, after(0), INF, 640.0, VOL, tilt=-1.0) == pytest.approx(0.158655, abs=1e-6)


def test_at_the_end_it_is_decided_and_the_last_minute_joins_on_without_a_jump() -> None:
    assert chance(100.0, 99.99, INF, 0.0, VOL) == 1.0
    assert chance(100.0, 100.01, INF, 0.0, VOL) == 0.0
    assert chance(100.0, 100.01, INF, 59.999, VOL) == pytest.approx(chance(100.0, 100.01, INF, 60.0, VOL), abs=1e-4)


@given(
    st.floats(1, 1e6), st.floats(1, 1e6), st.floats(0, 86_400), st.floats(0, 1), st.floats(-1, 1), st.floats(0, 0.1)
)  # fmt: skip
def test_a_chance_is_one_and_falls_with_the_strike(
    spot: float, strike: float, left_s: float, vol: float, push: float, more: float
) -> None:
    here = chance(spot, strike, INF, left_s, vol, push)
    assert 0.0 <= here <= 1.0
    assert chance(spot, strike * (1 + more), INF, left_s, vol, push) <= here + 1e-12


def test_it_is_the_worlds_own_chance_where_it_knows_the_worlds_volatility() -> None:
    """The world adds jumps, which are small beside an hour; they are put into the volatility here."""
    path = PricePath(3, BTC)
    for left_s in (300, 900, 2_400):
        spread = BTC.daily_sd / math.sqrt(86_400) * math.sqrt(left_s - 40)
        jumps = BTC.jump_sd * math.sqrt(min(1.0, left_s / BTC.jump_every_s))
        vol = math.hypot(spread, jumps) / math.sqrt(left_s - 40)
        for moment in (NOW, NOW + 1_234_000):
            spot = path.at(moment)
            for strike in (spot * 0.995, spot * 0.999, spot, spot * 1.001, spot * 1.005):
                theirs = path.chance(moment, Ts(moment + left_s * 1000), strike, INF, 60)
                assert chance(spot, strike, INF, left_s, vol) == pytest.approx(theirs, abs=0.002)


# -- what indicators may do ---------------------------------------------------------------------------------------


@given(st.floats(0, 100), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.booleans(), st.floats(0, 1))
def test_a_tilt_is_never_more_than_it_may_be(rsi: float, macd: float, vwap: float, trend: bool, most: float) -> None:
    assert abs(tilt(BarIndicators(rsi, macd, vwap, trend), most)) <= most + 1e-12


def test_a_trend_is_followed_and_a_range_is_faded() -> None:
    up = BarIndicators(rsi=75, macd=2, vwap=2, is_trend=True)
    assert tilt(up, 0.3) == pytest.approx(0.3)
    assert tilt(up._replace(is_trend=False), 0.3) == pytest.approx(-0.3)
    assert tilt(BarIndicators(50, 0, 0, is_trend=True), 0.3) == 0.0
    assert tilt(up._replace(rsi=50, vwap=0), 0.3) == pytest.approx(0.1)
    assert tilt(up, 0.0) == 0.0


# -- bars ---------------------------------------------------------------------------------------------------------


def walk(count: int, *, seed: int = 1, step: float = 0.001, drift: float = 0.0) -> list[float]:
    rng, price, found = random.Random(seed), 100.0, []
    for _ in range(count):
        price *= math.exp(rng.gauss(drift, step))
        found.append(price)
    return found


def barred(prices: list[float], *, bar_s: float = 10.0, vol_bars: int = 2_000) -> Bars:
    """One trade in each bar; the last bar is complete."""
    bars = Bars(bar_s, vol_bars)
    for number, price in enumerate((*prices, prices[-1])):
        bars.add(int(NOW + number * bar_s * 1000), price, 1.0)
    return bars


def test_the_volatility_is_what_was_realized_also_over_bars_in_which_nothing_traded() -> None:
    prices = walk(1_000)
    moves = [math.log(later / before) for before, later in pairwise(prices)]
    expected = math.sqrt(statistics.fmean(move * move for move in moves) / 10)
    bars = barred(prices)
    assert bars.vol == pytest.approx(expected)
    assert bars.vol == pytest.approx(0.001 / math.sqrt(10), rel=0.1)
    assert bars.count == 999
    thin = Bars(10.0, 2_000)
    for number, price in enumerate(prices):
        if number % 3 == 0:
            thin.add(int(NOW + number * 10_000), price, 1.0)
    assert thin.vol == pytest.approx(bars.vol, rel=0.1)


def test_a_bar_counts_only_once_it_is_complete_and_a_late_trade_counts_into_the_bar_at_hand() -> None:
    bars = Bars(10.0, 100)
    for at, price in ((0, 100.0), (10_000, 101.0), (19_000, 102.0), (3_000, 103.0)):
        bars.add(NOW + at, price, 1.0)
    assert (bars.count, bars.vol) == (0, 0.0)
    bars.add(NOW + 20_000, 104.0, 1.0)
    assert bars.count == 1
    assert bars.vol == pytest.approx(math.log(1.03) / math.sqrt(10))


def test_after_a_hole_everything_begins_again() -> None:
    bars = barred(walk(100))
    assert bars.signals is not None
    end = NOW + 100 * 10_000
    bars.add(end + 3_600_000, 100.0, 1.0)
    assert (bars.count, bars.signals) == (0, None)
    bars.add(end + 3_610_000, 101.0, 1.0)
    bars.add(end + 3_620_000, 101.0, 1.0)
    assert bars.count == 1


def test_after_the_clock_was_set_back_everything_begins_again() -> None:
    """Otherwise all prices of an hour would count into one bar, and an old volatility would be that of now."""
    bars = barred(walk(100))
    bars.add(NOW + 100 * 10_000 - 200_000, 100.0, 1.0)
    assert bars.count == 99, "what comes late by less than a hole is late"
    for number in range(3):
        bars.add(NOW - 3_600_000 + number * 10_000, 100.0 + number, 1.0)
    assert bars.count == 1
    assert bars.vol == pytest.approx(math.log(1.01) / math.sqrt(10))


def test_there_are_no_signals_before_all_indicators_have_one_or_while_nothing_moves() -> None:
    assert barred(walk(REGIME_BARS)).signals is None
    assert barred(walk(60)).signals is not None
    assert barred([100.0] * 60).signals is None


def test_a_steady_rise_is_a_trend_and_noise_is_a_range() -> None:
    rise = barred(walk(200, step=0.0002, drift=0.001)).signals
    noise = barred([100.0 + (number % 2) * 0.1 + number % 3 * 0.05 for number in range(200)]).signals
    assert rise is not None
    assert noise is not None
    assert (rise.is_trend, noise.is_trend) == (True, False)
    assert rise.rsi > 70
    assert rise.vwap > 0


def test_what_is_forgotten_of_old_values_changes_no_indicator() -> None:
    prices = walk(950)
    rsi, macd = RSI(14), MACD(12, 26, 9)
    for price in prices:
        rsi.add(price)
        macd.add(price)
    bars = barred(prices)
    found = bars.signals
    assert found is not None
    assert found.rsi == pytest.approx(rsi[-1])
    assert found.macd == pytest.approx(macd[-1].histogram / (prices[-1] * bars.vol * math.sqrt(10)))
