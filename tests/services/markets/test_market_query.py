"""How much of the exchange's list a query asks for."""

from __future__ import annotations

import random

import pytest
from support.long_listing import ListingTransport, LongListing

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Ts, contracts
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.markets.market_query import MarketQuery, select

NOW = Ts(1_780_000_000_000)


def asked(query: MarketQuery, markets: int = 2_500) -> tuple[list[str], list[str]]:
    """Return the tickers that a query finds, and the page sizes that it asked for."""
    listing = LongListing(markets)
    client = KalshiClient(
        "http://localhost/trade-api/v2",
        clock=ManualClock(NOW),
        rng=random.Random(1),
        transport=ListingTransport(listing),
    )
    found = [market.ticker for market in select(client, query, NOW)]
    return found, [query["limit"] for _, query in listing.asked]


def test_a_short_list_asks_for_one_market_more_than_it_shows() -> None:
    found, sizes = asked(MarketQuery(limit=10))
    assert (len(found), sizes) == (11, ["11"])


@pytest.mark.parametrize(
    "query",
    [
        MarketQuery(limit=10, min_volume=contracts(2_000)),
        MarketQuery(limit=10, search="number 24"),
        MarketQuery(limit=10, closing_within_s=1e9),
    ],
)
def test_a_filtered_list_is_read_in_whole_pages_as_far_as_needed(query: MarketQuery) -> None:
    found, sizes = asked(query)
    assert len(found) == 11
    assert set(sizes) == {"1000"}


def test_a_whole_list_and_a_sorted_one_are_read_to_the_end_without_a_page_too_many() -> None:
    found, sizes = asked(MarketQuery(limit=None))
    assert (len(found), sizes) == (2_500, ["1000"] * 3)
    found, sizes = asked(MarketQuery(limit=3, sort="volume"))
    assert (len(found), sizes) == (4, ["1000"] * 3)
