"""What became of one attempt to deliver. Attempts end in one of these; they raise nothing."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from kalshi_cli.base.units import Ts

CONNECT_S = 3.0
TOTAL_S = 5.0
"""One attempt: to connect, and in all."""

MIN_WAIT_S, USUAL_WAIT_S, MAX_WAIT_S = 1.0, 60.0, 900.0
"""How long a sink that is too busy can make us wait: a sink that says a day would silence itself."""

Outcome = Literal["delivered", "retry", "gone", "refused"]


class DeliveryResult(msgspec.Struct, frozen=True, kw_only=True):
    """`retry`: later, after `retry_after_s` at the earliest where the sink said so (0: it did not).

    `gone`: nobody is at that address any more (404, 410). `refused`: by us, or by the sink, and the same again would be
    refused again. `text` is one line for a person, without a byte of the address but its host, or its scheme.
    """

    outcome: Outcome
    text: str
    retry_after_s: float = 0.0


def classify_response(where: str, status: int, retry_after: str, now: Ts) -> DeliveryResult:
    """What an HTTP status means for a delivery to `where`."""
    if 200 <= status <= 299:
        return DeliveryResult(outcome="delivered", text=f"{where}: delivered")
    if status in (404, 410):
        return DeliveryResult(outcome="gone", text=f"{where} failed: the sink is gone (HTTP {status})")
    if status == 429:
        wait_s = waiting_time(retry_after, now)
        text = f"{where} failed: it wants fewer (HTTP 429), again in {wait_s:g} s"
        return DeliveryResult(outcome="retry", text=text, retry_after_s=wait_s)
    if status in (408, 425) or status >= 500:
        return DeliveryResult(outcome="retry", text=f"{where} failed: HTTP {status}")
    if 300 <= status <= 399:
        return DeliveryResult(
            outcome="refused", text=f"{where} failed: it points elsewhere (HTTP {status}), and is not followed"
        )
    return DeliveryResult(outcome="refused", text=f"{where} failed: HTTP {status}")


def waiting_time(retry_after: str, now: Ts) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date, within our bounds."""
    if re.fullmatch(r"\d{1,9}", retry_after):
        wanted = float(retry_after)
    else:
        try:
            wanted = parsedate_to_datetime(retry_after).timestamp() - now / 1000
        except (ValueError, OverflowError):
            wanted = USUAL_WAIT_S
    return min(max(wanted, MIN_WAIT_S), MAX_WAIT_S)
