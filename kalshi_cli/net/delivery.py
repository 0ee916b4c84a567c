"""Result of one delivery attempt. Attempts return it and raise nothing."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from kalshi_cli.base.units import Ts

CONNECT_S = 3.0
TOTAL_S = 5.0
"""Timeouts of one attempt: to connect, and in total."""

MIN_WAIT_S, USUAL_WAIT_S, MAX_WAIT_S = 1.0, 60.0, 900.0
"""Bounds of the wait that a busy channel may request: one that requests a day would silence itself."""

Outcome = Literal["delivered", "retry", "gone", "refused"]


class DeliveryResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a delivery attempt.

    `retry`: try again, after `retry_after_s` at the earliest if the channel said so (0: it did not). `gone`: the
    address no longer exists (404, 410). `refused`: by kalshi or by the channel, and a repeat would be refused again.
    `text` is one line for display, which shows no more of the address than its host or scheme.
    """

    outcome: Outcome
    text: str
    retry_after_s: float = 0.0


def classify_response(where: str, status: int, retry_after: str, now: Ts) -> DeliveryResult:
    """Return the delivery result of an HTTP status from `where`."""
    if 200 <= status <= 299:
        return DeliveryResult(outcome="delivered", text=f"{where}: delivered")
    if status in (404, 410):
        return DeliveryResult(outcome="gone", text=f"{where} failed: the channel no longer exists (HTTP {status})")
    if status == 429:
        wait_s = waiting_time(retry_after, now)
        text = f"{where} failed: rate limited (HTTP 429), next attempt in {wait_s:g} s"
        return DeliveryResult(outcome="retry", text=text, retry_after_s=wait_s)
    if status in (408, 425) or status >= 500:
        return DeliveryResult(outcome="retry", text=f"{where} failed: HTTP {status}")
    if 300 <= status <= 399:
        return DeliveryResult(
            outcome="refused", text=f"{where} failed: redirected (HTTP {status}); redirects are not followed"
        )
    return DeliveryResult(outcome="refused", text=f"{where} failed: HTTP {status}")


def waiting_time(retry_after: str, now: Ts) -> float:
    """Return the seconds of a Retry-After header, a number or a date, within the bounds."""
    if re.fullmatch(r"\d{1,9}", retry_after):
        wanted = float(retry_after)
    else:
        try:
            wanted = parsedate_to_datetime(retry_after).timestamp() - now / 1000
        except (ValueError, OverflowError):
            wanted = USUAL_WAIT_S
    return min(max(wanted, MIN_WAIT_S), MAX_WAIT_S)
