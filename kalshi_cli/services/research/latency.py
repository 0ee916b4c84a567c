"""The latency of orders in a backtest: a fixed time, or a draw from a measured distribution."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

RECORDED = ((0.0, 20), (0.5, 47), (0.9, 94), (0.99, 547), (1.0, 2_000))
"""Quantiles of the time from an order to its acknowledgement on the real exchange, in milliseconds."""


def quantile(share: float) -> int:
    """Return the latency, in whole milliseconds, that this share of orders does not exceed; linear between quantiles.

    `share` is between 0 and 1.
    """
    for (left, low), (right, high) in pairwise(RECORDED):
        if share <= right:
            return round(low + (high - low) * (share - left) / (right - left))
    return RECORDED[-1][1]


def recorded_latency(seed: int) -> Callable[[], int]:
    """Return a source of latencies in milliseconds; the same seed gives the same sequence."""
    numbers = Random(seed)  # noqa: S311 - a simulation, repeatable by its seed
    return lambda: quantile(numbers.random())
