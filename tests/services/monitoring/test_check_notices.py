"""Findings of a check that are sent without a state file."""

from __future__ import annotations

from pathlib import Path

from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.check_report import Breach, breach
from kalshi_cli.services.monitoring.check_notices import _sent_before, by_cause, keep_sent
from kalshi_cli.services.resources import Home


def unusable(subject: str, value: str = "damaged") -> Breach:
    return breach("unknown", "STATE_UNUSABLE", subject, value, "a response")


def test_one_cause_that_several_checks_find_is_one_notice() -> None:
    loss = breach("critical", "DAY_LOSS", "account", "$60 lost", "50")
    findings = {
        "check heartbeat": [unusable("heartbeat")],
        "check pnl": [loss, unusable("drawdown")],
        "check drift": [unusable("drift")],
        "check feed": [unusable("feed", "locked")],
        "check disk": [],
    }
    assert by_cause(findings, ("critical", "unknown")) == [
        ("check heartbeat, check drift", [unusable("heartbeat"), unusable("drift")]),
        ("check pnl", [loss, unusable("drawdown")]),
        ("check feed", [unusable("feed", "locked")]),
    ]


def test_what_was_sent_with_a_severity_of_a_later_version_is_not_continued(tmp_path: Path) -> None:
    home = Home(folder=tmp_path, account="", name="live")
    for severity in ("severe", "critical"):
        keep_sent(home, "check api", breach(severity, "API_SLOW", severity, "9ms", "1"), Ts(1), ["phone"])
    assert [key[1] for key in _sent_before(home)] == ["critical"]


def test_other_severities_are_left_out() -> None:
    assert by_cause({"check feed": [unusable("feed")]}, ("critical", "warning")) == []
