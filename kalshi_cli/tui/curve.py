"""A curve drawn with block characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text

SPARKS = "▁▂▃▄▅▆▇█"


def area(values: Sequence[int], width: int, height: int) -> list[str]:
    """Return a curve as an area of `height` lines, the newest value on the right; empty for fewer than two values."""
    shown = values[-width:]
    if len(shown) < 2:
        return []
    low, high = min(shown), max(shown)
    steps = len(SPARKS) * height - 1
    tops = [(value - low) * steps // (high - low) + 1 if high > low else 1 for value in shown]
    return ["".join(_block(top - len(SPARKS) * line) for top in tops) for line in reversed(range(height))]


def _block(eighths: int) -> str:
    return " " if eighths <= 0 else SPARKS[min(eighths, len(SPARKS)) - 1]


def chart(values: Sequence[int], width: int, height: int, show: Callable[[int], str]) -> list[Text]:
    """Return a curve with its highest and lowest value on the left; empty for fewer than two values."""
    if len(values) < 2:
        return []
    recent = values[-width:]
    label = max(len(show(max(recent))), len(show(min(recent))))
    shown = recent[-max(2, width - label - 1) :]
    lines = area(shown, len(shown), height)
    ends = {0: show(max(shown)), height - 1: show(min(shown))}
    return [Text.assemble((f"{ends.get(n, ''):>{label}} ", "dim"), (text, "cyan")) for n, text in enumerate(lines)]
