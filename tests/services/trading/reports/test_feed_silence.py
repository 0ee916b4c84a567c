"""The trading state that `kalshi status` shows while the exchange sends no messages."""

from __future__ import annotations

import msgspec
import pytest
from support.simulation import Simulation

from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import CheckRange
from kalshi_cli.config.values import RangeText
from kalshi_cli.services.trading.reports.feed_silence import with_silence
from kalshi_cli.services.trading.reports.status import read_status, status_view
from kalshi_cli.views.formats import TradingStateCell

BOUND = CheckRange(warn=RangeText("10"))
STARTED, CYCLE = Ts(1_000_000), Ts(1_100_000)
"""A hundred cycles, one a second."""


@pytest.mark.parametrize(
    ("state", "age_s", "later_ms", "shown"),
    [
        ("active", 0.2, 1_000, "active"),
        ("active", 10.0, 1_000, "active"),
        ("active", 10.4, 0, "active, but no message for 10 s"),
        ("active", 9.0, 6_000, "active, but no message for 14 s"),
        ("active", None, 60_000, "active"),
        ("blind", 60.0, 0, "blind"),
        ("paused", 60.0, 0, "paused"),
    ],
)
def test_an_active_loop_without_messages_says_for_how_long(
    sim: Simulation, state: str, age_s: float | None, later_ms: int, shown: str
) -> None:
    view = status_view(read_status(sim.path.parent, sim.store, "sim", "2026-05-28", CYCLE))
    view = msgspec.structs.replace(
        view, state=TradingStateCell(state), feed_age_s=age_s, started=STARTED, last_cycle=CYCLE, cycles=100
    )
    now = Ts(CYCLE + later_ms)
    assert with_silence(view, BOUND, now).state == shown
    assert with_silence(view, CheckRange(), now).state == state
