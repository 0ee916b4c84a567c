"""What a scan finds in one market or one event, and that no edge it shows is eaten by a fee."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.market.baskets import Basket, BasketLeg
from kalshi_cli.core.market.fees import NO_FEES, estimate, fees_now, trade_fee
from kalshi_cli.core.market.opportunities import (
    REFERENCE_SIZE,
    ScannedMarket,
    cheap,
    disjoint,
    edge,
    is_undecided,
    legs_of,
    listed_offer,
    mid_price,
    move,
    open_markets,
    spread,
)
from kalshi_cli.core.model.markets import Event, FeeSchedule, FeeType, Market, MarketStatus
from kalshi_cli.core.model.messages import Level
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.price_grid import CENT_GRID

MAKER = FeeSchedule(FeeType.WITH_MAKER)
NOW = Ts(1_780_000_000_000)


def market(ticker: str = "KXA-1-A", **changes: Any) -> Market:
    fields: dict[str, Any] = {
        "ticker": ticker,
        "event_ticker": "KXA-1",
        "title": "Will it?",
        "status": MarketStatus.ACTIVE,
        "grid": CENT_GRID,
        "yes_bid": None,
        "yes_bid_size": contracts(10),
        "yes_ask": None,
        "yes_ask_size": contracts(20),
        "last": None,
        "volume": contracts(100),
        "volume_24h": contracts(50),
        "open_interest": Qty(0),
        "open_time": Ts(0),
        "close_time": Ts(NOW + 60_000),
    }
    return Market(**(fields | changes))


def event(*markets: Market, is_exclusive: bool = True) -> Event:
    return Event(
        event_ticker="KXA-1", series_ticker="KXA", title="Will it?", mutually_exclusive=is_exclusive, markets=markets
    )


def listed(fees: FeeSchedule = NO_FEES, **changes: Any) -> ScannedMarket:
    return ScannedMarket(market(**changes), event(), fees)


def quoted(bid: int | None, ask: int | None, fees: FeeSchedule = NO_FEES, **more: Any) -> ScannedMarket:
    """Prices in cents."""
    return listed(
        fees, yes_bid=None if bid is None else cents(bid), yes_ask=None if ask is None else cents(ask), **more
    )


def test_fees_are_nothing_while_they_are_waived_and_the_usual_ones_afterwards() -> None:
    waived = market(fee_waiver_until=NOW)
    assert fees_now(waived, MAKER, Ts(NOW - 1)) == NO_FEES
    assert fees_now(waived, MAKER, NOW) == MAKER
    assert fees_now(market(), MAKER, NOW) == MAKER


def test_a_spread_is_what_is_between_the_quotes_less_two_maker_fees() -> None:
    found = spread(quoted(40, 50, MAKER))
    assert found is not None
    assert (found.width, round(found.share, 3)) == (cents(10), 0.222)
    fees = trade_fee(MAKER, cents(40), REFERENCE_SIZE, is_taker=False) + trade_fee(
        MAKER, cents(50), REFERENCE_SIZE, is_taker=False
    )
    assert found.keeps == (cents(10) * REFERENCE_SIZE - fees) // REFERENCE_SIZE == 914
    free = spread(quoted(40, 50))
    assert free is not None
    assert free.keeps == cents(10)


@pytest.mark.parametrize(("bid", "ask"), [(None, 50), (40, None), (50, 50), (60, 50)])
def test_what_is_quoted_on_one_side_or_crossed_has_no_spread(bid: int | None, ask: int | None) -> None:
    assert spread(quoted(bid, ask)) is None


@given(st.integers(1, 98), st.integers(1, 98), st.sampled_from(list(FeeType)), st.integers(0, 3_000))
def test_a_maker_never_keeps_more_than_the_spread(low: int, width: int, kind: FeeType, multiplier: int) -> None:
    found = spread(quoted(low, min(99, low + width), FeeSchedule(kind, multiplier)))
    assert found is not None
    assert found.keeps <= found.width


def test_a_move_has_the_sign_of_the_change() -> None:
    up = move(listed(last=cents(60), previous_price=cents(40)))
    down = move(listed(last=cents(40), previous_price=cents(60)))
    assert up is not None
    assert down is not None
    assert (up.change, down.change) == (2_000, -2_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"last": None, "previous_price": cents(40)},
        {"last": cents(40), "previous_price": None},
        {"last": cents(40), "previous_price": cents(40)},
        {"last": cents(60), "previous_price": cents(40), "volume_24h": Qty(0)},
    ],
)
def test_what_did_not_trade_or_change_did_not_move(changes: dict[str, Any]) -> None:
    assert move(listed(**changes)) is None


def test_each_side_is_cheap_by_its_own_price() -> None:
    low, high = quoted(1, 2, MAKER), quoted(97, 99)
    (yes,), (no,) = cheap(low, cents(5)), cheap(high, cents(5))
    assert (yes.side, yes.price, yes.size) == ("yes", cents(2), contracts(20))
    assert (no.side, no.price, no.size) == ("no", cents(3), contracts(10))
    assert yes.fee == estimate(MAKER, cents(2), contracts(20), is_taker=True)
    assert yes.fee_share == yes.fee / (cents(2) * contracts(20))


@pytest.mark.parametrize(
    "found", [quoted(None, None), quoted(5, 5), quoted(95, 100), quoted(None, 1, yes_ask_size=Qty(0)), quoted(1, 0)]
)
def test_what_nobody_offers_below_the_limit_is_not_cheap(found: ScannedMarket) -> None:
    assert list(cheap(found, cents(5))) == []


def test_the_middle_is_between_the_quotes_or_else_the_last_trade() -> None:
    assert mid_price(quoted(40, 51).market) == Price(4_550)
    assert mid_price(quoted(40, None, last=cents(42)).market) == cents(42)
    assert mid_price(quoted(None, 40).market) is None


@pytest.mark.parametrize(
    ("bid", "ask", "closes_in", "expected"),
    [
        (40, 60, 1, True),
        (40, 60, 60_000, True),
        (40, 60, 60_001, False),
        (40, 60, 0, False),
        (4, 6, 1, True),
        (4, 5, 1, False),
        (94, 96, 1, True),
        (95, 97, 1, False),
        (None, 60, 1, False),
    ],
)
def test_what_closes_in_time_and_away_from_the_ends_is_undecided(
    bid: int | None, ask: int | None, closes_in: int, expected: bool
) -> None:
    found = quoted(bid, ask, close_time=Ts(NOW + closes_in)).market
    assert is_undecided(found, NOW, 60_000, cents(5)) is expected


# -- events -------------------------------------------------------------------------------------------------------


def test_only_active_markets_of_an_event_are_open() -> None:
    closed = market("KXA-1-B", status=MarketStatus.CLOSED)
    assert [each.ticker for each in open_markets(event(market(), closed))] == ["KXA-1-A"]


def test_an_offer_of_the_list_has_the_best_level_of_each_side_where_anything_stands() -> None:
    both = listed_offer(quoted(40, 60))
    assert (list(both.bids), list(both.asks)) == ([(cents(40), contracts(10))], [(cents(60), contracts(20))])
    empty = listed_offer(quoted(None, 60, yes_ask_size=Qty(0)))
    assert (list(empty.bids), list(empty.asks)) == ([], [])


def test_books_are_wanted_of_what_pays_before_fees_only() -> None:
    markets = [market(f"KXA-1-{name}", yes_bid=cents(bid)) for name, bid in (("A", 60), ("B", 50), ("C", 1))]
    offers = [listed_offer(ScannedMarket(each, event(), NO_FEES)) for each in markets]
    assert legs_of(event(), offers) == {"KXA-1-A", "KXA-1-B", "KXA-1-C"}
    assert legs_of(event(), offers[1:]) == set()
    assert legs_of(event(is_exclusive=False), offers) == set()


def basket(*tickers: str) -> Basket:
    legs = tuple(BasketLeg(ticker, BID, cents(40), contracts(1), Money(0), Money(0)) for ticker in tickers)
    return Basket("no", legs, contracts(1), int(ONE_DOLLAR))


def test_of_baskets_with_a_leg_in_common_the_first_stays() -> None:
    first, second, third = basket("A", "B"), basket("B", "C"), basket("C", "D")
    assert disjoint([first, second, third]) == [first, third]
    assert disjoint([second, first, third]) == [second]


# -- another venue ------------------------------------------------------------------------------------------------


def test_an_edge_is_for_what_stands_on_both_venues() -> None:
    bought = edge((cents(40), contracts(10)), BID, NO_FEES, (cents(45), contracts(4)), 0)
    sold = edge((cents(40), contracts(10)), ASK, NO_FEES, (cents(45), contracts(40)), 0)
    assert bought is not None
    assert sold is not None
    assert (bought.qty, bought.net, bought.each) == (contracts(4), cents(5) * contracts(4), cents(5))
    assert (sold.qty, sold.net, sold.each) == (contracts(10), -cents(5) * contracts(10), -cents(5))


def test_their_fee_is_theirs_and_rounded_against_us() -> None:
    charged = edge((cents(40), contracts(1)), BID, NO_FEES, (Price(5_001), contracts(1)), 700)
    assert charged is not None
    exact = 700 * contracts(1) * 5_001 * 4_999 / (ONE_DOLLAR * ONE_DOLLAR)
    assert charged.net == 1_001 * contracts(1) - int(exact) - 1


@pytest.mark.parametrize(
    ("ours", "theirs"), [(None, (1, 1)), ((1, 1), None), (None, None), ((1, 0), (1, 1)), ((1, 1), (1, 0))]
)
def test_where_nobody_quotes_there_is_no_edge(ours: Any, theirs: Any) -> None:
    assert edge(ours, BID, NO_FEES, theirs, 0) is None


LEVELS = st.tuples(st.integers(1, 9_999).map(Price), st.integers(1, 1_000_000).map(Qty))


@given(LEVELS, LEVELS, st.sampled_from([BID, ASK]), st.sampled_from(list(FeeType)), st.integers(0, 10_000))
def test_fees_only_take(ours: Level, theirs: Level, side: Side, kind: FeeType, rate: int) -> None:
    free, charged = (
        edge(ours, side, NO_FEES, theirs, 0),
        edge(ours, side, FeeSchedule(kind), theirs, rate),
    )
    assert free is not None
    assert charged is not None
    assert charged.net <= free.net
    assert charged.each * charged.qty <= charged.net


@given(LEVELS, LEVELS)
def test_before_fees_one_way_wins_what_the_other_loses(ours: Level, theirs: Level) -> None:
    """Even then both ways cost a rounding of at most $0.0001."""
    buy, sell = edge(ours, BID, NO_FEES, theirs, 0), edge(ours, ASK, NO_FEES, theirs, 0)
    assert buy is not None
    assert sell is not None
    assert -200 <= buy.net + sell.net <= 0
