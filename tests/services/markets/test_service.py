"""Whoever has no command line reads markets through one service, and gets views."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.opened import resources_of
from support.served import ONE_SIDED, TWO_SIDED, served

from kalshi_cli.base.errors import NotFoundError, UnreachableError, UsageError
from kalshi_cli.base.units import contracts
from kalshi_cli.core.model.markets import ListedMarket
from kalshi_cli.services.markets.service import MarketService


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketService]:
    with served(tmp_path_factory.mktemp("markets")) as one, resources_of(one) as resources:
        yield MarketService(resources)


def test_markets_are_listed_as_they_are_iterated_over(markets: MarketService) -> None:
    found = markets.list(series="KXRAIN", sort="ticker")
    assert TWO_SIDED in [market.ticker for market in found]
    assert found.as_of is None, "without a catalog the exchange's list is read"


def test_a_list_is_never_silently_empty_the_second_time(markets: MarketService) -> None:
    found = markets.list(series="KXRAIN", limit=None)
    assert repr(found) == "<MarketSelection: all, read by one loop; list(...) keeps them>"
    for use in (len, lambda rows: rows[0]):
        with pytest.raises(TypeError, match=r"read by one loop; keep it: rows = list\("):
            use(found)
    assert list(found)
    with pytest.raises(UsageError, match="already read"):
        list(found)


def test_a_list_with_a_limit_is_a_sequence(markets: MarketService) -> None:
    found = markets.list(series="KXRAIN", sort="ticker")
    assert repr(found) == "<MarketSelection: at most 50, read when they are used>"
    rows = list(found)
    assert len(found) == len(rows) > 1
    assert [found[0], found[-1], found[:2]] == [rows[0], rows[-1], rows[:2]]
    assert [*found] == rows, "also the second time"
    assert not markets.list(series="KXRAIN", search="no such words")


def test_a_list_whose_reading_failed_is_not_an_empty_one(markets: MarketService) -> None:
    def fails(_: object) -> Iterator[ListedMarket]:
        raise UnreachableError("no answer")
        yield

    found = markets.list(progress=fails)
    with pytest.raises(UnreachableError):
        len(found)
    with pytest.raises(UsageError, match="already read"):
        len(found)


def test_a_list_has_at_most_its_limit_and_shows_whether_there_are_more(markets: MarketService) -> None:
    assert len(list(markets.list(limit=1))) == 1
    assert len(list(markets.list(limit=1).items)) == 2


def test_an_unknown_status_is_refused_before_anything_is_read(markets: MarketService) -> None:
    with pytest.raises(UsageError, match="one of unopened, open"):
        markets.list(status="opne")


def test_one_market_has_what_its_event_and_series_decide(markets: MarketService) -> None:
    assert markets.get(TWO_SIDED).series_ticker == "KXRAIN"
    with pytest.raises(NotFoundError):
        markets.get("KXNONE-1")


def test_books_come_in_the_order_that_was_asked_for(markets: MarketService) -> None:
    books = markets.order_books([ONE_SIDED, TWO_SIDED], depth=1, size=contracts(1))
    assert [book.ticker for book in books] == [ONE_SIDED, TWO_SIDED]
    assert all(len(book.to_fill) == 2 for book in books)
    with pytest.raises(NotFoundError, match="KXNONE-1"):
        markets.order_books([TWO_SIDED, "KXNONE-1"])


def test_no_market_that_exists_has_no_trades_but_an_unknown_one_is_an_error(markets: MarketService) -> None:
    assert list(markets.trades(ONE_SIDED)) == []
    with pytest.raises(NotFoundError):
        markets.trades("KXNONE-1")


def test_a_leg_asks_its_market_for_the_event(markets: MarketService) -> None:
    (leg,) = markets.combo_legs([f"{TWO_SIDED}:yes"])
    assert (leg.event_ticker, leg.market_ticker, leg.side) == ("KXRAIN-40JAN01", TWO_SIDED, "yes")
    for wrong in ([], [TWO_SIDED], [f"{TWO_SIDED}:maybe"]):
        with pytest.raises(UsageError):
            markets.combo_legs(wrong)


def test_without_a_catalog_there_is_only_the_place_where_it_would_be(markets: MarketService) -> None:
    assert (markets.catalog().search, markets.clear_catalog()) == (None, None)
    with pytest.raises(UsageError):
        markets.list(is_offline=True)
