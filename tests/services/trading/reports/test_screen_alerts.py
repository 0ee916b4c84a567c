"""The alerts of a screen have the state that `kalshi alerts` shows."""

from __future__ import annotations

from typing import Any

from support.served import Served, program

from kalshi_cli import Kalshi
from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.incidents import Incident
from kalshi_cli.services.trading.reports.screen_alerts import MAX_ALERTS, RECENT_MS, screen_alerts
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.live import RecentAlertRow

NOW = Ts(1_795_000_000_000)


def incident(code: str, **changed: Any) -> Incident:
    fields: dict[str, Any] = {
        "subject": "x", "source": "check disk", "tier": "critical", "event": "", "text": f"text of {code}",
        "since": NOW, "seen": NOW, "lasts": True,
    }  # fmt: skip
    return Incident(code=code, **(fields | changed))


def raised(code: str, ago_ms: int = 0) -> RecentAlertRow:
    return RecentAlertRow(
        time=Ts(NOW - ago_ms), tier="warning", code=code, subject="x", text=TruncatableText(f"said of {code}")
    )


def test_each_alert_has_its_state_and_those_that_fire_come_first() -> None:
    rows = [raised("NEWS"), raised("BLIND", 1), raised("BLIND", 2), raised("SOURCE_STALE", 3)]
    incidents = [
        incident("BLIND", source="loop"),
        incident("SOURCE_STALE", source="loop", ended=NOW),
        incident("NEWS", lasts=False),
        incident("DISK_SPACE", since=Ts(NOW - 9)),
        incident("FEED_STALE", since=Ts(NOW - 10), ended=Ts(NOW - 5)),
        incident("OLD", ended=Ts(NOW - RECENT_MS - 1)),
        incident("UNSURE", is_unknown=True, untold=0),
    ]
    assert [(each.code, each.state, each.text) for each in screen_alerts(rows, incidents, NOW)] == [
        ("BLIND", "firing", "said of BLIND"),
        ("DISK_SPACE", "firing", "text of DISK_SPACE"),
        ("NEWS", "event", "said of NEWS"),
        ("BLIND", "over", "said of BLIND"),
        ("SOURCE_STALE", "over", "said of SOURCE_STALE"),
        ("FEED_STALE", "over", "text of FEED_STALE"),
    ]


def test_alerts_that_fire_are_never_crowded_out() -> None:
    rows = [raised("NEWS", n) for n in range(2 * MAX_ALERTS)]
    found = screen_alerts(rows, [incident("DISK_SPACE", since=Ts(1))], NOW)
    assert len(found) == MAX_ALERTS
    assert found[0].code == "DISK_SPACE"


def test_a_screen_shows_what_a_check_found_and_its_end(exchange: Served) -> None:
    assert program("cancel-all").code == 0
    assert program("resume", "--reason", "test").code == 0
    assert program("check", "disk", "-c", "999999:").code == 2
    with Kalshi.open() as kalshi:
        events = kalshi.trading.events()
        found = next(event for event in events if event.alerts is not None)
        assert [(each.code, each.state) for each in found.alerts or () if each.code == "DISK_SPACE"] == [
            ("DISK_SPACE", "firing")
        ]
        assert program("check", "disk", "-c", "0:", "-w", "0:").code == 0
        later = next(event for event in events if event.alerts is not None and event.alerts != found.alerts)
        assert [each.state for each in later.alerts or () if each.code == "DISK_SPACE"] == ["over"]
