"""Two ledgers, one truth: random order traffic through the real client, booked by the exchange and by us.

After every act our positions, realized profit, fees and cash must equal the exchange's own to the micro-dollar, our live
orders its live orders, and our books its books; no book is crossed, and no money comes or goes (see `traffic`).

    KALSHI_TRAFFIC=1000 python -m pytest tests/test_two_ledgers.py      # so many examples instead of a few
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from traffic import Acts, Seeded

T = TypeVar("T")
EXAMPLES = int(os.environ.get("KALSHI_TRAFFIC", "15"))

ACTS = {
    "place": 8,
    "other": 10,
    "place_batch": 1,
    "amend": 3,
    "decrease": 1,
    "cancel": 1,
    "cancel_batch": 1,
    "cancel_all": 1,
    "other_leaves": 1,
    "group_new": 1,
    "group_change": 1,
    "pause": 1,
    "halt": 1,
    "settle": 1,
    "close_early": 1,
    "wait": 2,
    "change_fees": 1,
    "change_grid": 1,
    "lose_stream": 1,
    "find_stream": 3,
    "read_back": 1,
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


def run(seed: int, steps: int, **hers: object) -> Counter[str]:
    choice = Seeded(seed)
    names = [name for name, times in ACTS.items() for _ in range(times)]
    acts = Acts(choice, **hers)  # type: ignore[arg-type]
    try:
        for _ in range(steps):
            acts.do(choice.pick(names), choice)
    finally:
        acts.close()
    return acts.seen


def test_every_act_takes_effect() -> None:
    seen = run(1, 300)
    assert not [name for name in ACTS if not seen[name]]
