"""F52: a field of money or of a count that is not there is an error, and never a zero."""

from __future__ import annotations

import json

import pytest
from support.scripted_rest import fill_body, order_body

from kalshi_cli.exchange.wire import orders as wire_orders
from kalshi_cli.exchange.wire.values import ResponseFormatError


@pytest.mark.parametrize("name", ["count_fp", "yes_price_dollars", "fee_cost", "is_taker", "trade_id", "order_id"])
def test_a_fill_without_what_it_cost_is_not_booked_as_nothing(name: str) -> None:
    body = fill_body("t1", "o1")
    assert wire_orders.read_fills(json.dumps({"fills": [body]}).encode()).items
    del body[name]
    with pytest.raises(ResponseFormatError, match=name):
        wire_orders.read_fills(json.dumps({"fills": [body]}).encode())


@pytest.mark.parametrize("name", ["fill_count_fp", "remaining_count_fp", "yes_price_dollars", "status", "order_id"])
def test_an_order_without_its_counts_or_price_is_not_believed(name: str) -> None:
    body = order_body("o1", "ours")
    assert wire_orders.read_orders(json.dumps({"orders": [body]}).encode()).items
    del body[name]
    with pytest.raises(ResponseFormatError, match=name):
        wire_orders.read_orders(json.dumps({"orders": [body]}).encode())
