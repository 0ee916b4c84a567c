"""The wire of RFQs, quotes, combos and what surrounds the markets: strict where money is, deaf to the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Price, Qty, cents, contracts, dollars
from kalshi_cli.core.model.markets import ComboLeg
from kalshi_cli.exchange.wire import combos as wire_combos
from kalshi_cli.exchange.wire import programs as wire_programs
from kalshi_cli.exchange.wire import quotes as wire_quotes
from kalshi_cli.exchange.wire.quotes import NewRfq
from kalshi_cli.exchange.wire.values import ResponseFormatError

QUOTE = {
    "id": "q1",
    "rfq_id": "r1",
    "creator_id": "abc",
    "rfq_creator_id": "",
    "market_ticker": "KXMVE-1",
    "contracts_fp": "0.00",
    "yes_bid_dollars": "0.0000",
    "no_bid_dollars": "0.7450",
    "yes_contracts_fp": "0.00",
    "no_contracts_fp": "37.27",
    "rfq_target_cost_dollars": "10.0000",
    "created_ts": "2026-07-14T19:49:44.12Z",
    "updated_ts": "2026-07-14T19:49:44.12Z",
    "status": "open",
    "a_field_of_next_year": {"x": 1},
}
RFQ = {
    "id": "r1",
    "creator_id": "",
    "market_ticker": "KXMVE-1",
    "contracts_fp": "0.00",
    "target_cost_dollars": "10.0000",
    "status": "open",
    "created_ts": "2026-07-14T19:49:40Z",
    "mve_selected_legs": [{"event_ticker": "E", "market_ticker": "M", "side": "yes"}],
}


def read(reader: Callable[[bytes], Any], body: Any) -> Any:
    return reader(json.dumps(body).encode())


def test_a_recorded_quote_on_a_target_cost_says_what_it_costs_to_buy_yes() -> None:
    quote = read(wire_quotes.read_quote, {"quote": QUOTE})
    assert (quote.yes_bid, quote.no_bid, quote.qty("no")) == (None, Price(7_450), Qty(3_727))
    assert (quote.price("no"), quote.price("yes")) == (Price(2_550), None)
    assert (quote.target, quote.is_mine, quote.order_id) == (dollars(10), False, "")


def test_a_quote_without_counts_of_its_sides_is_for_the_whole_request() -> None:
    plain = {name: value for name, value in QUOTE.items() if not name.endswith("_contracts_fp")}
    quote = read(wire_quotes.read_quote, {"quote": plain | {"contracts_fp": "12.50"}})
    assert quote.qty("yes") == quote.qty("no") == Qty(1_250)


def test_the_order_of_a_quote_is_the_readers_own() -> None:
    both = {"creator_order_id": "maker", "rfq_creator_order_id": "taker"}
    assert read(wire_quotes.read_quote, {"quote": QUOTE | both}).order_id == "taker"
    assert read(wire_quotes.read_quote, {"quote": QUOTE | both | {"creator_user_id": "me"}}).order_id == "maker"


def test_a_request_is_by_count_or_by_cost() -> None:
    by_cost = read(wire_quotes.read_rfq, {"rfq": RFQ})
    assert (by_cost.qty, by_cost.target) == (None, dollars(10))
    assert by_cost.legs == (ComboLeg(event_ticker="E", market_ticker="M", side="yes"),)
    plain = {name: value for name, value in RFQ.items() if name != "target_cost_dollars"}
    by_count = read(wire_quotes.read_rfq, {"rfq": plain | {"contracts_fp": "7.00"}})
    assert (by_count.qty, by_count.target) == (contracts(7), None)


@pytest.mark.parametrize("name", ["id", "rfq_id", "contracts_fp", "yes_bid_dollars", "no_bid_dollars", "status"])
def test_a_quote_without_what_we_will_not_guess_cannot_be_read(name: str) -> None:
    broken = {key: value for key, value in QUOTE.items() if key != name}
    with pytest.raises(ResponseFormatError, match=name):
        read(wire_quotes.read_quote, {"quote": broken})


@pytest.mark.parametrize(
    ("name", "value"), [("no_bid_dollars", "1.2"), ("no_contracts_fp", "-1.00"), ("yes_bid_dollars", 0.4)]
)
def test_a_quote_with_an_impossible_number_cannot_be_read(name: str, value: object) -> None:
    with pytest.raises(ResponseFormatError):
        read(wire_quotes.read_quote, {"quote": QUOTE | {name: value}})


def test_lists_may_be_absent_or_null() -> None:
    for body in ({}, {"rfqs": None, "quotes": None, "cursor": None}):
        assert read(wire_quotes.read_rfqs, body).items == []
        assert read(wire_quotes.read_quotes, body).items == []


def test_requests_are_sent_as_strings_and_say_only_what_is_set() -> None:
    body = json.loads(wire_quotes.rfq_body(NewRfq(ticker="T", target=Money(12_345_600), replace_existing=True)))
    assert body == {
        "market_ticker": "T",
        "rest_remainder": False,
        "target_cost_dollars": "12.3456",
        "replace_existing": True,
    }
    plain = json.loads(wire_quotes.rfq_body(NewRfq(ticker="T", qty=Qty(250), subaccount=3, rest_remainder=True)))
    assert plain == {"market_ticker": "T", "rest_remainder": True, "contracts_fp": "2.50", "subaccount": 3}


def test_a_side_that_is_not_bid_for_is_sent_as_zero() -> None:
    body = json.loads(wire_quotes.quote_body("r", None, cents(55), rest_remainder=False, post_only=True, subaccount=0))
    assert (body["yes_bid"], body["no_bid"], body["post_only"]) == ("0.0000", "0.5500", True)
    assert "subaccount" not in body


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"qty": contracts(1), "target": dollars(1)},
        {"qty": Qty(0)},
        {"target": Money(0)},
        {"target": Money(1)},
        {"qty": contracts(1), "target_excludes_fees": True},
    ],
)
def test_a_request_that_makes_no_sense_is_not_even_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        NewRfq(ticker="T", **wrong)


def test_rewards_are_in_hundredths_of_a_cent() -> None:
    program = {
        "id": "i",
        "market_id": "m",
        "market_ticker": "T",
        "incentive_type": "liquidity",
        "incentive_description": "x",
        "start_date": "2026-10-01T00:00:00Z",
        "end_date": "2026-10-02T00:00:00Z",
        "period_reward": 500_000,
        "paid_out": False,
        "target_size_fp": "300.00",
        "discount_factor_bps": 5_000,
    }
    page = read(wire_programs.read_incentives, {"incentive_programs": [program], "next_cursor": "more"})
    assert page.cursor == "more"
    assert (page.items[0].reward, page.items[0].target_qty, page.items[0].most_per_account) == (
        dollars(50),
        contracts(300),
        None,
    )


def test_plays_that_are_not_told_are_not_an_empty_game() -> None:
    assert read(wire_programs.read_plays, {"pbp": None}) is None
    assert read(wire_programs.read_plays, {"pbp": {"periods": [{"events": [{"a": 1}]}, {}]}}) == [[{"a": 1}], []]


def test_an_open_minute_of_a_temperature_has_no_value() -> None:
    body = {"city": "miami", "units": "fahrenheit", "timeseries": [{"t": 60_000, "status": "incomplete"}]}
    assert read(wire_programs.read_weather, body).points[0].value is None


def test_sports_come_in_the_exchanges_order_and_the_rest_last() -> None:
    sport = {"scopes": ["Games"], "competitions": {}}
    body = {"filters_by_sports": {"A": sport, "B": sport, "C": sport}, "sport_ordering": ["C", "X", "A"]}
    assert [one.sport for one in read(wire_programs.read_sports, body)] == ["C", "A", "B"]


def test_a_collection_without_price_bands_is_readable() -> None:
    body = {
        "collection_ticker": "C",
        "series_ticker": "S",
        "open_date": "2026-01-01T00:00:00Z",
        "close_date": "2027-01-01T00:00:00Z",
        "size_min": 2,
        "size_max": 5,
        "associated_events": [{"ticker": "E", "is_yes_only": True, "active_quoters": [], "size_max": None}],
    }
    found = read(wire_combos.read_collection, {"multivariate_contract": body})
    assert (found.grid, found.events[0].is_yes_only, found.events[0].size_max) == (None, True, None)
