"""The line of `health-check` that names what is not OK."""

from __future__ import annotations

import pytest

from kalshi_cli.cli.commands.health import findings
from kalshi_cli.views.checks import HealthRow
from kalshi_cli.views.formats import TruncatableText, Verdict


@pytest.mark.parametrize(
    ("statuses", "line"),
    [
        ({"key": "OK", "disk": "OK"}, []),
        ({"key": "OK", "disk": "CRITICAL"}, ["1 of 2 checks failed: disk"]),
        ({"key": "OK", "disk": "WARNING"}, ["1 of 2 checks with a warning: disk"]),
        ({"key": "OK", "sinks": "WARNING"}, ["1 of 2 checks with a warning: alerts"]),
        (
            {"key": "CRITICAL", "account": "UNKNOWN", "disk": "WARNING"},
            ["2 of 3 checks failed: key, account; 1 with a warning: disk"],
        ),
    ],
)
def test_one_line_names_the_checks_that_are_not_ok(statuses: dict[str, str], line: list[str]) -> None:
    rows = [
        HealthRow(check=check, status=Verdict(status), latency_ms=None, detail=TruncatableText(""), hint=None)
        for check, status in statuses.items()
    ]
    assert findings(rows) == line
