"""What loops had to say lately that somebody must hear, counted."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kalshi_cli.core.checks import Breach, Measure, Verdict
from kalshi_cli.core.messages import Alert
from kalshi_cli.units import format_ts

_OUT = ("STRATEGY_FAILED", "STRATEGY_HUNG")
"""After these a strategy is asked no more, for as long as the loop runs."""


def errors(alerts: Iterable[Alert], measure: Measure) -> tuple[list[Breach], Measure]:
    """A breach for each cause, as soon as all of them together are too many; those that happened most are first.

    The code of the breach is one of its own: what a loop recorded is over when the loop says so, this after a while.
    """
    causes: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        if alert.tier == "critical":
            causes.setdefault((alert.code, alert.subject), []).append(alert)
    measure = msgspec.structs.replace(measure, value=sum(map(len, causes.values())))
    if measure.verdict is Verdict.OK:
        return [], measure
    found = sorted(causes.items(), key=lambda cause: -len(cause[1]))
    return [
        breach
        for (code, subject), same in found
        for breach in measure.breach("RECENT_ERRORS", f"{code} {subject}", _said(same))
    ], measure


def strategies_out(alerts: Iterable[Alert]) -> list[Breach]:
    """Strategies that failed since the loop began: it runs on without them."""
    failed = {alert.subject: alert for alert in alerts if alert.code in _OUT}
    return [
        Breach(
            subject=name, value=f"out since {format_ts(alert.ts)}: {alert.text}", limit="asked by the loop",
            severity="critical", code="STRATEGY_OUT",
        )
        for name, alert in sorted(failed.items())
    ]  # fmt: skip


def _said(same: list[Alert]) -> str:
    last = max(same, key=lambda alert: alert.ts)
    times = "" if len(same) == 1 else f"{len(same)} times, last "
    return f"{times}at {format_ts(last.ts)}: {last.text}"
