"""The rules of requests that become no order: by hand, each beside its nearest harmless neighbor."""

from __future__ import annotations

from typing import Any

import pytest
from support.values import NOW, make_order

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.monitoring.check_report import Measure
from kalshi_cli.core.monitoring.request_check import denied_share, no_orders, none_taken, of_strategies

PCT = Measure(label="denied_pct", value=0.0, unit="%", warn="80")
AGE = Measure(label="no_orders_for", value=0.0, unit="s", warn="86400")
DAY_MS = 86_400_000


def order(name: str, **changes: Any) -> Order:
    return make_order(name, **({"strategy": "spike", "order_id": f"x{name}"} | changes))


def sent(count: int, **changes: Any) -> list[Order]:
    return [order(f"o{number}", **changes) for number in range(count)]


def test_orders_by_hand_and_of_others_are_of_no_strategy() -> None:
    orders = [order("a"), order("b", strategy=""), order("c", is_foreign=True)]
    assert [each.client_order_id for each in of_strategies(orders)] == ["a"]


@pytest.mark.parametrize(
    ("denials", "orders", "expected"),
    [
        ({"MIN_EDGE": 60, "SPREAD": 14}, 10, "warning"),
        ({"MIN_EDGE": 80}, 20, ""),
        ({"MIN_EDGE": 81}, 19, "warning"),
        ({}, 20, ""),
    ],
)
def test_a_share_of_denials_is_held_against_its_range(denials: dict[str, int], orders: int, expected: str) -> None:
    breaches, measure = denied_share(denials, sent(orders), 0, PCT)
    assert [breach.severity for breach in breaches] == ([expected] if expected else [])
    denied = sum(denials.values())
    assert measure is not None
    assert measure.value == round(100 * denied / (denied + orders), 1)


def test_amends_that_were_sent_are_requests_that_were_not_refused() -> None:
    _, measure = denied_share({"MIN_EDGE": 60}, sent(10), 30, PCT)
    assert measure is not None
    assert measure.value == 60.0


def test_the_most_frequent_denial_is_named_and_of_equals_the_first_by_name() -> None:
    value = "20 of 20 order requests of the last hour refused by kalshi, most often {} (10)"
    refused = sent(10, status=OrderStatus.REJECTED, code="STATE_MOVED")
    for code in ("MIN_EDGE", "ZEAL"):
        (breach,), _ = denied_share({code: 10}, refused, 0, PCT)
        assert breach.value == value.format(min(code, "STATE_MOVED"))
    (none,), _ = denied_share({}, sent(20), 0, Measure(label="denied_pct", value=0.0, crit="1:"))
    assert none.value == "0 of 20 order requests of the last hour refused by kalshi"


def test_few_requests_say_nothing() -> None:
    assert denied_share({"MIN_EDGE": 19}, [], 0, PCT) == ((), None)
    assert denied_share({"MIN_EDGE": 19}, sent(1), 0, PCT)[1] is not None


@pytest.mark.parametrize(
    ("ago_ms", "waiting", "value"),
    [
        (DAY_MS, "", None),
        (DAY_MS + 100, "", "no order sent for 24.0 h"),
        (DAY_MS + 100, "spike: no book", "no order sent for 24.0 h; spike: no book"),
    ],
)
def test_a_day_without_an_order_is_a_warning(ago_ms: int, waiting: str, value: str | None) -> None:
    breaches, measure = no_orders(Ts(NOW - ago_ms), (), AGE, NOW, waiting=waiting)
    assert measure.value == ago_ms / 1000
    assert [(breach.value, breach.severity) for breach in breaches] == ([(value, "warning")] if value else [])


def test_the_last_order_that_was_sent_counts_and_one_that_was_refused_here_does_not() -> None:
    orders = [
        order("old", created=Ts(NOW - 9_000)),
        order("new", created=Ts(NOW - 5_000), status=OrderStatus.REJECTED, code="invalid_price"),
        order("ours", created=Ts(NOW - 1_000), status=OrderStatus.REJECTED, code="halted"),
    ]
    assert no_orders(Ts(NOW - DAY_MS), orders, AGE, NOW, waiting="")[1].value == 5
    assert no_orders(Ts(NOW - 2_000), orders, AGE, NOW, waiting="")[1].value == 2
    assert no_orders(Ts(NOW + 2_000), orders, AGE, NOW, waiting="")[1].value == 0, "a clock that was set back"


def test_orders_of_which_none_is_taken_are_critical_once_there_are_enough() -> None:
    refused = sent(10, order_id="", status=OrderStatus.REJECTED, code="invalid_price")
    assert [(each.code, each.severity) for each in none_taken(refused)] == [("NO_ORDERS", "critical")]
    assert none_taken(refused[:9]) == []
    assert none_taken([*refused, order("one")]) == []
    assert none_taken([*refused[:9], order("h", order_id="", status=OrderStatus.REJECTED, code="halted")]) == []
