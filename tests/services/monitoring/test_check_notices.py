"""Findings of a check that are sent without a state file."""

from __future__ import annotations

from kalshi_cli.core.monitoring.check_report import Breach, breach
from kalshi_cli.services.monitoring.check_notices import by_cause


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


def test_other_severities_are_left_out() -> None:
    assert by_cause({"check feed": [unusable("feed")]}, ("critical", "warning")) == []
