"""What is delivered to a person, and what to do about a code."""

from __future__ import annotations

import pytest

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.core.monitoring.runbook_index import DEFAULT_RUNBOOK, REMEDIES, runbook_for


@pytest.mark.parametrize(
    ("kind", "count", "title"),
    [
        ("firing", 1, "[prod] CRITICAL DRIFT KXA"),
        ("reminder", 3, "[prod] STILL CRITICAL DRIFT KXA (+2 more)"),
        ("resolved", 1, "[prod] RESOLVED CRITICAL DRIFT KXA"),
    ],
)
def test_the_title_says_on_a_phone_what_is_wrong_and_whether_it_still_is(kind, count, title) -> None:
    notice = Notice(
        notice_id="n", kind=kind, tier="critical", event="error", code="DRIFT", subject="KXA", text="t", env="prod",
        since=Ts(1), ts=Ts(2), count=count,
    )  # fmt: skip
    assert notice.title == title


@pytest.mark.parametrize(("code", "shown"), [("GROUP_TRIGGERED", "01234567"), ("ORDER_STALE", "0123456789")])
def test_an_order_group_is_named_by_the_short_id_that_commands_accept(code: str, shown: str) -> None:
    notice = Notice(
        notice_id="n", kind="event", tier="critical", event="error", code=code, subject="0123456789", text="t",
        env="prod", since=Ts(1), ts=Ts(2),
    )  # fmt: skip
    assert notice.title == f"[prod] CRITICAL {code} {shown}"
    alert = AlertRaised(Ts(1), "critical", code, "0123456789", "t")
    assert alert.line == f"CRITICAL {code} {shown}: t"


def test_a_code_that_nobody_listed_still_has_something_to_do() -> None:
    assert runbook_for("NEVER_HEARD_OF") is DEFAULT_RUNBOOK
    assert runbook_for("DRIFT") is REMEDIES["DRIFT"]


def test_an_alert_that_names_its_cause_leads_to_the_runbook_of_the_cause() -> None:
    ended = runbook_for("LOOP_FAILED", "The state file is damaged; read `kalshi runbook state-file`")
    assert (ended.runbook, ended.event) == ("state-file", REMEDIES["LOOP_FAILED"].event)
    assert runbook_for("LOOP_FAILED", "RuntimeError: oops") is REMEDIES["LOOP_FAILED"]
    paused = runbook_for("PAUSED_BY_ALERT", "after LOW_BALANCE (warning) of 12:00")
    assert (paused.runbook, paused.command) == ("low-balance", "kalshi balance")
    assert paused.event == REMEDIES["PAUSED_BY_ALERT"].event == "emergency_stop"
    assert runbook_for("PAUSED_BY_ALERT", "after NEVER_HEARD_OF ") == REMEDIES["PAUSED_BY_ALERT"]
    assert runbook_for("PAUSED_BY_ALERT", "by hand") is REMEDIES["PAUSED_BY_ALERT"]
