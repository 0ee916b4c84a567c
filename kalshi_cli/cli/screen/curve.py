"""A curve of money over time: plain characters for a terminal, SVG for a file.

The value is constant between two points, so the curve is a staircase.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.files import open_regular
from kalshi_cli.base.local_time import local_time
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Money, Ts, show_money
from kalshi_cli.cli.screen.output import Format, info, write_out

Point = tuple[Ts, Money]

HEIGHT = 13
NARROWEST, WIDEST = 30, 200
SCALE_WIDTH = 12
ENDING = 4
SHORT_MS = 120_000


def require_curve(form: Format | None, picture: Path | None, usage: str) -> None:
    """Raise UsageError if the curve can be neither drawn nor written to an .svg file; `usage` is the hint."""
    if picture is None and form not in (None, Format.TABLE, Format.PLAIN):
        raise UsageError("--plot cannot be combined with this output format", hint="remove --plot or --format")
    if picture is not None and picture.suffix != ".svg":
        raise UsageError(f"{picture} must end in .svg", hint=usage)


def show_curve(points: Sequence[Point], picture: Path | None) -> None:
    """Draw the curve on the screen, or write it to the file."""
    if not points:
        info("No trades")
        return
    title = f"Profit and loss: {show_money(points[-1][1])}"
    if picture is None:
        lines = draw_curve(points, shutil.get_terminal_size((80, 24)).columns)
        write_out("\n".join([title, *lines]) + "\n")
        return
    with open(open_regular(picture, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w", encoding="utf-8") as file:
        file.write(svg_curve(points, title))
    info(f"Wrote {picture}")


def draw_curve(points: Sequence[Point], width: int) -> list[str]:
    """Return the lines of the drawing, none wider than `width`; no lines for fewer than two points."""
    if len(points) < 2:
        return []
    room = max(NARROWEST, min(width, WIDEST)) - SCALE_WIDTH - ENDING
    values = _columns(points, room)
    bottom, top = _span(values)
    rows = [round((value - bottom) * (HEIGHT - 1) / (top - bottom)) for value in values]
    zero = round(-bottom * (HEIGHT - 1) / (top - bottom))
    lines = []
    for line in range(HEIGHT - 1, -1, -1):
        label = show_money(Money(bottom + (top - bottom) * line // (HEIGHT - 1))) if line % 3 == 0 else ""
        cells = "".join(_cell(rows, at, line, zero) for at in range(len(rows)))
        lines.append(f"{label:>{SCALE_WIDTH - 2}} ┤{cells}".rstrip())
    first, last = _ends(points, "%b %d")
    lines.append(" " * SCALE_WIDTH + f"{first}{last:>{max(0, len(rows) - len(first))}} {local_time(points[-1][0]):%Z}")
    return [line[:width] for line in lines]


def _ends(points: Sequence[Point], day: str) -> tuple[str, str]:
    """Return the times of the first and the last point; with seconds if the minutes may be the same."""
    start, end = points[0][0], points[-1][0]
    form = f"{day} %H:%M" if end - start >= SHORT_MS else f"{day} %H:%M:%S"
    first, last = (local_time(ts).strftime(form) for ts in (start, end))
    return first, last


def _columns(points: Sequence[Point], room: int) -> list[int]:
    """Return the value of the curve at the end of each of `room` equal periods."""
    start, end = points[0][0], points[-1][0]
    values: list[int] = []
    at = 0
    for column in range(room):
        until = start + (end - start) * (column + 1) // room
        while at + 1 < len(points) and points[at + 1][0] <= until:
            at += 1
        values.append(points[at][1])
    return values


def _span(values: Sequence[int]) -> tuple[int, int]:
    """Return the range from the lowest to the highest value, including zero."""
    bottom, top = min(0, *values), max(0, *values)
    return (bottom, top) if top > bottom else (bottom - 10_000, top + 10_000)


def _cell(rows: Sequence[int], at: int, line: int, zero: int) -> str:
    before, row = rows[at - 1] if at else rows[at], rows[at]
    if line == row:
        return "─" if before == row else "╭" if before < row else "╰"
    if line == before:
        return "╯" if before < row else "╮"
    if min(before, row) < line < max(before, row):
        return "│"
    return "·" if line == zero else " "


def svg_curve(points: Sequence[Point], title: str) -> str:
    """Return an SVG document: a staircase over a line at zero, with the scale and the times at both ends."""
    width, height, left, edge = 900, 360, 90, 40
    start, end = points[0][0], points[-1][0]
    bottom, top = _span([value for _, value in points])

    def x(ts: int) -> float:
        return left + (width - left - edge) * (ts - start) / max(1, end - start)

    def y(value: int) -> float:
        return height - edge - (height - 2 * edge) * (value - bottom) / (top - bottom)

    steps = [f"M{x(start):.1f},{y(points[0][1]):.1f}"] + [f"H{x(ts):.1f}V{y(value):.1f}" for ts, value in points[1:]]
    marks = [
        f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{escape(show_money(Money(value)))}</text>'
        for value in sorted({bottom, 0, top})
    ]
    ends = [
        f'<text x="{x(ts):.1f}" y="{height - 12}" text-anchor="{anchor}">{moment} {local_time(ts):%Z}</text>'
        for ts, anchor, moment in zip((start, end), ("start", "end"), _ends(points, "%Y-%m-%d"), strict=True)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
            'font-size="12">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            f'<text x="{left}" y="22" font-size="15">{escape(safe_text(title))}</text>',
            f'<path d="M{left},{y(0):.1f}H{width - edge}" stroke="#999" stroke-dasharray="4 4" fill="none"/>',
            f'<path d="{"".join(steps)}" stroke="#1f6feb" stroke-width="2" fill="none"/>',
            *marks,
            *ends,
            "</svg>\n",
        ]
    )
