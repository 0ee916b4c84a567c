"""How much of each limit an account uses, with everything that rests filled: by hand, and against the engine's sums."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import NOW, make_engine, make_fill, make_order

from kalshi_cli.base.units import Money, Price, Qty, cents, contracts, dollars
from kalshi_cli.core.model.markets import Family
from kalshi_cli.core.model.messages import Filled, OrderState
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.monitoring.check_report import Measure
from kalshi_cli.core.monitoring.limits_check import MAX_PCT, LimitUsage, MarketExposure, event_exposure, uses
from kalshi_cli.core.state.limits import RiskLimits

PCT = Measure(label="limit_used_pct", value=0.0, unit="%", warn="80", crit="100")


def stake(held: int = 0, cost: str = "0", *orders: tuple[Side, int, int], **changes: Any) -> MarketExposure:
    """Contracts held, dollars paid, and orders as side, cents, contracts."""
    resting = tuple(
        make_order(f"c{n}", side=side, price=cents(price), qty=contracts(count))
        for n, (side, price, count) in enumerate(orders)
    )
    fields: dict[str, Any] = {"ticker": "KXA-1", "subaccount": 0} | changes
    return MarketExposure(qty=contracts(held), cost=dollars(cost), orders=resting, **fields)


def used(found: list[LimitUsage]) -> dict[tuple[str, str], int]:
    return {(use.code, use.subject): use.used for use in found}


def limits(position: int | None = 100, exposure: int | None = 500) -> RiskLimits:
    return RiskLimits(
        max_position=None if position is None else contracts(position),
        max_exposure=None if exposure is None else dollars(exposure),
    )


@pytest.mark.parametrize(
    ("held", "worst"),
    [
        (stake(60), 60),
        (stake(-60), 60),
        (stake(60, "30", (BID, 40, 30)), 90),
        (stake(60, "30", (ASK, 60, 30)), 60),
        (stake(60, "30", (ASK, 60, 150)), 90),
        (stake(-10, "5", (BID, 40, 5), (ASK, 60, 20)), 30),
    ],
)
def test_a_position_counts_with_what_rests_on_its_worse_side(held: MarketExposure, worst: int) -> None:
    found = uses([held], limits(), {})
    assert used(found)["POSITION_LIMIT", "KXA-1"] == contracts(worst)


def test_subaccounts_of_a_market_count_together_and_net_nothing() -> None:
    found = uses([stake(40, "16"), stake(-30, "18", subaccount=2)], limits(), {})
    assert used(found) == {("POSITION_LIMIT", "KXA-1"): contracts(70), ("EXPOSURE", "all markets"): dollars(34)}


def test_the_limit_that_is_nearest_comes_first() -> None:
    found = uses([stake(50, "20"), stake(90, "9", ticker="KXB-1")], limits(), {})
    assert [(use.subject, use.pct) for use in found] == [("KXB-1", 90.0), ("KXA-1", 50.0), ("all markets", 5.8)]


def test_a_limit_that_is_switched_off_is_not_looked_at() -> None:
    assert uses([stake(50, "20")], limits(None, None), {}) == []


def test_orders_are_counted_over_all_markets() -> None:
    held = [stake(0, "0", (BID, 40, 5), (ASK, 60, 2)), stake(0, "0", (BID, 40, 1), ticker="KXB-1")]
    (use,) = uses(held, msgspec.structs.replace(limits(None, None), max_live_orders=2), {})
    assert (use.code, use.used, use.shown, use.shown_limit) == ("LIVE_ORDERS", 3, "3", "2")
    assert [(breach.severity, breach.unit) for breach in use.breach(PCT)] == [("critical", "orders")]


def test_of_an_exclusive_event_the_worst_outcome_counts_and_not_the_sum() -> None:
    """Ten NO of three strikes: at most one of them can lose."""
    strikes = [stake(-10, "7", ticker=f"KXA-{n}") for n in range(3)]
    assert event_exposure(strikes, is_exclusive=False) == dollars(21)
    # One settles YES and costs $7; the other two win $3 each.
    assert event_exposure(strikes, is_exclusive=True) == dollars(1)


def test_in_an_exclusive_event_nobody_need_win() -> None:
    strikes = [stake(10, "3", ticker=f"KXA-{n}") for n in range(3)]
    assert event_exposure(strikes, is_exclusive=True) == dollars(9)


def test_an_event_nets_nothing_between_subaccounts() -> None:
    held = [stake(-10, "7", ticker="KXA-1"), stake(-10, "7", ticker="KXA-2", subaccount=1)]
    assert event_exposure(held, is_exclusive=True) == dollars(14)
    assert event_exposure([held[0]], is_exclusive=True) == dollars(7)


def test_events_are_looked_at_where_there_is_a_limit_for_them_and_a_market_names_its_event() -> None:
    held = [stake(-10, "7", ticker=f"KXA-{n}") for n in range(3)] + [stake(10, "5", ticker="KXZ-1")]
    kin = {f"KXA-{n}": Family(event_ticker="KXA", is_exclusive=True) for n in range(3)}
    found = used(uses(held, msgspec.structs.replace(limits(), max_event_exposure=dollars(2)), kin))
    assert found["EVENT_EXPOSURE", "KXA"] == dollars(1)
    assert ("EVENT_EXPOSURE", "KXZ") not in found
    assert not [code for code, _ in used(uses(held, limits(), kin)) if code == "EVENT_EXPOSURE"]


def test_markets_are_counted_and_each_has_its_own_loss() -> None:
    held = [
        stake(10, "5", ticker="KXA-1"),
        stake(10, "4", ticker="KXA-1", subaccount=1),
        stake(0, "0", (BID, 40, 10), ticker="KXB-1"),
    ]
    both = msgspec.structs.replace(limits(None, None), max_open_positions=1, max_market_exposure=dollars(9))
    found = uses(held, both, {})
    assert used(found) == {
        ("OPEN_POSITIONS", "open positions"): 2,
        ("MARKET_EXPOSURE", "KXA-1"): dollars(9),
        ("MARKET_EXPOSURE", "KXB-1"): dollars(4),
    }
    (breach,) = found[0].breach(PCT)
    assert (breach.severity, breach.value, breach.wanted) == ("critical", "2 (200 %)", "1 markets")
    none = msgspec.structs.replace(both, max_open_positions=0, max_market_exposure=None)
    ((breach,),) = (use.breach(PCT) for use in uses(held, none, {}))
    assert (breach.severity, breach.value) == ("critical", "2"), "there is no share of nothing"


def test_an_event_of_no_known_category_counts_in_each() -> None:
    held = [stake(10, "5", ticker=name) for name in ("KXA-1", "KXB-1", "KXZ-1")]
    categories = {"KXA": "Sports", "KXB": "Crypto", "KXZ": ""}
    kin = {f"{name}-1": Family(event_ticker=name, category=category) for name, category in categories.items()}
    found = used(uses(held, msgspec.structs.replace(limits(), max_category_exposure=dollars(9)), kin))
    counted = {subject: money for (code, subject), money in found.items() if code == "CATEGORY_EXPOSURE"}
    assert counted == {"Sports": dollars(10), "Crypto": dollars(10), "unknown category": dollars(5)}


@pytest.mark.parametrize(("held", "severities"), [(80, []), (81, ["warning"]), (100, ["warning"]), (101, ["critical"])])
def test_a_limit_is_kept_up_to_itself(held: int, severities: list[str]) -> None:
    (use,) = uses([stake(held)], limits(exposure=None), {})
    assert [breach.severity for breach in use.breach(PCT)] == severities


def test_a_position_that_only_resting_orders_would_make_too_large_says_so() -> None:
    (use,) = uses([stake(0, "0", (BID, 40, 150))], limits(exposure=None), {})
    assert use.breach(PCT)[0].value == "150 if its resting orders fill (150 %), now 0"


def test_a_breach_says_how_much_of_what() -> None:
    (use,) = uses([stake(150)], limits(exposure=None), {})
    (breach,) = use.breach(PCT)
    assert (breach.code, breach.subject, breach.value, breach.limit) == (
        "POSITION_LIMIT",
        "KXA-1",
        "150 (150 %)",
        "100",
    )


def test_a_limit_of_nothing_is_crossed_by_anything() -> None:
    assert [use.pct for use in uses([stake(1)], limits(0, None), {})] == [MAX_PCT]
    assert [use.pct for use in uses([], limits(None, 0), {})] == [0.0]


orders = st.lists(st.tuples(st.sampled_from([BID, ASK]), st.integers(1, 99), st.integers(1, 50)), max_size=4)


@given(held=st.integers(-50, 50), price=st.integers(1, 99), resting=orders)
def test_the_check_and_the_control_before_an_order_count_alike(
    held: int, price: int, resting: list[tuple[Side, int, int]]
) -> None:
    engine = make_engine()
    if held:
        side = BID if held > 0 else ASK
        engine.step(Filled(NOW, make_fill(side=side, price=cents(price), qty=contracts(abs(held)))))
    placed = [
        make_order(f"c{n}", order_id=f"resting{n}", side=side, price=cents(at), qty=contracts(count))
        for n, (side, at, count) in enumerate(resting)
    ]
    for order in placed:
        engine.step(OrderState(NOW, order))
    state = engine.state
    position = state.ledger.position("KXA-1")
    one = MarketExposure(ticker="KXA-1", subaccount=0, qty=position.qty, cost=position.cost, orders=tuple(placed))
    assert max(0, *one.outcomes) == state.exposure("KXA-1")
    assert one.most_held == state.most_held("KXA-1", besides=1)


def test_what_is_lost_is_counted_exactly() -> None:
    one = MarketExposure(ticker="KXA-1", subaccount=0, qty=Qty(250), cost=Money(1_234_567), orders=())
    assert one.outcomes == (1_234_567, 1_234_567 - 2_500_000)
    bid = make_order(side=BID, price=Price(4_321), qty=Qty(150))
    assert MarketExposure(ticker="KXA-1", subaccount=0, qty=Qty(0), cost=Money(0), orders=(bid,)).outcomes == (
        648_200,
        0,
    )
    ask = make_order(side=ASK, price=Price(4_321), qty=Qty(150))
    assert MarketExposure(ticker="KXA-1", subaccount=0, qty=Qty(0), cost=Money(0), orders=(ask,)).outcomes == (
        0,
        851_900,
    )
