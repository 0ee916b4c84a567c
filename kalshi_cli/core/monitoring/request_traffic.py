"""The reliability of the exchange's API, from counts per minute."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.check_report import Breach, Measure

MIN_REQUESTS = 10
"""Fewer requests give no meaningful share of failures."""

SOON, LONG = (2, 10), (15, 60)
"""Windows in minutes: failures in both of the first are critical, in both of the second a warning. The long window
shows that they matter, the short one that they continue."""

GAP_MINUTES = 10


class RequestMinute(msgspec.Struct, frozen=True, kw_only=True):
    """A minute of a program's requests: failures without a usable response, and gaps of the stream.

    `p99_ms` covers the last few minutes; it stays None without requests.
    """

    minute: int
    requests: int = 0
    failures: int = 0
    gaps: int = 0
    p99_ms: int | None = None


def is_failure(status: int) -> bool:
    """Return whether a status is a failure: no response (0), a rejected key (401), the rate limit, or a server error.

    The refusal of one request is not: 403 is also the answer to a key of one subaccount that reads another one.
    """
    return status in (0, 401, 429) or status >= 500


def p99(values: Iterable[float]) -> float | None:
    """Return the 99th percentile (nearest rank), None without values."""
    ordered = sorted(values)
    return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else None


def failed_pct(minutes: Sequence[RequestMinute], now: Ts, window: int) -> float | None:
    """Return the share of failures in percent, over this minute and `window` full ones; None for few requests."""
    first = now // 60_000 - window
    within = [each for each in minutes if each.minute >= first]
    requests = sum(each.requests for each in within)
    return 100 * sum(each.failures for each in within) / requests if requests >= MIN_REQUESTS else None


def only_failures(minutes: Sequence[RequestMinute], now: Ts) -> bool:
    """Return whether all requests of the shortest window failed, however few they were."""
    within = [each for each in minutes if each.minute >= now // 60_000 - SOON[0]]
    requests = sum(each.requests for each in within)
    return requests > 0 and requests == sum(each.failures for each in within)


def readable(minutes: Iterable[RequestMinute], alerts: Iterable[AlertRaised]) -> list[RequestMinute]:
    """Return the minutes without those in which the account was unreadable, if that is over: `BLIND` reported these."""
    periods: list[range] = []
    begin = 0
    for alert in sorted(alerts, key=lambda each: each.ts):
        if alert.code == "BLIND":
            begin = alert.ts // 60_000
        elif alert.code == "SIGHTED":
            periods.append(range(begin, alert.ts // 60_000 + 1))
    return [each for each in minutes if not any(each.minute in period for period in periods)]


def failing(
    minutes: Sequence[RequestMinute], now: Ts, warn: str, crit: str
) -> tuple[tuple[Breach, ...], list[Measure]]:
    """Return the share of failures against its ranges: for each, the smaller share of two windows.

    There are no measures if there were too few requests.
    """
    shares = [[failed_pct(minutes, now, window) for window in pair] for pair in (SOON, LONG)]
    measures = [
        Measure(label=label, value=round(min(known), 1), unit="%", warn=warn, crit=crit)
        for label, warn, crit, pair in zip(
            ("api_errors_pct", "api_errors_hour_pct"), ("", warn), (crit, ""), shares, strict=True
        )
        if (known := [share for share in pair if share is not None]) and len(known) == len(pair)
    ]
    for measure in measures:
        short, long = LONG if measure.label == "api_errors_hour_pct" else SOON
        said = f"{measure.value:g}% of requests failed, in the last {short} minutes and in the last {long}"
        breaches = measure.breach("API_ERRORS", "requests", said)
        if breaches:
            return breaches, measures
    return (), measures


def gaps(minutes: Sequence[RequestMinute], now: Ts) -> int:
    """Return the number of recent restarts of the stream."""
    return sum(each.gaps for each in minutes if each.minute >= now // 60_000 - GAP_MINUTES)
