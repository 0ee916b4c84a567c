"""The rules of `check orders`: by hand, each beside its nearest harmless neighbour."""

from __future__ import annotations

from typing import Any

import pytest
from support.values import NOW, make_order

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.core.model.orders import DUPLICATE_ID, Order, OrderStatus, is_refused_here
from kalshi_cli.core.monitoring.check_report import Breach, Measure
from kalshi_cli.core.monitoring.order_check import (
    Resting,
    external_orders,
    orders_in_triggered_groups,
    orphaned_orders,
    refusals,
    unconfirmed_orders,
)

PCT = Measure(label="rejected_pct", value=0.0, unit="%", warn="10", crit="30")


def order(name: str, **changes: Any) -> Order:
    return make_order(name, **({"order_id": f"x{name}"} | changes))


def said(breaches: list[Breach] | tuple[Breach, ...]) -> list[tuple[str, str, str]]:
    return [(breach.subject, breach.severity, breach.code) for breach in breaches]


@pytest.mark.parametrize("status", [OrderStatus.UNKNOWN, OrderStatus.SUBMITTED])
def test_an_order_in_doubt_for_more_than_half_a_minute_is_critical(status: OrderStatus) -> None:
    long, short = (
        order(name, order_id="", status=status, updated=Ts(NOW - ms)) for name, ms in (("a", 30_001), ("b", 30_000))
    )
    assert said(unconfirmed_orders([long, short, order("c", updated=Ts(NOW - 90_000))], NOW)) == [
        ("a", "critical", "ORDER_UNKNOWN_LONG")
    ]  # fmt: skip


@pytest.mark.parametrize("is_known_there", [True, False])
def test_an_own_order_that_rests_beyond_its_expiry_is_stale(is_known_there: bool) -> None:
    def one(name: str, ms: int) -> Resting:
        known = order(name, expires=Ts(NOW - ms))
        return Resting(known if is_known_there else order(name), known)

    resting = [one("late", 10_001), one("just", 10_000), Resting(order("open"), order("open"))]
    assert said(orphaned_orders(resting, NOW, alone_after_ms=None)) == [("xlate", "critical", "ORDER_STALE")]


def test_without_a_loop_what_a_strategy_left_is_stale_and_what_a_person_placed_is_not() -> None:
    left = [
        Resting(order(name, created=Ts(NOW - ms)), order(name, created=Ts(NOW - ms), strategy=strategy))
        for name, ms, strategy in (("old", 100_001, "spike"), ("new", 100_000, "spike"), ("hand", 900_000, ""))
    ]
    assert said(orphaned_orders(left, NOW, alone_after_ms=90_000)) == [("xold", "critical", "ORDER_STALE")]
    assert orphaned_orders(left, NOW, alone_after_ms=None) == []


def test_without_a_loop_an_old_order_that_the_exchange_ends_soon_is_not_stale() -> None:
    def one(name: str, expires_in_ms: int) -> Resting:  # a loop extends the expiration of its orders while it runs
        found = order(name, created=Ts(NOW - 900_000), expires=Ts(NOW + expires_in_ms))
        return Resting(found, order(name, created=found.created, strategy="spike"))

    left = [one("soon", 90_000), one("later", 90_001)]
    assert said(orphaned_orders(left, NOW, alone_after_ms=90_000)) == [("xlater", "critical", "ORDER_STALE")]


def test_what_was_not_placed_from_here_is_a_stranger_and_never_stale() -> None:
    resting = [
        Resting(order("web", expires=Ts(0)), None),
        Resting(order("listed", expires=Ts(0)), order("listed", is_foreign=True)),
        Resting(order("kcli0123", expires=Ts(0)), None),
        Resting(order("ours"), order("ours")),
    ]
    assert said(external_orders(resting)) == [
        ("xweb", "warning", "FOREIGN_ACTIVITY"),
        ("xlisted", "warning", "FOREIGN_ACTIVITY"),
        ("xkcli0123", "warning", "OTHER_INSTANCE"),
    ]
    assert orphaned_orders(resting, NOW, alone_after_ms=0) == []


def test_a_triggered_group_warns_and_an_order_that_rests_in_it_is_critical() -> None:
    group = "0123456789-g1"
    inside, beside = order("in", order_group_id=group, side=ASK), order("out", order_group_id="g2")
    resting = [Resting(inside, inside), Resting(beside, beside)]
    found = orders_in_triggered_groups(resting, {group})
    assert said(found) == [(group, "warning", "GROUP_TRIGGERED"), ("xin", "critical", "GROUP_TRIGGERED")]
    assert [each.text for each in found] == [
        "GROUP_TRIGGERED 01234567: triggered; it accepts no orders (expected: reset)",
        "GROUP_TRIGGERED xin: sell 10 YES KXA-1 at $0.40 resting in triggered group 01234567 (expected: canceled)",
    ]
    assert orders_in_triggered_groups(resting, ()) == []


def test_a_triggered_group_that_blocks_a_loop_is_critical_also_for_alert_channels() -> None:
    (found,) = orders_in_triggered_groups((), {"01234567-89ab"}, is_blocking=True)
    assert (found.severity, found.as_sent) == ("critical", found)
    assert found.value.endswith("cannot trade or exit: kalshi resume --reason TEXT --reset-groups")


def sent(refused: int, taken: int, **changes: Any) -> list[Order]:
    return [order(f"r{n}", status=OrderStatus.REJECTED, code="invalid_price", **changes) for n in range(refused)] + [
        order(f"t{n}", **changes) for n in range(taken)
    ]


@pytest.mark.parametrize(
    ("refused", "taken", "severity"),
    [(0, 10, ""), (1, 9, ""), (2, 8, "warning"), (3, 7, "warning"), (4, 6, "critical")],
)
def test_a_share_of_refusals_is_held_against_its_range(refused: int, taken: int, severity: str) -> None:
    breaches, measure = refusals(sent(refused, taken), PCT)
    assert measure is not None
    assert measure.value == 10 * refused
    assert [breach.severity for breach in breaches] == ([severity] if severity else [])


def test_few_orders_say_nothing_and_what_never_left_is_none() -> None:
    assert refusals(sent(9, 0), PCT) == ((), None)
    assert refusals([*sent(5, 4), order("d", status=OrderStatus.DENIED), order("f", is_foreign=True)], PCT) == (
        (),
        None,
    )


OURS = ("STATE_MOVED", "REDUCING", "LOCKED", "HALTED", "KEY_SUBACCOUNT", "halted", "kill_switch", "not_sent",
        "read_only", "refused", "state", "state_unwritable")  # fmt: skip
NOT_OF_THE_ORDER = ("rate_limited", "unreachable", "redirect", "credentials", "trading_is_paused", "exchange_is_paused")


@pytest.mark.parametrize("code", [*OURS, *NOT_OF_THE_ORDER])
def test_what_the_exchange_did_not_refuse_for_what_it_is_counts_in_no_share(code: str) -> None:
    elsewhere = [order(f"n{n}", status=OrderStatus.REJECTED, code=code) for n in range(90)]
    breaches, measure = refusals([*sent(0, 10), *elsewhere], PCT)
    assert (breaches, measure is not None and measure.value) == ((), 0)
    assert refusals([*sent(0, 9), *elsewhere], PCT) == ((), None)
    assert [is_refused_here(each) for each in elsewhere[:1]] == [code in OURS]


@pytest.mark.parametrize(
    "code", ["", "invalid_price", "http_400", "insufficient_balance", "market_inactive", DUPLICATE_ID]
)
def test_what_the_exchange_says_of_an_order_is_a_refusal(code: str) -> None:
    refused = [order(f"n{n}", status=OrderStatus.REJECTED, code=code) for n in range(10)]
    breaches, measure = refusals(refused, PCT)
    assert (measure is not None and measure.value, [breach.severity for breach in breaches]) == (100, ["critical"])
    assert not is_refused_here(refused[0])


def test_an_order_that_was_taken_is_not_refused_here_whatever_ended_it() -> None:
    assert not is_refused_here(order("c", status=OrderStatus.CANCELED, code="GROUP_TRIGGERED"))


def test_the_last_refusal_is_named_with_its_cause() -> None:
    orders = [*sent(9, 0), order("last", status=OrderStatus.REJECTED, updated=Ts(NOW + 1), reason="no money")]
    assert refusals(orders, PCT)[0][0].value == "10 of 10 rejected, the last last: no money"
