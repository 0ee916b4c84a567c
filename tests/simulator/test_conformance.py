"""The checks against the specification do catch what it does not allow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.specification import check_command, check_request, check_response, operation, specs_or_skip

ORDERS = "/trade-api/v2/portfolio/events/orders"
CREATE: dict[str, Any] = {
    "ticker": "KXSIM-26JUN-T3.00",
    "side": "bid",
    "price": "0.5200",
    "count": "2.00",
    "time_in_force": "good_till_canceled",
    "self_trade_prevention_type": "taker_at_cross",
}


@pytest.fixture(autouse=True)
def _specs() -> None:
    specs_or_skip()


def encoded(**changes: Any) -> bytes:
    """A create with some fields changed, and those that are None left out."""
    return json.dumps({name: value for name, value in (CREATE | changes).items() if value is not None}).encode()


def test_a_request_as_the_specification_has_it_passes() -> None:
    check_request("POST", ORDERS, {}, encoded())
    check_request("GET", "/portfolio/orders", {"status": ["resting"], "limit": ["1000"], "min_ts": ["1780000000"]})
    check_request("GET", "/markets/orderbooks", {"tickers": ["A", "B"]})
    check_request("PUT", "/portfolio/order_groups/id/trigger", {}, b"{}")


@pytest.mark.parametrize(
    ("what", "path", "query", "body", "words"),
    [
        ("POST", ORDERS, {}, encoded(count=2), "not of type 'string'"),
        ("POST", ORDERS, {}, encoded(price=0.52), "not of type 'string'"),
        ("POST", ORDERS, {}, encoded(self_trade_prevention_type=None), "required property"),
        ("POST", ORDERS, {}, encoded(yes_price=52), "Additional properties"),
        ("POST", ORDERS, {}, encoded(side="yes"), "is not one of"),
        ("POST", ORDERS, {}, b"", "not of type 'object'"),
        ("GET", "/portfolio/orders", {"stauts": ["resting"]}, b"", "no query parameter"),
        ("GET", "/portfolio/orders", {"limit": ["5000"]}, b"", "greater than the maximum"),
        ("GET", "/portfolio/orders", {"limit": ["many"]}, b"", "not of type 'integer'"),
        ("GET", "/portfolio/orders", {"limit": ["1", "2"]}, b"", "not of type 'integer'"),
        ("GET", "/markets/orderbooks", {}, b"", "needs the query parameters"),
        ("GET", "/markets/KXSIM", {}, b'{"a":1}', "takes no body"),
        ("POST", "/portfolio/orders", {}, b"{}", "not in the specification"),
    ],
)
def test_a_request_that_the_specification_does_not_allow_is_caught(
    what: str, path: str, query: dict[str, list[str]], body: bytes, words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        check_request(what, path, query, body)


def test_a_response_with_a_field_too_many_or_too_few_is_caught() -> None:
    answer = {"exchange_active": True, "trading_active": True, "intra_exchange_transfers_active": True}
    check_response("GET", "/exchange/status", 200, answer)
    for wrong in (answer | {"mood": "good"}, {"exchange_active": True}, answer | {"exchange_active": "yes"}):
        with pytest.raises(AssertionError):
            check_response("GET", "/exchange/status", 200, wrong)


def test_a_command_that_the_specification_does_not_allow_is_caught() -> None:
    check_command('{"id":1,"cmd":"unsubscribe","params":{"sids":[1]}}')
    for wrong in (
        '{"id":1,"cmd":"unsubscribe","params":{}}',
        '{"id":1,"cmd":"unsubscribe","params":{"sids":[1],"mood":"good"}}',
        '{"id":1,"cmd":"shout","params":{}}',
    ):
        with pytest.raises(AssertionError):
            check_command(wrong)


def test_a_path_without_parameters_is_not_taken_for_one_with() -> None:
    assert str(operation("GET", "/markets/trades")) == "GET /markets/trades"
    assert str(operation("GET", "/markets/KXSIM-26JUN-T3.00")) == "GET /markets/{ticker}"
