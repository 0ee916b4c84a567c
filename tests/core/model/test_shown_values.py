"""What is reckoned of a market, an event and a fill for people: titles, the other side's prices, factors, cost."""

from __future__ import annotations

from support.values import make_fill, make_market

from kalshi_cli.base.units import cents, contracts, dollars
from kalshi_cli.core.model.markets import Event, FeeSchedule
from kalshi_cli.core.model.order_terms import ASK, BID


def test_the_subtitle_stands_before_a_title_that_does_not_have_it() -> None:
    assert make_market(title="High in NY?", subtitle="53 to 54").full_title == "53 to 54: High in NY?"
    assert make_market(title="High in NY: 53 to 54?", subtitle="53 to 54").full_title == "High in NY: 53 to 54?"
    assert make_market(title="Will it?", subtitle="").full_title == "Will it?"


def test_a_title_with_the_names_of_both_teams_says_which_of_them_yes_is() -> None:
    game = "Atlanta at Golden State Winner?"
    assert make_market(title=game, subtitle="Golden State").full_title == f"{game} – Golden State"
    assert make_market(title=game, subtitle="Atlanta").full_title == f"{game} – Atlanta"
    assert make_market(title="Golden State?", subtitle="Golden State").full_title == "Golden State?"


def test_prices_of_no_are_the_other_side_of_yes() -> None:
    market = make_market(yes_bid=cents(40), yes_ask=cents(44))
    assert (market.no_bid, market.no_ask) == (cents(56), cents(60))
    empty = make_market(yes_bid=None, yes_ask=None)
    assert (empty.no_bid, empty.no_ask) == (None, None)


def test_a_multiplier_is_shown_as_the_exchange_writes_it() -> None:
    event = Event(event_ticker="KXA-1", series_ticker="KXA", title="Will it?", mutually_exclusive=False)
    assert FeeSchedule(multiplier=500).factor == 0.5
    assert event.own_factor is None
    half = Event(
        event_ticker="KXA-1", series_ticker="KXA", title="", mutually_exclusive=False, fee_multiplier_override=500
    )
    assert half.own_factor == 0.5


def test_a_sale_of_yes_costs_what_no_costs() -> None:
    bought = make_fill(side=BID, price=cents(40), qty=contracts(10))
    sold = make_fill(side=ASK, price=cents(40), qty=contracts(10))
    assert (bought.cost, sold.cost) == (dollars(4), dollars(6))
