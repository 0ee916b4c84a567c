"""Values from a program in Python: a wrong one is a UsageError with the allowed values, before anything is planned."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from kalshi_cli import AmendRequest, ClosePolicy, OptimizeRequest, OrderTicket
from kalshi_cli.base.checked import check_limit, check_own_id, check_period, check_text, check_tickers, from_text
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import cents, contracts, price_from_user, qty_from_user
from kalshi_cli.core.model.order_terms import TimeInForce

TERMS: dict[str, Any] = {
    "ticker": "KX", "outcome": "yes", "action": "buy", "qty": contracts(1), "price": cents(47)
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"outcome": "No"}, "outcome must be one of yes, no, not 'No'"),
        ({"outcome": "YES"}, "outcome must be one of yes, no"),
        ({"outcome": "maybe"}, "outcome must be one of yes, no"),
        ({"outcome": True}, "outcome must be one of yes, no"),
        ({"outcome": None}, "outcome must be one of yes, no"),
        ({"action": "BUY"}, "action must be one of buy, sell, not 'BUY'"),
        ({"action": ["buy"]}, "action must be one of buy, sell"),
        ({"tif": "ioc"}, "tif must be a TimeInForce good_till_canceled, immediate_or_cancel, fill_or_kill, not 'ioc'"),
        ({"tif": "good_till_canceled"}, "tif must be a TimeInForce"),
        ({"self_trade_prevention": "taker_at_cross"}, "self_trade_prevention must be a SelfTradePrevention"),
        ({"qty": 2.5}, "qty must be a whole number, not 2.5"),
        ({"qty": True}, "qty must be a whole number, not True"),
        ({"qty": "10"}, "qty must be a whole number, not '10'"),
        ({"price": 0.03}, "price must be a whole number, not 0.03"),
        ({"price": Decimal("0.03")}, "price must be a whole number"),
        ({"post_only": 1}, "post_only must be True or False, not 1"),
        ({"reduce_only": "yes"}, "reduce_only must be True or False"),
        ({"cancel_on_pause": None}, "cancel_on_pause must be True or False"),
        ({"expires_in_s": float("nan")}, "expires_in_s must be a number or None, not nan"),
        ({"expires_in_s": True}, "expires_in_s must be a number or None, not True"),
        ({"subaccount": 1.0}, "subaccount must be a whole number or None"),
        ({"order_group_id": None}, "order_group_id must be a text, not None"),
        ({"ticker": 5}, "ticker must be a text"),
        ({"ticker": " "}, "ticker must be a text that is not empty"),
        ({"client_order_id": ""}, "client_order_id is empty"),
        ({"client_order_id": "a b"}, "client_order_id must have only letters, digits, - and _, not 'a b'"),
        ({"client_order_id": "v1.0"}, "client_order_id must have only letters, digits, - and _, not 'v1.0'"),
        ({"client_order_id": "a+b:c"}, "client_order_id must have only letters, digits, - and _, not 'a+b:c'"),
        ({"client_order_id": 129 * "a"}, "client_order_id has 129 characters; the maximum is 128"),
        ({"client_order_id": "a\nc"}, "client_order_id must have only letters, digits, - and _"),
        ({"client_order_id": "\u0430"}, "client_order_id must have only letters, digits, - and _"),
        ({"client_order_id": 7}, "client_order_id must be a text or None, not 7"),
    ],
)
def test_a_ticket_with_a_wrong_value_cannot_be_made(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        OrderTicket(**(TERMS | changes))
    assert caught.value.message.startswith(says)


def test_the_hint_of_a_value_in_units_says_how_to_write_it() -> None:
    with pytest.raises(UsageError) as caught:
        OrderTicket(**(TERMS | {"qty": 2.5}))
    assert "contracts('2.5')" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        OrderTicket(**(TERMS | {"price": 0.03}))
    assert "cents('4.5')" in caught.value.hint


def test_a_ticket_with_right_values_can() -> None:
    kept = OrderTicket(**TERMS, tif=TimeInForce.IOC, expires_in_s=5, subaccount=3, client_order_id="my-id_1-2")
    assert (kept.price, kept.expires_in_s, kept.subaccount) == (4700, 5, 3)
    assert OrderTicket(**(TERMS | {"expires_in_s": 1.5, "price": cents(40) + cents(7)})).price == cents(47)


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        (AmendRequest, {"outcome": "YES"}, "outcome must be one of yes, no"),
        (AmendRequest, {"price": "0.04"}, "price must be a whole number or None, not '0.04'"),
        (AmendRequest, {"qty": 2.0}, "qty must be a whole number or None"),
        (AmendRequest, {"expires_in_s": "5s"}, "expires_in_s must be a number or None"),
        (ClosePolicy, {"max_slippage": 0.05}, "max_slippage must be a whole number or None"),
        (ClosePolicy, {"step": 1.5}, "step must be a whole number"),
        (ClosePolicy, {"tries": True}, "tries must be a whole number"),
        (ClosePolicy, {"within_s": float("inf")}, "within_s must be a number"),
        (ClosePolicy, {"may_reach_a_cent": "no"}, "may_reach_a_cent must be True or False"),
        (OptimizeRequest, {"strategy": "s", "params": "p", "sampler": "TPE"}, "sampler must be one of"),
        (OptimizeRequest, {"strategy": "s", "params": "p", "fill_model": "all"}, "fill_model must be one of"),
        (OptimizeRequest, {"strategy": "s", "params": "p", "trials": 2.5}, "trials must be a whole number"),
    ],
)
def test_every_request_is_checked(kind: Any, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        kind(**fields)
    assert caught.value.message.startswith(says)


def test_a_number_never_stands_for_a_text_in_dollars_or_contracts() -> None:
    for value in (24, 0.24, True, cents(46), None):
        with pytest.raises(UsageError, match="price must be a text"):
            from_text("price", price_from_user, value)
    with pytest.raises(UsageError) as caught:
        from_text("price", price_from_user, cents(46))
    assert caught.value.hint == (
        'write price="0.24" or "24c"; of a value of units, write price=units.format_price(4600)'
    )
    with pytest.raises(UsageError) as caught:
        from_text("count", qty_from_user, 10)
    assert caught.value.hint == 'write count="10"; of a value of units, write count=units.format_qty(10)'
    with pytest.raises(UsageError) as caught:
        from_text("price", price_from_user, 0.41)
    assert caught.value.hint == 'write price="0.41"'
    assert from_text("price", price_from_user, Decimal("0.24")) == cents(24)


def test_a_limit_is_a_whole_number_or_none() -> None:
    assert (check_limit(None), check_limit(0), check_limit(7)) == (None, 0, 7)
    for value in (-1, 1.5, True, "5"):
        with pytest.raises(UsageError, match="limit must be a whole number, zero or more"):
            check_limit(value)  # type: ignore[arg-type]


def test_a_period_is_two_times_the_second_one_later() -> None:
    check_period(None)
    check_period(5, None)
    check_period(None, 5)
    check_period(5, 6)
    for wrong in ("24h", 5.0, True):
        with pytest.raises(UsageError, match=r"since must be a time in milliseconds") as caught:
            check_period(wrong)  # type: ignore[arg-type]
        assert "parse_ts" in caught.value.hint
        with pytest.raises(UsageError, match=r"until must be a time in milliseconds"):
            check_period(None, wrong)  # type: ignore[arg-type]
    for until in (4, 5):
        with pytest.raises(UsageError, match=r"since 1970-.* is not before until 1970-") as empty:
            check_period(5, until)
        assert empty.value.hint == "swap since and until", "in the words of Python, HTTP and the command line"


def test_a_missing_text_gets_no_hint_of_another_value() -> None:
    for wrong in (lambda: check_text("ticker", None), lambda: from_text("price", price_from_user, None)):
        with pytest.raises(UsageError) as caught:
            wrong()
        assert caught.value.hint == ""


def test_tickers_are_a_list_and_never_the_letters_of_a_text() -> None:
    assert check_tickers(("A", "B")) == check_tickers(each for each in "AB") == ("A", "B")
    assert check_tickers([]) == ()
    with pytest.raises(UsageError, match=r"tickers must be a list of tickers, not 'KXRAIN-1'") as caught:
        check_tickers("KXRAIN-1")
    assert caught.value.hint == "write ['KXRAIN-1']"
    with pytest.raises(UsageError, match=r"tickers must be a list of tickers, not 5"):
        check_tickers(5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"ticker must be a text that is not empty, not None"):
        check_tickers(["A", None])  # type: ignore[list-item]


def test_an_id_is_a_text() -> None:
    assert check_text("order_id", "a") == "a"
    with pytest.raises(UsageError) as caught:
        check_text("order_id", None)
    assert caught.value.hint == "an order that was not sent has no order id"
    check_own_id("client_order_id", None)
    check_own_id("client_order_id", 128 * "a")
