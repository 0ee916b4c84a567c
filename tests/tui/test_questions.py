"""Questions about a plan: what has changed since it was shown, and its amounts."""

from __future__ import annotations

from typing import Any

import pytest

from kalshi_cli.base.units import Money, Price, Qty, Ts, contracts, dollars
from kalshi_cli.tui.questions import Change, change_of, seconds_left, total_of
from kalshi_cli.views.close import PlanRow
from kalshi_cli.views.plans import CloseAllPlan, Plan
from kalshi_cli.views.portfolio import HoldingRow


def planned(ticker: str = "AAA", count: int = 50, **changed: Any) -> PlanRow:
    fields: dict[str, Any] = {
        "ticker": ticker, "side": "no", "count": contracts(count), "price": Price(4200), "worst_price": Price(3700),
        "fillable": contracts(count), "expected": dollars(21), "least": dollars(18), "fees": dollars(1), "detail": None,
    }  # fmt: skip
    return PlanRow(**(fields | changed))


def plan_of(*rows: PlanRow) -> CloseAllPlan:
    return CloseAllPlan(plan_id="p", subject="", facts=(), expires=Ts(60_000), positions=rows)


def held(ticker: str = "AAA", count: int = 50, side: Any = "no") -> HoldingRow:
    return HoldingRow(
        ticker=ticker, title=None, subaccount=0, side=side, count=contracts(count), average_price=None, mark=None,
        cost=Money(0), value=None, unrealized=None, max_payout=Money(0),
    )  # fmt: skip


FIFTY = (held(),)


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (FIFTY, FIFTY, Change()),
        ((), FIFTY, Change()),  # the screen was late
        ((held(count=9),), (held(count=9),), Change()),  # nothing has changed on the screen
        (FIFTY, (), Change("AAA: you now hold nothing, not 50 NO", is_void=True)),
        (FIFTY, (held("BBB"),), Change("AAA: you now hold nothing, not 50 NO", is_void=True)),
        (FIFTY, (held(side="yes"),), Change("AAA: you now hold 50 YES, not 50 NO", is_void=True)),
        (FIFTY, (held(count=9),), Change("AAA: you now hold 9 NO, not 50 NO", is_void=False)),
    ],
)
def test_a_changed_position_is_named_and_one_that_is_gone_ends_the_plan(before: Any, now: Any, change: Change) -> None:
    assert change_of(plan_of(planned()), before, now) == change


def test_of_several_positions_all_must_be_gone_and_other_plans_have_none() -> None:
    both, before = plan_of(planned(), planned("BBB")), (held(), held("BBB"))
    assert not change_of(both, before, (held("BBB"),)).is_void
    assert change_of(both, before, ()).is_void
    plan: Plan[object] = Plan(plan_id="p", subject="", facts=(), expires=Ts(60_000))
    assert change_of(plan, before, ()) == Change()
    assert total_of(plan) == total_of(plan_of(planned())) == ""


def test_the_total_counts_only_positions_that_can_be_closed() -> None:
    closed = planned("BBB", worst_price=None, price=None, fillable=Qty(0), expected=Money(0), least=Money(0))
    assert total_of(plan_of(planned(), planned("CCC"), closed)) == (
        "2 of 3 positions can be closed now: proceeds $42.00 for the contracts available, at least $36.00 for all, "
        "fees about $2.00"
    )


def test_a_plan_counts_its_seconds_down() -> None:
    assert seconds_left(plan_of(), Ts(15_500)) == 44.5
    assert seconds_left(plan_of(), Ts(61_000)) == -1
