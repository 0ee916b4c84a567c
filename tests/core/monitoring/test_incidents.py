"""What an incident knows of itself."""

from __future__ import annotations

from typing import Any

import pytest

from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.incidents import Incident


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
