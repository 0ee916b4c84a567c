"""Ranges of the Monitoring Plugins guidelines: `10`, `10:`, `~:10`, `10:20`, `@10:20`."""

from __future__ import annotations

import math

import msgspec


class Range(msgspec.Struct, frozen=True):
    """What is fine: from `start` to `end`, both included; `is_inside` turns it round. `text` is as it was written."""

    text: str
    start: float
    end: float
    is_inside: bool = False

    def is_breached(self, value: float) -> bool:
        """Whether a value is outside of what is fine. What is no number is outside of everything."""
        return (self.start <= value <= self.end) is self.is_inside


def parse_range(text: str) -> Range:
    """ValueError where this is no range. Without a start it begins at 0, without an end it has none."""
    written = text.strip()
    body = written.removeprefix("@")
    start, colon, end = body.rpartition(":")
    try:
        low = -math.inf if start == "~" else float(start or 0)
        high = float(end) if end else math.inf
    except ValueError:
        raise ValueError(f"{text!r} is no range; write it like 10, 10:, ~:10, 10:20 or @10:20") from None
    if not (colon or end) or math.isnan(low) or math.isnan(high) or low > high:
        raise ValueError(f"{text!r} is no range; write it like 10, 10:, ~:10, 10:20 or @10:20")
    return Range(written, low, high, is_inside=written.startswith("@"))
