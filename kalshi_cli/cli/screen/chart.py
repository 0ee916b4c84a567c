"""A chart of candles in plain characters, without color, so that it looks the same on every terminal and in a file.

Each column is one or more candles: a bar from the lowest trade to the highest, and a block at the close. Dots are the
middle of the quotes in a period without trades; a period without quotes is empty.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import NamedTuple

from kalshi_cli.base.local_time import local_time
from kalshi_cli.base.units import Price, Qty, show_price, show_qty
from kalshi_cli.cli.screen.output import write_out
from kalshi_cli.views.market_history import CandleRow

HEIGHT = 14
NARROWEST, WIDEST = 20, 200
_BARS = " ▁▂▃▄▅▆▇█"
_RANGE, _CLOSE, _QUOTED = "│", "█", "·"


class ChartColumn(NamedTuple):
    """The values of one column; prices in ten-thousandths of a dollar."""

    low: int | None
    high: int | None
    close: int | None
    middle: int | None
    volume: int


def draw(candles: Sequence[CandleRow], width: int) -> list[str]:
    """Return the lines of the chart, none wider than `width`; no lines without any price."""
    scale_width = 9
    room = max(NARROWEST, min(width, WIDEST)) - scale_width
    columns = [_column(group) for group in _groups(candles, room)]
    prices = [price for column in columns for price in column[:4] if price is not None]
    if not prices:
        return []
    bottom, top = min(prices), max(prices)
    if top == bottom:
        bottom, top = bottom - 100, top + 100
    lines = []
    for line in range(HEIGHT - 1, -1, -1):
        cells = "".join(_cell(column, line, bottom, top) for column in columns)
        lines.append(f"{_label(line, bottom, top):>7} ┤{cells}".rstrip())
    most = max(column.volume for column in columns)
    lines.append(" " * 7 + " └" + "─" * len(columns))
    if most:
        lines.append(f"{'volume':>7}  " + "".join(_bar(column.volume, most) for column in columns).rstrip())
    lines.append(" " * scale_width + _times(candles, len(columns)))
    lines.append(" " * scale_width + _legend(candles, columns, most))
    return [line[:width] for line in lines]


def _groups(candles: Sequence[CandleRow], room: int) -> list[Sequence[CandleRow]]:
    """Return at most `room` groups of neighbors, all of one size except the last."""
    size = max(1, -(-len(candles) // room))
    return [candles[at : at + size] for at in range(0, len(candles), size)]


def _column(group: Sequence[CandleRow]) -> ChartColumn:
    lows = [candle.low for candle in group if candle.low is not None]
    highs = [candle.high for candle in group if candle.high is not None]
    closes = [candle.close for candle in group if candle.close is not None]
    middles = [
        (candle.yes_bid_close + candle.yes_ask_close) // 2
        for candle in group
        if candle.yes_bid_close is not None and candle.yes_ask_close is not None
    ]
    return ChartColumn(
        min(lows, default=None),
        max(highs, default=None),
        closes[-1] if closes else None,
        middles[-1] if middles and not closes else None,
        sum(candle.volume for candle in group),
    )


def _line(price: int, bottom: int, top: int) -> int:
    """Return the line of a price; 0 is the lowest."""
    return round((price - bottom) * (HEIGHT - 1) / (top - bottom))


def _cell(column: ChartColumn, line: int, bottom: int, top: int) -> str:
    if column.close is not None and column.low is not None and column.high is not None:
        if line == _line(column.close, bottom, top):
            return _CLOSE
        return _RANGE if _line(column.low, bottom, top) <= line <= _line(column.high, bottom, top) else " "
    return _QUOTED if column.middle is not None and line == _line(column.middle, bottom, top) else " "


def _label(line: int, bottom: int, top: int) -> str:
    """Return a price at every third line and at both ends, to the nearest tenth of a cent."""
    if line % 3 and line != HEIGHT - 1:
        return ""
    price = bottom + (top - bottom) * line // (HEIGHT - 1)
    return show_price(Price(price if top - bottom < 300 else round(price / 10) * 10))


def _bar(volume: int, most: int) -> str:
    return _BARS[-(-volume * (len(_BARS) - 1) // most)]


def _times(candles: Sequence[CandleRow], width: int) -> str:
    """Return the first and the last time at the two ends; only the first one if there is no room for both."""
    first, last = (f"{local_time(one.end):%b %d %H:%M}" for one in (candles[0], candles[-1]))
    gap = width - len(first) - len(last)
    return f"{first}{' ' * gap}{last}" if gap > 0 else first


def _legend(candles: Sequence[CandleRow], columns: Sequence[ChartColumn], most: int) -> str:
    shared = -(-len(candles) // len(columns))
    each = "" if shared == 1 else f", {shared} candles per column"
    volume = f"; volume up to {show_qty(Qty(most))}" if most else ""
    zone = f"{local_time(candles[-1].end):%Z}"
    return f"{zone}; {_CLOSE} close {_RANGE} range {_QUOTED} mid of quotes (no trade){volume}{each}"


def render_chart(candles: Sequence[CandleRow], title: str) -> bool:
    """Draw the chart and return True; False without a price."""
    lines = draw(candles, shutil.get_terminal_size((80, 24)).columns)
    write_out("\n".join([title, *lines]) + "\n" if lines else "")
    return bool(lines)
