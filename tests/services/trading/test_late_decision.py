"""An order that was decided on before the host slept does not leave after it woke."""

from __future__ import annotations

import pytest

from kalshi_cli.base.clock import ManualClock, ShiftedClock
from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import Tick
from kalshi_cli.services.trading.decision_deadline import DecisionDeadline


def test_a_sleep_of_the_host_makes_a_decision_late_although_the_monotonic_clock_stood_still() -> None:
    asleep_ms = [0]
    clock = ShiftedClock(ManualClock(Ts(1_780_000_000_000)), lambda: asleep_ms[0])
    decision = DecisionDeadline(clock, 5.0)
    for _ in decision.over([Tick(clock.now())]):
        decision.refuse_if_late()
        asleep_ms[0] = 60_000
        with pytest.raises(RefusedError, match="decision is 60"):
            decision.refuse_if_late()
    for _ in decision.over([Tick(clock.now())]):
        decision.refuse_if_late()
