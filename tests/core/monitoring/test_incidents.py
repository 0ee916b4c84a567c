"""What an incident knows of itself."""

from __future__ import annotations

from typing import Any

import pytest

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.incidents import Incident, continued


@pytest.mark.parametrize(
    ("changed", "is_sent"),
    [
        ({}, True),
        ({"lasts": False}, False),
        ({"is_known": False}, False),
        ({"is_resolved": True}, False),
        ({"told": None}, False),
    ],
)
def test_an_incident_is_sent_while_its_start_was_sent_and_its_end_was_not(
    changed: dict[str, Any], is_sent: bool
) -> None:
    fields: dict[str, Any] = {
        "code": "BLIND", "subject": "KXA", "source": "trade", "tier": "critical", "event": "", "text": "",
        "since": Ts(1), "seen": Ts(1), "lasts": True, "is_known": True, "told": Ts(1),
    }  # fmt: skip
    assert Incident(**(fields | changed)).is_sent is is_sent


def test_a_loop_continues_what_it_raised_itself_and_what_its_watches_start_from() -> None:
    said = [
        "BLIND account", "EXCHANGE_PAUSED shard 0", "EXCHANGE_PAUSED shard 1", "PRICE_ALERT_BLIND KXA",
        "SOURCE_STALE nws", "SOURCE_STALE espn", "SOURCE_ANSWERS espn", "EXCHANGE_PAUSED shard 0",
        "TRADING_PAUSED shard 2", "EXCHANGE_RESUMED shard 2",
    ]  # fmt: skip
    named = enumerate((each.split(" ", 1) for each in said), 1)
    alerts = [(number, AlertRaised(Ts(0), "warning", code, subject, "")) for number, (code, subject) in named]
    watched = {("PRICE_ALERT_BLIND", "KXA"), ("SOURCE_STALE", "nws")}
    assert continued(alerts, 7) - {("EXCHANGE_RESUMED", "shard 2")} == {*watched, ("EXCHANGE_PAUSED", "shard 0")}
    assert continued(alerts, 10) == watched
