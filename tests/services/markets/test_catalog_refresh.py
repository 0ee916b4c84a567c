"""The catalogue is made from the exchange's lists, kept fresh by what changed, and searched with live prices."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import httpx
import pytest
from support.long_listing import ListingTransport, LongListing, market_body
from support.simulation import OTHER, TICKER, Simulation

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import AnotherInstanceError, UnreachableError, UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Ts
from kalshi_cli.config.config import Config
from kalshi_cli.config.sources import load
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.markets import catalog
from kalshi_cli.services.markets.catalog import CatalogRefresh, refresh, search
from kalshi_cli.services.markets.market_query import EventQuery, MarketQuery
from kalshi_cli.services.markets.market_search import choose_events, choose_series, select_markets
from kalshi_cli.store.catalog.entries import CatalogFilter, Kind
from kalshi_cli.store.catalog.sqlite_catalog import Catalogue, catalogue_path, open_catalogue
from kalshi_cli.store.lock import lock

NOW = Ts(1_780_000_000_000)
MARKETS = 3_200


class Place:
    """A state directory, a listing of 3,200 markets, and a client of it."""

    def __init__(self, home: Path) -> None:
        self.config: Config = load(None, {}, {"state": str(home)})
        self.clock = ManualClock(NOW)
        self.listing = LongListing(MARKETS)
        self.client = self.connected(ListingTransport(self.listing))

    def connected(self, transport: httpx.BaseTransport) -> KalshiClient:
        url = "http://localhost/trade-api/v2"
        return KalshiClient(url, clock=self.clock, rng=random.Random(1), transport=transport)

    def refresh(self, *, is_full: bool = False) -> CatalogRefresh:
        self.listing.asked.clear()
        return refresh(self.config, self.client, self.clock, is_full=is_full)

    @property
    def catalogue(self) -> Catalogue:
        found = open_catalogue(self.config)
        assert found is not None
        return found

    def asked(self, path: str) -> list[dict[str, str]]:
        return [query for asked, query in self.listing.asked if asked == path]

    def choose(self, text: str, *, is_offline: bool = False, **more: object) -> list[str]:
        query = MarketQuery(search=text, **more)  # type: ignore[arg-type]
        there = open_catalogue(self.config)
        choice = select_markets(query, self.clock.now(), there, lambda: self.client, is_offline=is_offline)
        return [market.ticker for market in choice.items]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory after the first refresh."""
    home = tmp_path_factory.mktemp("whole")
    Place(home).refresh()
    return home


@pytest.fixture
def made(whole: Path, tmp_path: Path) -> Place:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path)


def test_the_first_refresh_reads_everything_that_is_not_settled(place: Place) -> None:
    done = place.refresh()
    assert (done.is_full, done.counts) == (True, {"series": 32, "event": 320, "market": MARKETS})
    extent = place.catalogue.extent()
    assert (extent.markets, extent.events, extent.series, extent.as_of) == (MARKETS, 320, 32, NOW)
    assert [query.get("status") for query in place.asked("/markets")] == [*["open"] * 4, "unopened", "paused", "closed"]
    assert all(query["mve_filter"] == "exclude" for query in place.asked("/markets"))


def test_a_market_is_found_by_the_titles_of_its_family(made: Place) -> None:
    found = search(made.catalogue, Kind.MARKET, "lottery 31 family 319 number 3191")
    assert found is not None
    assert found.tickers == [market_body(3191)["ticker"]]
    assert found.as_of == NOW


def test_the_next_refresh_asks_only_for_what_changed(made: Place) -> None:
    made.clock.advance(3600)
    made.listing.changed = [market_body(5, " (renamed)") | {"status": "inactive"}]
    done = made.refresh()
    assert (done.is_full, done.counts["market"]) == (False, 1)
    since = str((NOW - catalog.OVERLAP_MS) // 1000)
    assert [query["min_updated_ts"] for _, query in made.listing.asked] == [since] * 3
    assert made.catalogue.extent().markets == MARKETS
    assert search(made.catalogue, Kind.MARKET, "renamed").tickers == [market_body(5)["ticker"]]  # type: ignore[union-attr]


def test_what_a_refresh_of_changes_leaves_out_stays_as_old_as_it_is(made: Place) -> None:
    made.clock.advance(3600)
    made.listing.changed = [market_body(5)]
    assert not made.refresh().is_full
    query = MarketQuery(limit=None)
    choice = select_markets(query, made.clock.now(), made.catalogue, lambda: made.client, is_offline=True)
    assert choice.as_of == NOW + 3_600_000
    ages = {market.ticker: choice.seen[market.ticker] for market in choice.items}
    assert len(ages) == MARKETS
    assert {ticker for ticker, seen in ages.items() if seen == choice.as_of} == {market_body(5)["ticker"]}
    assert set(ages.values()) == {NOW, choice.as_of}


def test_after_a_week_or_when_told_everything_is_read_anew(made: Place) -> None:
    made.clock.advance(1)
    made.listing.markets = 100
    assert made.refresh(is_full=True).is_full
    assert made.catalogue.extent().markets == 100
    made.clock.advance(8 * 86_400)
    assert made.refresh().is_full


class Broken(ListingTransport):
    """Answers so many requests, then the network is gone."""

    left = 5

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.left == 0:
            raise httpx.ConnectError("gone")
        self.left -= 1
        return super().handle_request(request)


def interrupted(place: Place) -> None:
    """A refresh whose network goes after the second page of markets."""
    wire = Broken(place.listing)
    place.listing.asked.clear()
    with pytest.raises(UnreachableError):
        refresh(place.config, place.connected(wire), place.clock)
    assert wire.left == 0
    place.clock.set(NOW)


def test_an_interrupted_refresh_goes_on_with_the_page_that_was_missing(place: Place) -> None:
    Broken.left = 6
    interrupted(place)
    read = place.catalogue.extent()
    assert (read.markets, read.as_of) == (2_000, None)
    done = place.refresh()
    assert done.is_resumed
    assert place.asked("/series") == place.asked("/events") == []
    assert [query.get("cursor") for query in place.asked("/markets")][:2] == ["2000", "3000"]
    assert place.catalogue.extent().markets == MARKETS
    assert place.catalogue.extent().unfinished is None


def test_one_that_was_interrupted_long_ago_begins_anew(place: Place) -> None:
    Broken.left = 6
    interrupted(place)
    place.clock.advance(2 * 3600)
    done = place.refresh()
    assert not done.is_resumed
    assert place.asked("/markets")[0].get("cursor") is None


def test_half_a_catalogue_is_not_searched(place: Place) -> None:
    Broken.left = 6
    interrupted(place)
    assert search(place.catalogue, Kind.MARKET, "number") is None


class Circling(ListingTransport):
    """Its cursors lead back to the start."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/events"):
            return httpx.Response(200, json={"events": [], "cursor": "again"})
        return super().handle_request(request)


def test_a_list_that_repeats_itself_is_an_error_and_not_a_loop(place: Place) -> None:
    with pytest.raises(UnreachableError, match="repeats and has no end"):
        refresh(place.config, place.connected(Circling(place.listing)), place.clock)


def test_a_catalogue_that_breaks_under_a_refresh_is_made_anew(made: Place) -> None:
    path = catalogue_path(made.config)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    done = made.refresh(is_full=True)
    assert done.counts["market"] == MARKETS
    assert made.catalogue.extent().markets == MARKETS


def test_a_catalogue_that_is_broken_is_thrown_away_and_the_exchange_is_asked(made: Place) -> None:
    path = catalogue_path(made.config)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    assert made.choose("number 3191") == [market_body(3191)["ticker"]]
    assert not path.exists()


def test_two_refreshes_do_not_run_at_once(place: Place) -> None:
    path = catalogue_path(place.config).with_suffix(".lock")
    with lock(path, place.clock), pytest.raises(AnotherInstanceError, match="Another process is refreshing"):
        place.refresh()


def test_clearing_says_whether_there_was_one(place: Place) -> None:
    assert not catalog.clear(place.config, place.clock)
    place.refresh()
    assert catalog.clear(place.config, place.clock)
    assert open_catalogue(place.config) is None


def test_against_the_simulated_exchange_every_request_is_as_published(place: Place, tmp_path: Path) -> None:
    """Its client holds requests and replies against the specification; a market that settled is not found as open."""
    sim = Simulation(tmp_path / "exchange")
    assert refresh(place.config, sim.client, sim.clock).counts["market"] == 2
    narrow = CatalogFilter(open_at=sim.clock.now())
    assert search(place.catalogue, Kind.MARKET, "kxsim", narrow=narrow).tickers == [OTHER, TICKER]  # type: ignore[union-attr]
    sim.clock.advance(3600)
    sim.exchange.settle(TICKER, ONE_DOLLAR, sim.clock.now())
    sim.clock.advance(3600)
    sim.exchange.advance(sim.clock.now())
    assert not refresh(place.config, sim.client, sim.clock).is_full
    narrow = CatalogFilter(open_at=sim.clock.now())
    assert search(place.catalogue, Kind.MARKET, "kxsim", narrow=narrow).tickers == [OTHER]  # type: ignore[union-attr]


# -- searching ----------------------------------------------------------------------------------------------------


def test_prices_of_what_was_found_are_read_live(made: Place) -> None:
    assert made.choose("number 319", limit=3)[0].startswith("KXLONG3")
    assert [set(query) for path, query in made.listing.asked if path == "/markets"] == [{"tickers", "limit"}]


def test_only_as_many_are_read_as_are_shown(made: Place) -> None:
    made.choose("lottery", limit=5)
    assert len(made.asked("/markets")) == 1
    assert len(made.asked("/markets")[0]["tickers"].split(",")) == 100


def test_without_a_catalogue_the_list_is_filtered_by_letters(place: Place) -> None:
    assert place.choose("lottery") == []
    assert place.choose("umber 3191") == [market_body(3191)["ticker"]]


def test_with_one_the_beginnings_of_words_are_enough(made: Place) -> None:
    assert len(made.choose("lott 7 numb 7", limit=None)) > 10


def test_a_market_that_is_not_listed_any_more_is_not_shown(made: Place) -> None:
    made.listing.markets = 3_000
    assert made.choose("number 3191") == []


def test_offline_nothing_is_asked(made: Place) -> None:
    assert made.choose("number 3191", is_offline=True) == [market_body(3191)["ticker"]]
    assert len(made.choose("", is_offline=True, limit=None)) == MARKETS
    assert made.listing.asked == []


def test_offline_without_a_catalogue_is_a_usage_error_that_says_how_to_make_one(place: Place) -> None:
    with pytest.raises(UsageError, match="No local catalog") as raised:
        place.choose("x", is_offline=True)
    assert "kalshi catalog refresh" in raised.value.hint


def test_filters_hold_for_what_was_found(made: Place) -> None:
    assert made.choose("lottery", status="paused") == []
    assert made.choose("lottery", series="KXLONG3", limit=None) == [
        ticker for ticker in made.choose("lottery 3", limit=None) if ticker.startswith("KXLONG3-")
    ]
    assert made.choose("", is_offline=True, sort="volume", limit=1)[0] == market_body(0)["ticker"]


def test_a_search_without_a_limit_or_with_a_sort_order_reads_every_match(made: Place) -> None:
    everything = sorted(market_body(number)["ticker"] for number in range(MARKETS))
    assert sorted(made.choose("lottery", limit=None)) == everything
    assert made.choose("lottery", sort="ticker", limit=2) == everything[:3]


def test_a_search_with_a_limit_reads_no_more_than_it_needs(made: Place) -> None:
    assert len(made.choose("lottery", limit=10)) == 11
    assert len(made.asked("/markets")) == 1


def test_settled_markets_are_never_looked_for_in_the_catalogue(made: Place) -> None:
    made.choose("number 3191", status="settled")
    assert [query["status"] for query in made.asked("/markets")] == ["settled"]


def test_events_and_series_are_found_by_words_too(made: Place) -> None:
    events = choose_events(EventQuery(search="draw fam 31"), NOW, made.catalogue, made.client)
    assert events.as_of == NOW
    assert made.asked("/events") == []
    assert sorted(event.title for event in events.items) == [f"Draw of the family {n}" for n in (31, *range(310, 320))]
    assert len(made.asked("/events")) == 1
    series = choose_series("", "", "games lott 31", made.catalogue, made.client, with_volume=False)
    assert [one.ticker for one in series.items] == ["KXLONG31"]
    bare = choose_series("", "", "lottery 31", None, made.client, with_volume=False)
    assert ([one.ticker for one in bare.items], bare.as_of) == (["KXLONG31"], None)
