"""The twelve price structures: what we snap to, what the exchange takes, and an independent reckoning of both.

`core.model.PriceGrid` and `sim.grids` are held against Fractions of a dollar, walked step by step from the table of
API.md section 6. Snapping in general is in `core/test_model`; here it is about the published structures by name.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.simulation import DAY_MS, T0, Simulation

from kalshi_cli.base.errors import ExchangeError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, contracts
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.model.price_grid import PriceBand, PriceGrid
from kalshi_cli.simulator.model.listing import ExchangeOptions, MarketSpec
from kalshi_cli.simulator.model.price_grids import STRUCTURES

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


def mistakes(name: str, grid: PriceGrid) -> Iterator[str]:
    """In what a grid is not what is published: every price there can be is tried, on both sides."""
    valid = walk(name)
    known = set(valid)
    for price in map(Price, range(-1, ONE_DOLLAR + 2)):
        at = bisect_right(valid, price)
        below = valid[at - 1] if at else None
        above = price if price in known else valid[at] if at < len(valid) else None
        if grid.is_valid(price) != (price in known):
            yield f"{price} is_valid"
        for side, nearest in ((BID, below), (ASK, above)):
            if grid.snap(side, price) != nearest:
                yield f"{price} snap {side}"


@pytest.mark.no_cover  # ten thousand prices; fixed examples reach every branch
@each_structure
def test_a_grid_takes_and_snaps_as_the_naive_walk_does(name: str) -> None:
    """Never worse for us, to the nearest, and nothing where there is nothing: all 10,003 prices, both sides."""
    assert list(mistakes(name, STRUCTURES[name])) == []


def test_a_grid_that_is_off_in_one_step_is_found_out() -> None:
    for name, grid in STRUCTURES.items():
        first, *rest = grid.bands
        wrong = PriceGrid((PriceBand(first.start, first.end, Price(first.step * 5)), *rest))
        assert any(mistakes(name, wrong)), name


@pytest.mark.no_cover  # ten thousand prices; fixed examples reach every branch
@each_structure
def test_what_was_snapped_is_valid_and_stays_where_it_is(name: str) -> None:
    grid = STRUCTURES[name]
    for price in map(Price, range(1, ONE_DOLLAR)):
        for side in (BID, ASK):
            snapped = grid.snap(side, price)
            if snapped is not None:
                assert grid.is_valid(snapped)
                assert grid.snap(side, snapped) == grid.snap(side.opposite, snapped) == snapped
                assert (price - snapped) * side.sign >= 0, "worse for us"


@pytest.mark.no_cover  # ten thousand prices; fixed examples reach every branch
@each_structure
def test_a_price_of_no_is_snapped_after_converting_and_is_no_worse_in_its_own_terms(name: str) -> None:
    """Buying NO at q is an ask at 1 - q: rounded up, so that NO costs q or less; and NO prices have the same grid."""
    grid = STRUCTURES[name]
    for no_price in map(Price, range(1, ONE_DOLLAR)):
        ask, bid = grid.snap(ASK, Price(ONE_DOLLAR - no_price)), grid.snap(BID, no_price)
        assert (ask is None) == (bid is None)
        if ask is not None:
            assert ONE_DOLLAR - ask <= no_price
            assert ONE_DOLLAR - ask == bid


@each_structure
def test_whole_cents_are_valid_in_every_structure_and_the_ends_are_not(name: str) -> None:
    grid = STRUCTURES[name]
    assert all(grid.is_valid(Price(cent * 100)) for cent in range(1, 100))
    assert not grid.is_valid(Price(0))
    assert not grid.is_valid(ONE_DOLLAR)


# -- over the wire ------------------------------------------------------------------------------------------------


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulation]:
    made = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0))
    yield made
    made.close()


def list_market(sim: Simulation, name: str) -> str:
    ticker = f"KXSIM-26JUN-{name.upper()}"
    spec = MarketSpec(
        ticker=ticker,
        event_ticker="KXSIM-26JUN",
        title="On a grid?",
        open_time=T0,
        close_time=Ts(T0 + DAY_MS),
        price_structure=name,
        grid=STRUCTURES[name],
    )
    sim.exchange.list_market(spec, T0)
    return ticker


def submit(sim: Simulation, ticker: str, side: Side, price: Price) -> str:
    """Alice's order over the wire: "taken", or the code of the refusal. Nothing is left of it."""
    now = sim.clock.now()
    order = Order(
        client_order_id=sim.new_id(),
        ticker=ticker,
        side=side,
        price=price,
        qty=contracts(1),
        tif=TimeInForce.IOC,
        status=OrderStatus.SUBMITTED,
        created=now,
        updated=now,
    )
    try:
        sim.client.create_order(order)
    except ExchangeError as error:
        return error.code
    return "taken"


def worth_trying(name: str) -> list[Price]:
    """Both sides of every seam of a grid and of the ends, and some anywhere."""
    seams = {0, ONE_DOLLAR, 5_000, *(at for band in STRUCTURES[name].bands for at in (band.start, band.end))}
    near = {seam + off for seam in seams for off in (-10, -2, -1, 0, 1, 2, 5, 10, 20, 50)}
    anywhere = random.Random(name).sample(range(1, ONE_DOLLAR), 10)
    return [Price(at) for at in sorted(near | set(anywhere)) if 0 <= at <= ONE_DOLLAR]


@each_structure
def test_the_exchange_takes_exactly_the_valid_prices(sim: Simulation, name: str) -> None:
    ticker, known = list_market(sim, name), set(walk(name))
    market = sim.client.market(ticker)
    assert (market.price_structure, market.grid) == (name, STRUCTURES[name])
    outcomes = []
    for number, price in enumerate(worth_trying(name)):
        outcome = submit(sim, ticker, (BID, ASK)[number % 2], price)
        assert outcome == ("taken" if price in known else "invalid_price"), price
        outcomes.append(outcome)
    assert "taken" in outcomes
    assert "invalid_price" in outcomes


@each_structure
def test_an_amend_moves_to_the_valid_prices_alone(sim: Simulation, name: str) -> None:
    ticker, grid = list_market(sim, name), STRUCTURES[name]
    sim.quote(BID, 40, ticker=ticker)
    mine = sim.place(ticker=ticker).order_id
    order = sim.client.order(mine)
    off = next((Price(at) for at in range(4_001, 4_200) if not grid.is_valid(Price(at))), None)
    step = next(Price(at) for at in range(4_001, 4_200) if grid.is_valid(Price(at)))
    if off is not None:
        with pytest.raises(ExchangeError) as caught:
            sim.client.amend_order(order, replace(order, price=off))
        assert caught.value.code == "invalid_price"
    assert sim.client.amend_order(order, replace(order, price=step)).order.price == step
