"""How much of the exchange's list a query asks for."""

from __future__ import annotations

import json
import random

import httpx
import pytest
from support.long_listing import ListingTransport, LongListing, market_body, series_body

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import NotFoundError
from kalshi_cli.base.units import Ts, contracts
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.markets.market_query import MarketQuery, run_markets, select

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


class TwoSeries(httpx.BaseTransport):
    """Two series, of which KXLONG0 has an open market and KXLONG1 has none."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.params.get("series_ticker") or request.url.path.rpartition("/")[2]
        if request.url.path.endswith("/markets"):
            return httpx.Response(200, content=json.dumps({"markets": [market_body(0)] * (name == "KXLONG0")}))
        if name not in ("KXLONG0", "KXLONG1"):
            return httpx.Response(404, content=b'{"error": {"code": "not_found", "message": "not found"}}')
        return httpx.Response(200, content=json.dumps({"series": series_body(1)}))


def test_a_series_without_a_market_is_named_beside_one_that_has_markets() -> None:
    client = KalshiClient(
        "http://localhost/trade-api/v2", clock=ManualClock(NOW), rng=random.Random(1), transport=TwoSeries()
    )
    told: list[str] = []
    for names in ("KXLONG0", "KXLONG0,KXLONG1,KXLOGN0"):
        assert [each.ticker for each in run_markets(client, NOW, (), names, told.append)] == [market_body(0)["ticker"]]
    assert told == [
        "Warning: KXLONG1 has no open market now; markets that open later are added",
        "Warning: no series KXLOGN0; check the spelling (`kalshi series`)",
    ]
    with pytest.raises(NotFoundError, match="No market of KXLONG1, KXLOGN0 is open for trading"):
        run_markets(client, NOW, (), "KXLONG1,KXLOGN0", told.append)
    assert len(told) == 2
