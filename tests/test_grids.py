"""The twelve price structures: what we snap to, what the exchange takes, and an independent reckoning of both.

`core.model.PriceGrid` and `sim.grids` are held against Fractions of a dollar, walked step by step from the table of
API.md section 6. Snapping in general is in `core/test_model`; here it is about the published structures by name.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from kalshi_cli.core.model import ASK, BID, PriceGrid
from kalshi_cli.sim.grids import STRUCTURES
from kalshi_cli.units import ONE_DOLLAR, Price

# API.md section 6, in dollars: the step at the edges, the step between, and how wide an edge is.
TABLE = {
    "linear_cent": ("0.01", "0.01", "0.10"),
    "deci_cent": ("0.001", "0.001", "0.10"),
    "tapered_deci_cent": ("0.001", "0.01", "0.10"),
    "center_whole_edge_half_cent": ("0.005", "0.01", "0.10"),
    "center_whole_edge_quint_cent": ("0.002", "0.01", "0.10"),
    "center_half_edge_half_cent": ("0.005", "0.005", "0.10"),
    "center_half_edge_quint_cent": ("0.002", "0.005", "0.10"),
    "center_half_edge_deci_cent": ("0.001", "0.005", "0.10"),
    "center_quint_edge_quint_cent": ("0.002", "0.002", "0.10"),
    "center_quint_edge_deci_cent": ("0.001", "0.002", "0.10"),
    "center_centi_edge_centi_cent": ("0.0001", "0.0001", "0.10"),
    "center_deci_edge_centi_cent": ("0.0001", "0.001", "0.01"),
}
each_structure = pytest.mark.parametrize("name", TABLE)


def walk(name: str) -> list[Price]:
    """Every valid price, the slow way: from nothing to a dollar, a step of the band at a time."""
    edge, centre, width = (Fraction(text) for text in TABLE[name])
    found, at = [], Fraction(0)
    while at < 1:
        at += edge if at < width or at >= 1 - width else centre
        found.append(Price(int(at * ONE_DOLLAR)))
    assert found[-1] == ONE_DOLLAR, "the steps of a grid end at a dollar"
    return found[:-1]


def test_the_exchange_has_the_published_structures_and_no_others() -> None:
    assert set(STRUCTURES) == set(TABLE)
    assert len(TABLE) == 12


def mistakes(name: str, grid: PriceGrid) -> list[str]:
    """In what a grid is not what is published; every price there can be is tried, on both sides."""
    valid = walk(name)
    known, found = set(valid), []
    for at in range(-1, ONE_DOLLAR + 2):
        price = Price(at)
        if grid.is_valid(price) != (price in known):
            found.append(f"{price} valid")
        below = max((one for one in (grid.snap(BID, price),) if one is not None), default=None)
        above = grid.snap(ASK, price)
        if below is not None and (below > price or below not in known):
            found.append(f"{price} bid {below}")
        if above is not None and (above < price or above not in known):
            found.append(f"{price} ask {above}")
    return found
