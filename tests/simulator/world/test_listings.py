"""The catalogue has enough of everything open at any time, in shapes a client may meet."""

from __future__ import annotations

import re

import pytest

from kalshi_cli.base.units import Price, Ts, parse_ts
from kalshi_cli.core.model.markets import FeeType
from kalshi_cli.simulator.model.calendar import DAY, HOUR, MINUTE
from kalshi_cli.simulator.model.price_grids import STRUCTURES
from kalshi_cli.simulator.world.families import Listing
from kalshi_cli.simulator.world.listings import SERIES, MarketListings

MOMENTS = (
    "2026-11-21T19:00:00Z",  # a Saturday, on the hour
    "2026-11-24T20:59:59.750Z",  # just before the index closes
    "2026-11-24T21:00:00Z",
    "2026-07-18T03:59:30Z",  # the minute between two days' temperatures
    "2026-12-09T19:00:00Z",  # the moment of a rate decision
    "2026-03-08T06:59:59Z",  # clocks go forward
    "2026-03-08T07:00:00Z",
    "2026-11-01T05:30:00Z",  # clocks go back: 1:30 for the first time ...
    "2026-11-01T06:30:00Z",  # ... and for the second
    "2026-12-31T23:59:59Z",
    "2028-02-29T12:00:00Z",
)


def _by_event(listings: list[Listing]) -> dict[str, list[Listing]]:
    found: dict[str, list[Listing]] = {}
    for listing in listings:
        found.setdefault(listing.event.event_ticker, []).append(listing)
    return found


@pytest.mark.parametrize("text", MOMENTS)
def test_at_least_forty_markets_of_six_series_are_open(text: str) -> None:
    now = parse_ts(text)
    listings = MarketListings(7).open_at(now)
    assert len(listings) >= 40
    assert len({listing.market.ticker for listing in listings}) == len(listings)
    assert len({listing.event.series_ticker for listing in listings}) >= 6
    assert {listing.event.series_ticker for listing in listings} <= {series.ticker for series in SERIES}
    assert {listing.market.price_structure for listing in listings} == set(STRUCTURES)
    for listing in listings:
        assert listing.market.grid == STRUCTURES[listing.market.price_structure]
        assert listing.market.open_time <= now < listing.market.close_time
        assert listing.market.open_time % MINUTE == listing.market.close_time % MINUTE == 0


def test_the_twelve_structures_are_those_of_the_exchange() -> None:
    steps = {name: tuple((band.start, band.end, band.step) for band in grid.bands) for name, grid in STRUCTURES.items()}
    assert len(steps) == 12
    assert steps["tapered_deci_cent"] == ((0, 1000, 10), (1000, 9000, 100), (9000, 10_000, 10))
    assert steps["center_deci_edge_centi_cent"] == ((0, 100, 1), (100, 9900, 10), (9900, 10_000, 1))
    assert steps["center_half_edge_quint_cent"] == ((0, 1000, 20), (1000, 9000, 50), (9000, 10_000, 20))
    for grid in STRUCTURES.values():
        assert all(grid.is_valid(Price(cent * 100)) for cent in range(1, 100)), "whole cents are valid everywhere"


def test_markets_are_spread_over_as_many_shards_as_there_are() -> None:
    now = parse_ts(MOMENTS[0])

    def used(shards: int) -> set[int]:
        return {listing.market.exchange_index for listing in MarketListings(7, shards).open_at(now)}

    assert (used(1), used(3), used(4)) == ({0}, {0, 2}, {0, 2, 3})
    for listing in MarketListings(7, 4).open_at(now):
        assert (listing.market.exchange_index == 2) == listing.event.series_ticker.startswith(
            ("KXBTC", "KXETH", "KXQUICK")
        )


def test_some_series_charge_makers_and_an_event_charges_otherwise_than_its_series() -> None:
    assert {series.fees.type for series in SERIES} == {FeeType.QUADRATIC, FeeType.WITH_MAKER}
    own = {x.event.event_ticker for x in MarketListings(7).open_at(parse_ts(MOMENTS[0])) if x.event.fees is not None}
    assert len(own) == 1


@pytest.mark.parametrize("text", MOMENTS)
def test_the_fairs_of_a_mutually_exclusive_event_sum_to_one(text: str) -> None:
    now, catalogue = parse_ts(text), MarketListings(7)
    exclusive = [group for group in _by_event(catalogue.open_at(now)).values() if group[0].event.mutually_exclusive]
    assert len(exclusive) >= 5
    for group in exclusive:
        assert sum(catalogue.chance(listing, now) for listing in group) == pytest.approx(1)


def test_exactly_one_outcome_of_a_mutually_exclusive_event_comes_true() -> None:
    catalogue = MarketListings(7)
    events = 0
    for day in range(30):
        now = Ts(parse_ts("2026-11-21T19:00:00Z") + day * DAY)
        for group in _by_event(catalogue.open_at(now)).values():
            if group[0].event.mutually_exclusive:
                events += 1
                assert sum(catalogue.outcome(listing)[0] for listing in group) == 1
    assert events > 200


def test_a_threshold_that_holds_holds_for_every_lower_one() -> None:
    catalogue, now = MarketListings(7), parse_ts("2026-11-21T19:40:00Z")
    group = next(group for event, group in _by_event(catalogue.open_at(now)).items() if event.startswith("KXBTCD"))
    fairs = [catalogue.chance(listing, now) for listing in group]
    outcomes = [catalogue.outcome(listing)[0] for listing in group]
    assert fairs == sorted(fairs, reverse=True)
    assert outcomes == sorted(outcomes, reverse=True)


def test_the_result_agrees_with_the_value_shown() -> None:
    catalogue, now = MarketListings(7), parse_ts("2026-11-21T19:40:00Z")
    checked = 0
    for listing in catalogue.open_at(now):
        market = listing.market
        is_yes, text = catalogue.outcome(listing)
        if market.strike_type == "greater" and market.floor_strike is not None and "BTCD" in market.ticker:
            assert is_yes == (float(text) > market.floor_strike)
            checked += 1
        elif market.strike_type == "greater_or_equal" and market.floor_strike is not None:
            assert is_yes == (float(text) >= market.floor_strike)
            checked += 1
    assert checked >= 15


def test_tickers_have_the_shapes_of_the_real_ones() -> None:
    tickers = [listing.market.ticker for listing in MarketListings(7).open_at(parse_ts("2026-11-21T18:35:10Z"))]
    shapes = {
        "KXBTCD": r"KXBTCD-26NOV2114-T\d{5}\.99",
        "KXETHD": r"KXETHD-26NOV2114-T\d{4}\.99",
        "KXBTC15M": r"KXBTC15M-26NOV211345-45",
        "KXETH15M": r"KXETH15M-26NOV211345-45",
        "KXQUICKSETTLE": r"KXQUICKSETTLE-26NOV21H133[67]-[12]",
        "KXHIGHNY": r"KXHIGHNY-26NOV2[12]-(T\d+|B\d+\.5)",
        "KXINX": r"KXINX-26NOV23H1600-(B\d{4}|T\d{4}(\.9999)?)",
        "KXNBAGAME": r"KXNBAGAME-26NOV2[12][A-Z]{6}-[A-Z]{3}",
        "KXFEDDECISION": r"KXFEDDECISION-26DEC-(H0|C25|C26|H25|H26)",
    }
    seen = set()
    for ticker in tickers:
        series = ticker.partition("-")[0]
        seen.add(series)
        assert re.fullmatch(shapes[series], ticker), ticker
    assert seen == set(shapes)


def test_no_ticker_comes_twice_when_the_clocks_go_back() -> None:
    """Two hours are called 1 AM that night; the markets of the second carry an R."""
    catalogue, start = MarketListings(7), parse_ts("2026-11-01T04:55:00Z")
    closes: dict[str, Ts] = {}
    for minute in range(0, 130, 2):
        for listing in catalogue.open_at(Ts(start + minute * MINUTE)):
            market = listing.market
            assert closes.setdefault(market.ticker, market.close_time) == market.close_time
    assert any(ticker.startswith("KXBTCD-26NOV0101R-") for ticker in closes)
    assert any(ticker.startswith("KXBTCD-26NOV0101-") for ticker in closes)


def test_strikes_do_not_move_while_a_market_is_open() -> None:
    early = {listing.market.ticker: listing for listing in MarketListings(7).open_at(parse_ts("2026-11-21T19:00:00Z"))}
    late = {listing.market.ticker: listing for listing in MarketListings(7).open_at(parse_ts("2026-11-21T19:59:59Z"))}
    hourly = [ticker for ticker in early if ticker.startswith(("KXBTCD", "KXETHD"))]
    assert len(hourly) == 20
    assert all(early[ticker] == late[ticker] for ticker in hourly)


def test_each_half_hour_of_two_days_has_forty_open() -> None:
    catalogue, start = MarketListings(1), parse_ts("2026-11-20T00:00:00Z")
    counts = [len(catalogue.open_at(Ts(start + quarter * 15 * MINUTE))) for quarter in range(192)]
    assert min(counts) >= 40
    assert max(counts) <= 100


def test_words_say_what_decides() -> None:
    for listing in MarketListings(7).open_at(parse_ts("2026-11-21T18:35:10Z")):
        market = listing.market
        assert market.title.endswith("?")
        assert market.yes_sub_title
        assert "resolves to Yes" in market.rules_primary
        assert market.expected_expiration_time is not None
        assert market.expected_expiration_time - market.close_time <= HOUR
    assert all(series.settlement_sources for series in SERIES)
    assert {series.ticker: series.fees.multiplier for series in SERIES}["KXINX"] == 500
