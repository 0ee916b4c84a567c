"""The nouns: price grids of both sides, what an order still risks, and values the exchange may add later."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.places import SHARED

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, parse_price
from kalshi_cli.core.model.markets import FeeType, MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.model.price_grid import CENT_GRID, PriceBand, PriceGrid


def bands(*rows: tuple[int, int, int]) -> PriceGrid:
    return PriceGrid(tuple(PriceBand(Price(start), Price(end), Price(step)) for start, end, step in rows))


def edged(edge: int, centre: int, width: int = 1_000) -> PriceGrid:
    return bands((0, width, edge), (width, 10_000 - width, centre), (10_000 - width, 10_000, edge))


# API.md section 6: every published structure.
GRIDS = {
    "linear_cent": bands((0, 10_000, 100)),
    "deci_cent": bands((0, 10_000, 10)),
    "tapered_deci_cent": edged(10, 100),
    "center_whole_edge_half_cent": edged(50, 100),
    "center_whole_edge_quint_cent": edged(20, 100),
    "center_half_edge_half_cent": edged(50, 50),
    "center_half_edge_quint_cent": edged(20, 50),
    "center_half_edge_deci_cent": edged(10, 50),
    "center_quint_edge_quint_cent": edged(20, 20),
    "center_quint_edge_deci_cent": edged(10, 20),
    "center_centi_edge_centi_cent": edged(1, 1),
    "center_deci_edge_centi_cent": edged(1, 10, 100),
}
# A grid with a hole, and one that is not symmetric: nothing promises that there will be none.
ODD_GRIDS = {"hole": bands((0, 1_000, 100), (5_000, 6_000, 250)), "offset": bands((130, 9_000, 70))}
grids = st.sampled_from([*GRIDS.values(), *ODD_GRIDS.values()])
sides = st.sampled_from([BID, ASK])
prices = st.integers(-500, 10_500).map(Price)


def every_valid_price(grid: PriceGrid) -> list[int]:
    """The slow way: walk each band."""
    found = {at for band in grid.bands for at in range(band.start, band.end + 1, band.step)}
    return sorted(found - {0, 10_000})


VALID = {grid: every_valid_price(grid) for grid in [*GRIDS.values(), *ODD_GRIDS.values()]}


@given(grids, prices)
def test_a_price_is_valid_exactly_where_a_band_has_a_step(grid: PriceGrid, price: Price) -> None:
    assert grid.is_valid(price) == (price in VALID[grid])


@given(grids, sides, prices)
def test_snapping_finds_the_nearest_valid_price_that_is_no_worse(grid: PriceGrid, side: Side, price: Price) -> None:
    if side is BID:
        expected = max((at for at in VALID[grid] if at <= price), default=None)
    else:
        expected = min((at for at in VALID[grid] if at >= price), default=None)
    assert grid.snap(side, price) == expected


@given(st.sampled_from(list(GRIDS.values())), sides, st.integers(1, 9_999).map(Price))
def test_snapping_a_no_price_after_converting_is_the_mirror(grid: PriceGrid, side: Side, price: Price) -> None:
    """Published grids are symmetric, so a NO bid at q is as good as a YES ask at one dollar less q."""
    snapped = grid.snap(side, price)
    mirrored = grid.snap(side.opposite, Price(ONE_DOLLAR - price))
    assert (snapped is None) == (mirrored is None)
    assert snapped is None or mirrored == ONE_DOLLAR - snapped


@given(grids, prices)
def test_nearest_brackets_the_price(grid: PriceGrid, price: Price) -> None:
    below, above = grid.nearest(price)
    assert below is None or (grid.is_valid(below) and below <= price)
    assert above is None or (grid.is_valid(above) and above >= price)
    if grid.is_valid(price):
        assert below == above == price


@pytest.mark.parametrize("name", GRIDS)
def test_whole_cents_are_valid_in_every_structure(name: str) -> None:
    assert all(GRIDS[name].is_valid(Price(cent * 100)) for cent in range(1, 100))
    assert not GRIDS[name].is_valid(Price(0))
    assert not GRIDS[name].is_valid(ONE_DOLLAR)


@pytest.mark.parametrize(
    ("name", "side", "price", "snapped"),
    [
        ("linear_cent", BID, 4_755, 4_700),
        ("linear_cent", ASK, 4_755, 4_800),
        ("linear_cent", BID, 99, None),
        ("linear_cent", ASK, 9_901, None),
        ("linear_cent", BID, 20_000, 9_900),
        ("linear_cent", BID, 10_000, 9_900),
        ("linear_cent", BID, 0, None),
        ("linear_cent", ASK, -5, 100),
        ("linear_cent", ASK, 0, 100),
        ("linear_cent", ASK, 10_000, None),
        ("tapered_deci_cent", BID, 999, 990),
        ("tapered_deci_cent", ASK, 1_001, 1_100),
        ("tapered_deci_cent", BID, 1_099, 1_000),
        ("tapered_deci_cent", ASK, 8_999, 9_000),
        ("tapered_deci_cent", BID, 9_015, 9_010),
        ("center_half_edge_quint_cent", ASK, 1_001, 1_050),
        ("center_deci_edge_centi_cent", BID, 99, 99),
        ("center_deci_edge_centi_cent", BID, 109, 100),
    ],
)
def test_snapping_at_the_seams(name: str, side: Side, price: int, snapped: int | None) -> None:
    assert GRIDS[name].snap(side, Price(price)) == snapped


def test_a_grid_without_bands_has_no_valid_price() -> None:
    assert PriceGrid(()).nearest(Price(5_000)) == (None, None)


def test_recorded_price_ranges_make_a_grid() -> None:
    path = SHARED / "data" / "rest" / "prod-202608-price-grids.json"
    if not path.exists():
        pytest.skip("the recorded exchange data is not beside the repository")
    for recorded in json.loads(path.read_text())["grids"]:
        rows = [tuple(parse_price(row[key]) for key in ("start", "end", "step")) for row in recorded["price_ranges"]]
        assert bands(*rows) == GRIDS[recorded["price_level_structure"]]  # type: ignore[arg-type]
    assert GRIDS["linear_cent"] == CENT_GRID


# -- sides, statuses, orders --------------------------------------------------------------------------------------


def test_a_bid_adds_and_an_ask_takes_away() -> None:
    assert (BID.sign, ASK.sign) == (1, -1)
    assert (BID.opposite, ASK.opposite) == (ASK, BID)


def order(status: OrderStatus, *, filled: int = 0, reduced: int = 0) -> Order:
    return Order(
        client_order_id="c1",
        ticker="T",
        side=BID,
        price=Price(4_700),
        qty=Qty(1_000),
        filled=Qty(filled),
        reduced=Qty(reduced),
        status=status,
        created=Ts(0),
        updated=Ts(0),
    )


@pytest.mark.parametrize("status", list(OrderStatus))
def test_only_what_may_still_trade_has_a_remainder(status: OrderStatus) -> None:
    live = {OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.RESTING}
    assert status.is_live == (status in live)
    assert order(status, filled=300, reduced=200).remaining == (500 if status in live else 0)


def test_values_the_exchange_adds_later_read_as_unknown() -> None:
    assert MarketStatus("hibernating") is MarketStatus.UNKNOWN
    assert FeeType("margin_market_maker_program_fees") is FeeType.UNKNOWN
    assert MarketStatus("active") is MarketStatus.ACTIVE
    assert FeeType("quadratic") is FeeType.QUADRATIC
