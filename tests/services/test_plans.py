"""A plan is executed once, unchanged, and soon."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from support.values import make_order

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import ExchangeError, OutcomeUnknownError, RefusedError
from kalshi_cli.base.units import Ts, contracts
from kalshi_cli.services import plans
from kalshi_cli.services.plans import LIFE_S, PlanBook, digest_of
from kalshi_cli.views.orders import CancelRow, order_row
from kalshi_cli.views.plans import CancelPlan, PlanOutcome


class Cancels:
    """A book with one sort of plan, and what was executed of it."""

    def __init__(self) -> None:
        self.clock = ManualClock(Ts(1_000_000))
        ids = itertools.count(1)
        self.book = PlanBook(self.clock, lambda: str(next(ids)))
        self.done: list[tuple[str, ...]] = []

    def plan(self, *ids: str) -> CancelPlan:
        return self.book.add(
            CancelPlan,
            lambda _age_s: self.done.append(ids),
            lambda: self.plan(*ids),
            subject="cancels",
            facts=(f"{len(ids)} orders",),
            order_ids=ids,
        )

    def plan_of(self, execute: Callable[[float], object]) -> CancelPlan:
        return self.book.add(CancelPlan, execute, lambda: self.plan("a"), subject="cancels", facts=(), order_ids=("a",))


@pytest.fixture
def cancels() -> Cancels:
    return Cancels()


def assert_refused(cancels: Cancels, plan: CancelPlan, code: str) -> None:
    before = list(cancels.done)
    with pytest.raises(RefusedError, match=r"nothing was sent|sent nothing") as caught:
        cancels.book.execute(plan)
    assert (caught.value.code, cancels.done) == (code, before)


def test_a_plan_is_executed_once(cancels: Cancels) -> None:
    plan = cancels.plan("a", "b")
    cancels.book.execute(plan)
    assert cancels.done == [("a", "b")]
    assert_refused(cancels, plan, "PLAN_EXECUTED")
    cancels.clock.advance(2 * LIFE_S)
    assert_refused(cancels, plan, "PLAN_EXECUTED")


def test_two_plans_of_the_same_are_two(cancels: Cancels) -> None:
    one, other = cancels.plan("a"), cancels.plan("a")
    assert one.digest != other.digest
    cancels.book.execute(one)
    cancels.book.execute(other)
    assert cancels.done == [("a",), ("a",)]


def test_a_stale_plan_is_refused(cancels: Cancels) -> None:
    plan = cancels.plan("a")
    cancels.clock.advance(LIFE_S)
    fresh = cancels.plan("b")
    cancels.clock.advance(0.1)
    assert_refused(cancels, plan, "PLAN_STALE")
    cancels.book.execute(fresh)


def test_a_plan_stays_stale_where_the_wall_clock_is_set_back(cancels: Cancels) -> None:
    plan = cancels.plan("a")
    cancels.clock.advance(LIFE_S + 1)
    cancels.clock.set(Ts(1_000_000))
    assert_refused(cancels, plan, "PLAN_STALE")


def test_a_changed_plan_is_refused_also_with_a_digest_of_its_own(cancels: Cancels) -> None:
    plan = cancels.plan("a")
    changed = msgspec.structs.replace(plan, order_ids=("a", "b"))
    assert_refused(cancels, changed, "PLAN_CHANGED")
    assert_refused(cancels, msgspec.structs.replace(changed, digest=digest_of(changed)), "PLAN_CHANGED")
    assert_refused(cancels, msgspec.structs.replace(plan, expires=Ts(plan.expires + 1)), "PLAN_CHANGED")
    cancels.book.execute(plan)


def test_a_plan_of_another_book_is_refused(cancels: Cancels) -> None:
    cancels.plan("b")
    other = Cancels()
    other.plan("b")
    assert_refused(cancels, other.plan("a"), "NO_PLAN")


def test_a_plan_is_refused_for_ever_after_a_failure(cancels: Cancels) -> None:
    def fail(_age_s: float) -> None:
        raise RefusedError("denied")

    plan = cancels.plan_of(fail)
    with pytest.raises(RefusedError, match="denied"):
        cancels.book.execute(plan)
    assert_refused(cancels, plan, "PLAN_EXECUTED")


@pytest.mark.parametrize("is_raised", [True, False], ids=["raised", "in the outcome of several parts"])
def test_a_repeat_after_an_unknown_outcome_says_so_again(cancels: Cancels, is_raised: bool) -> None:
    unknown = OutcomeUnknownError("no answer; a may be live", hint="reconcile")

    def fail(_age_s: float) -> PlanOutcome[CancelRow]:
        cancels.done.append(("a",))
        if is_raised:
            raise unknown
        return PlanOutcome(rows=(), error=unknown)

    plan = cancels.plan_of(fail)
    with suppress(OutcomeUnknownError):
        cancels.book.execute(plan)
    for _ in range(2):
        cancels.clock.advance(LIFE_S)
        with pytest.raises(OutcomeUnknownError, match="a may be live"):
            cancels.book.execute(plan)
    assert cancels.done == [("a",)], "nothing is sent again"


def test_a_repeat_after_an_interruption_does_not_claim_that_nothing_was_sent(cancels: Cancels) -> None:
    def interrupt(_age_s: float) -> None:
        raise KeyboardInterrupt

    plan = cancels.plan_of(interrupt)
    with pytest.raises(KeyboardInterrupt):
        cancels.book.execute(plan)
    with pytest.raises(OutcomeUnknownError, match="may be live; this call sent nothing"):
        cancels.book.execute(plan)


def test_a_repeat_says_what_became_of_the_plan(cancels: Cancels) -> None:
    def fail(_age_s: float) -> None:
        raise ExchangeError("insufficient balance")

    def refuse(_age_s: float) -> None:
        raise RefusedError("$0.90 is more than $0.10 from the market")

    order = order_row(make_order(filled=contracts(3)))
    for execute, became in (
        (fail, "it failed: insufficient balance"),
        (refuse, "it was refused: .0.90 is more"),
        (lambda _age_s: order, "is resting: 3 of"),
    ):
        plan = cancels.plan_of(execute)
        with suppress(ExchangeError, RefusedError):
            cancels.book.execute(plan)
        with pytest.raises(RefusedError, match=f"executed already: .*{became}.*; this call sent nothing"):
            cancels.book.execute(plan)


def test_a_renewed_plan_lives_anew_and_replaces_the_old_one(cancels: Cancels) -> None:
    plan = cancels.plan("a")
    cancels.clock.advance(10 * LIFE_S)
    again = cancels.book.renew(plan)
    assert_refused(cancels, plan, "PLAN_REPLACED")
    cancels.book.execute(again)
    assert cancels.done == [("a",)]
    with pytest.raises(RefusedError, match="executed already"):
        cancels.book.renew(again)


def test_the_oldest_plans_are_forgotten(cancels: Cancels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MAX_PLANS", 2)
    made = [cancels.plan(str(number)) for number in range(3)]
    assert_refused(cancels, made[0], "NO_PLAN")
    cancels.book.execute(made[1])
