"""Two ledgers, one truth: random order traffic through the real client, booked by the exchange and by us.

After every act our positions, realized profit, fees and cash must equal the exchange's own to the micro-dollar, our
live orders its live orders, and our books its books; no book is crossed, and no money comes or goes (see `traffic`).

    KALSHI_TRAFFIC=1000 python -m pytest tests/core/account/test_two_ledgers.py      # so many examples instead of a few
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support.traffic import Acts, Seeded, scattered_ids

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.market.fees import trade_fee
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import AccountSnapshot, BookDelta, Filled, Message, OrderState
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement

pytestmark = pytest.mark.no_cover  # the traffic is long, and fixed examples reach every branch

T = TypeVar("T")
EXAMPLES = int(os.environ.get("KALSHI_TRAFFIC", "15"))

ACTS = {
    "place": 12,
    "other": 12,
    "take": 6,
    "hit": 10,
    "place_batch": 3,
    "amend": 6,
    "decrease": 2,
    "cancel": 2,
    "cancel_batch": 1,
    "cancel_all": 1,
    "other_leaves": 1,
    "group_new": 2,
    "group_change": 2,
    "pause": 1,
    "halt": 1,
    "settle": 2,
    "close_early": 1,
    "wait": 3,
    "change_fees": 1,
    "change_grid": 1,
    "lose_stream": 1,
    "find_stream": 3,
    "read_back": 2,
}
"""Every act, and how often it comes."""


class Drawn:
    """Hypothesis decides."""

    def __init__(self, source: st.DataObject) -> None:
        self._source = source

    def pick(self, options: Sequence[T]) -> T:
        return self._source.draw(st.sampled_from(options))


class TwoLedgers(RuleBasedStateMachine):
    @initialize(source=st.data())
    def begin(self, source: st.DataObject) -> None:
        self.acts = Acts(Drawn(source))

    @rule(source=st.data(), name=st.sampled_from([name for name, times in ACTS.items() for _ in range(times)]))
    def act(self, source: st.DataObject, name: str) -> None:
        self.acts.do(name, Drawn(source))

    def teardown(self) -> None:
        if hasattr(self, "acts"):
            self.acts.close()


def test_both_ledgers_agree_after_every_act_of_random_traffic() -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        TwoLedgers,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None, suppress_health_check=checks),
    )


def run_some(seeds: Sequence[int] = (), **hers: Any) -> None:
    """Long enough that whatever is wrong with hers must come out."""
    for seed in seeds or SEEDS:
        run(seed, 500, **hers)


def run(seed: int, steps: int, **hers: Any) -> Counter[str]:
    """Acts in the order of a fixed seed, with a program that may be `hers`; what took effect, by name."""
    choice = Seeded(seed)
    names = [name for name, times in ACTS.items() for _ in range(times)]
    acts = Acts(choice, **hers)
    try:
        for _ in range(steps):
            acts.do(choice.pick(names), choice)
    finally:
        acts.close()
    return acts.seen


# -- not vacuous --------------------------------------------------------------------------------------------------

SEEDS = (7, 9, 5, 1)
"""Three of them with balances in cents, which round more."""

LEAST = {
    "taker fill": 50,
    "maker fill": 50,
    "create filled all": 30,
    "create filled partly": 5,
    "create filled nothing": 100,
    "create refused: fill_or_kill_insufficient_resting_volume": 15,
    "create refused: insufficient_balance": 1,
    "create refused: invalid_order": 5,
    "create refused: order_group_triggered": 1,
    "create refused: exchange_is_paused": 3,
    "create refused: trading_is_paused": 5,
    "rounding charged": 30,
    "rounding rebated": 5,
    "order told: SelfTradeCancel": 20,
    "order told: ReduceOnlyCancel": 10,
    "order told: ExpiryCancel": 3,
    "order told: CloseCancel": 5,
    "order told: HaltCancel": 5,
    "order told: PostOnlyCrossCancel": 1,
    "orders gone at the close": 5,
    "orders gone at a pause": 2,
    "amend confirmed": 50,
    "amend of price": 5,
    "amend of size": 5,
    "amend of both": 5,
    "amend of expiry": 10,
    "amend of price across": 10,
    "amend refused": 3,
    "decrease by": 5,
    "decrease to": 5,
    "cancel confirmed": 20,
    "cancel refused": 3,
    "batch of cancels": 3,
    "cancel all took some": 3,
    "group tripped by trading": 2,
    "group triggered": 1,
    "group reset": 3,
    "group deleted": 1,
    "pause of exchange": 3,
    "pause of trading": 3,
    "disputed, not paid": 5,
    "settled yes": 3,
    "settled no": 1,
    "settled scalar": 1,
    "account read": 100,
}
"""What must have taken effect in the run below, and how often at least."""


def test_every_rule_takes_effect_in_a_run_of_fixed_seeds() -> None:
    seen = sum((run(seed, 500) for seed in SEEDS), Counter[str]())
    assert {what: seen[what] for what, times in LEAST.items() if seen[what] < times} == {}
    assert [name for name in ACTS if seen[name] < 5] == []


def test_the_ids_of_trades_need_not_be_in_order() -> None:
    run(4, 400, new_ids=scattered_ids)


class NoRebates(Ledger):
    """Takes a fee below zero for a mistake."""

    def book(self, fill: Fill) -> bool:
        return super().book(msgspec.structs.replace(fill, fee=Money(max(0, fill.fee))))


class MakersPayNothing(Ledger):
    def book(self, fill: Fill) -> bool:
        return super().book(fill if fill.is_taker else msgspec.structs.replace(fill, fee=Money(0)))


class WholeCents(Ledger):
    """Prices finer than a cent are lost."""

    def book(self, fill: Fill) -> bool:
        return super().book(msgspec.structs.replace(fill, price=Price(fill.price // 100 * 100)))


class YesOrNo(Ledger):
    """Knows of no value between."""

    def settle(self, settlement: Settlement) -> Settlement | None:
        value = ONE_DOLLAR if settlement.value >= ONE_DOLLAR // 2 else Price(0)
        return super().settle(msgspec.structs.replace(settlement, value=value))


class FeeTwice(Ledger):
    """Books the fee that a settlement repeats."""

    def __init__(self) -> None:
        super().__init__()
        self.again = Money(0)

    def settle(self, settlement: Settlement) -> Settlement | None:
        self.again = Money(self.again + settlement.fee)
        return super().settle(settlement)

    @property
    def cash(self) -> Money:
        return Money(super().cash - self.again)


class OldestFirst(Ledger):
    """Not the exchange's cost, which is an average."""

    def __init__(self) -> None:
        super().__init__("fifo")


@pytest.mark.parametrize("ledger", [NoRebates, MakersPayNothing, WholeCents, YesOrNo, FeeTwice, OldestFirst])
def test_a_ledger_that_is_wrong_in_one_thing_is_found_out(ledger: type[Ledger]) -> None:
    with pytest.raises(AssertionError, match=r"cash of|KXS\d+-A-T1 of"):
        run_some(ledger=ledger)


def takers_all(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
    return trade_fee(schedule, price, qty, is_taker=True)


def full_fee(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
    return trade_fee(FeeSchedule(schedule.type), price, qty, is_taker=is_taker)


def down(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
    return Money(max(0, trade_fee(schedule, price, qty, is_taker=is_taker) - 100))


@pytest.mark.parametrize("fee_of", [takers_all, full_fee, down])
def test_a_fee_that_is_wrong_in_one_thing_is_found_out(fee_of: Any) -> None:
    with pytest.raises(AssertionError, match="should have cost"):
        run_some(SEEDS[::-1], fee_of=fee_of)  # the last seed has the fills that tell these apart


@pytest.mark.parametrize("unheard", [OrderState, Filled, AccountSnapshot, BookDelta])
def test_news_that_does_not_arrive_is_missed(unheard: type[Message]) -> None:
    with pytest.raises(AssertionError):
        run_some(hears=lambda message: type(message) is not unheard)
