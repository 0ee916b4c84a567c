"""Ranges of the Monitoring Plugins guidelines: `10`, `10:`, `~:10`, `10:20`, `@10:20`."""

from __future__ import annotations

import math

import msgspec


class Range(msgspec.Struct, frozen=True):
    """A range of good values, `start` to `end` inclusive; `is_inside` inverts it. `text` is the original text."""

    text: str
    start: float
    end: float
    is_inside: bool = False

    def is_breached(self, value: float) -> bool:
        """Return whether a value is outside of the good values. NaN is always outside."""
        return (self.start <= value <= self.end) is self.is_inside


def parse_range(text: str) -> Range:
    """Parse a range. Without a start it begins at 0, without an end it is open. Raises ValueError."""
    written = text.strip()
    start, _, end = written.removeprefix("@").rpartition(":")
    try:
        low = -math.inf if start == "~" else float(start or 0)
        high = float(end) if end else math.inf
        is_valid = bool(written.strip("@:")) and low <= high  # NaN compares false
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(f"Invalid range: {text!r}; use a form like 10, 10:, ~:10, 10:20 or @10:20")
    return Range(written, low, high, is_inside=written.startswith("@"))
