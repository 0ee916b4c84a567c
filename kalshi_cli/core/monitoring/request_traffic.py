"""How well the exchange answers, from counts by the minute; and what of it is too bad."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.check_report import Breach, Measure

MIN_REQUESTS = 10
"""Requests of a window below which their share of failures says nothing."""

SOON, LONG = (2, 10), (15, 60)
"""Minutes: what fails badly in both of the first is critical, what fails in both of the others a warning. The long one
says that it matters, the short one that it goes on."""

GAP_MINUTES = 10


class RequestMinute(msgspec.Struct, frozen=True, kw_only=True):
    """What a program saw within one minute: requests, those without a usable answer, gaps in the stream.

    `p99_ms` is of the last few minutes up to then; None where nothing was asked.
    """

    minute: int
    requests: int = 0
    failures: int = 0
    gaps: int = 0
    p99_ms: int | None = None


def is_failure(status: int) -> bool:
    """No usable answer: none at all (0), no pace left, or an error of theirs. A refusal is an answer."""
    return status == 0 or status == 429 or status >= 500


def p99(values: Iterable[float]) -> float | None:
    """Of 100 values the second highest; of less the highest. None where there is none."""
    ordered = sorted(values)
    return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else None


def failed_pct(minutes: Sequence[RequestMinute], now: Ts, window: int) -> float | None:
    """The share of failures in percent, over this minute and `window` whole ones; None where too little was asked."""
    first = now // 60_000 - window
    within = [each for each in minutes if each.minute >= first]
    requests = sum(each.requests for each in within)
    return 100 * sum(each.failures for each in within) / requests if requests >= MIN_REQUESTS else None


def only_failures(minutes: Sequence[RequestMinute], now: Ts) -> bool:
    """Return whether requests were made in the shortest window and none of them got a usable answer.

    However few they were: no share is needed to see that nothing works.
    """
    within = [each for each in minutes if each.minute >= now // 60_000 - SOON[0]]
    requests = sum(each.requests for each in within)
    return requests > 0 and requests == sum(each.failures for each in within)


def failing(
    minutes: Sequence[RequestMinute], now: Ts, warn: str, crit: str
) -> tuple[tuple[Breach, ...], list[Measure]]:
    """The share of failures against its ranges: each of the lesser share of two windows.

    Empty of measures where too little was asked.
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
        breaches = measure.breach("API_ERRORS", "requests", f"{measure.value:g} % of requests got no usable answer")
        if breaches:
            return breaches, measures
    return (), measures


def gaps(minutes: Sequence[RequestMinute], now: Ts) -> int:
    """Times that the stream had to begin anew, lately."""
    return sum(each.gaps for each in minutes if each.minute >= now // 60_000 - GAP_MINUTES)
