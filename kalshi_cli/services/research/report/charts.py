"""Charts of a report as inline SVG, without scripts: lines over time, and bars around zero.

Colors come from the classes of the page (`page.py`), so that they follow its light and dark themes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from kalshi_cli.base.local_time import local_time
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Money, Ts, show_money

WIDTH = 900
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 16, 12, 28
_LINE_HEIGHT = 240
_BAR_HEIGHT, _BAR_GAP, _LABEL_WIDTH, _VALUE_WIDTH = 18, 6, 300, 96
MAX_COLUMNS = 800
"""Periods of a line chart; of each one the first, lowest, highest and last value are drawn."""

MAX_LABEL_LENGTH = 42

Point = tuple[Ts, Money]


def text(value: str) -> str:
    """Return text for HTML or SVG: without control characters, and escaped."""
    return escape(safe_text(value))


def thinned(points: Sequence[Point], columns: int = MAX_COLUMNS) -> list[Point]:
    """Return the points that a chart needs: the first, lowest, highest and last of each period."""
    if len(points) <= 4 * columns:
        return list(points)
    start, end = points[0][0], points[-1][0]
    groups: dict[int, list[Point]] = {}
    for point in points:
        groups.setdefault((point[0] - start) * columns // max(1, end - start), []).append(point)
    kept: list[Point] = []
    for group in groups.values():
        values = [value for _, value in group]
        order = {0, values.index(min(values)), values.index(max(values)), len(group) - 1}
        kept += [group[at] for at in sorted(order)]
    return kept


def line_chart(points: Sequence[Point], label: str, kind: str = "line") -> str:
    """Return a staircase over time with a scale in dollars; an empty text for fewer than two points.

    `kind` is the class of the line: `line`, or `fall` for a drawdown.
    """
    if len(points) < 2:
        return ""
    points = thinned(points)
    start, end = points[0][0], points[-1][0]
    bottom, top = min(0, *(value for _, value in points)), max(0, *(value for _, value in points))
    top = top if top > bottom else bottom + 1_000_000

    def x(ts: int) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (ts - start) / max(1, end - start)

    def y(value: int) -> float:
        return _LINE_HEIGHT - _BOTTOM - (_LINE_HEIGHT - _TOP - _BOTTOM) * (value - bottom) / (top - bottom)

    steps = (f"H{x(ts):.1f}V{y(value):.1f}" for ts, value in points[1:])
    path = f"M{x(start):.1f},{y(points[0][1]):.1f}" + "".join(steps)
    scale = sorted({bottom + (top - bottom) * step // 4 for step in range(5)} | {0})
    far_apart = [value for value in scale if value == 0 or abs(y(value) - y(0)) > 12]
    grid = [
        f'<path class="{"zero" if value == 0 else "grid"}" d="M{_LEFT},{y(value):.1f}H{WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{text(show_money(Money(value)))}</text>'
        for value in far_apart
    ]
    times = [
        f'<text x="{x(ts):.1f}" y="{_LINE_HEIGHT - 8}" text-anchor="{anchor}">{text(moment(ts))}</text>'
        for ts, anchor in ((start, "start"), (end, "end"))
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {_LINE_HEIGHT}" role="img" aria-label="{text(label)}">'
        + "".join((*grid, *times))
        + f'<path class="{text(kind)}" d="{path}"/></svg>'
    )


def bar_chart(bars: Sequence[tuple[str, Money]], label: str) -> str:
    """Return horizontal bars around zero, one for each name and amount; an empty text without bars."""
    if not bars:
        return ""
    height = len(bars) * (_BAR_HEIGHT + _BAR_GAP) + _BAR_GAP
    low, high = min(0, *(value for _, value in bars), 0), max(0, *(value for _, value in bars), 0)
    span = max(1, high - low)
    room = WIDTH - _LABEL_WIDTH - _VALUE_WIDTH - 2 * _RIGHT
    zero = _LABEL_WIDTH + _RIGHT + room * -low / span
    drawn = []
    for number, (name, value) in enumerate(bars):
        top = _BAR_GAP + number * (_BAR_HEIGHT + _BAR_GAP)
        wide = room * abs(value) / span
        left = zero if value >= 0 else zero - wide
        shown = name if len(name) <= MAX_LABEL_LENGTH else name[: MAX_LABEL_LENGTH - 1] + "…"
        drawn.append(
            f'<text x="{_LABEL_WIDTH}" y="{top + 13}" text-anchor="end">{text(shown)}</text>'
            f'<rect class="{"loss" if value < 0 else "gain"}" x="{left:.1f}" y="{top}" width="{max(wide, 1):.1f}" '
            f'height="{_BAR_HEIGHT}"/>'
            f'<text x="{WIDTH - _RIGHT}" y="{top + 13}" text-anchor="end">{text(show_money(value, signed=True))}</text>'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(label)}">'
        + "".join(drawn)
        + f'<path class="zero" d="M{zero:.1f},0V{height}"/></svg>'
    )


def moment(ts: Ts) -> str:
    """Return a time with its date and zone, to the second."""
    return f"{local_time(ts):%Y-%m-%d %H:%M:%S %Z}"
