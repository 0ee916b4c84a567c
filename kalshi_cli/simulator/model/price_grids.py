"""The twelve price structures of the exchange (API.md section 6): the label and the bands of each."""

from __future__ import annotations

from kalshi_cli.base.units import ONE_DOLLAR, Price
from kalshi_cli.core.model.price_grid import CENT_GRID, PriceBand, PriceGrid


def _tapered(edge: int, center: int, width: int = 1_000) -> PriceGrid:
    """Return a grid with one step at the edges and one between, in 1e-4 dollars.

    `edge` is the step within `width` of 0 and of a dollar, `center` the step between.
    """
    inner = Price(ONE_DOLLAR - width)
    return PriceGrid(
        (
            PriceBand(Price(0), Price(width), Price(edge)),
            PriceBand(Price(width), inner, Price(center)),
            PriceBand(inner, ONE_DOLLAR, Price(edge)),
        )
    )


def _even(step: int) -> PriceGrid:
    return PriceGrid((PriceBand(Price(0), ONE_DOLLAR, Price(step)),))


STRUCTURES: dict[str, PriceGrid] = {
    "linear_cent": CENT_GRID,
    "deci_cent": _even(10),
    "tapered_deci_cent": _tapered(10, 100),
    "center_whole_edge_half_cent": _tapered(50, 100),
    "center_whole_edge_quint_cent": _tapered(20, 100),
    "center_half_edge_half_cent": _even(50),
    "center_half_edge_quint_cent": _tapered(20, 50),
    "center_half_edge_deci_cent": _tapered(10, 50),
    "center_quint_edge_quint_cent": _even(20),
    "center_quint_edge_deci_cent": _tapered(10, 20),
    "center_centi_edge_centi_cent": _even(1),
    "center_deci_edge_centi_cent": _tapered(1, 10, width=100),
}
