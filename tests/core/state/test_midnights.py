"""Where a trading day begins: midnight in its zone, also where clocks change."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.core.state.trading_day import day_of, day_start

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("moment", "midnight", "day"),
    [
        ("2026-07-01T12:00:00Z", "2026-07-01T04:00:00Z", "2026-07-01"),
        ("2026-07-01T03:59:59Z", "2026-06-30T04:00:00Z", "2026-06-30"),
        ("2026-11-01T23:00:00Z", "2026-11-01T04:00:00Z", "2026-11-01"),  # 25 hours
        ("2026-11-02T04:59:59Z", "2026-11-01T04:00:00Z", "2026-11-01"),
        ("2026-03-09T03:59:59Z", "2026-03-08T05:00:00Z", "2026-03-08"),  # 23 hours
    ],
)
def test_a_day_begins_at_midnight_of_its_zone(moment: str, midnight: str, day: str) -> None:
    assert day_start(Ts(parse_ts(moment)), NEW_YORK) == parse_ts(midnight)
    assert day_of(Ts(parse_ts(moment)), NEW_YORK) == day
