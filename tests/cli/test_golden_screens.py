"""Screens to the letter and the color, at 80x24 and at 160x50: pickers, the depth ladder, candles, the market page.

A style is written in front of its text, like `[32m`. `KALSHI_UPDATE_GOLDEN=1` writes the files anew.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text
from support.served import TWO_SIDED, Served, Terminal

from kalshi_cli.base.local_time import set_time_zone
from kalshi_cli.base.units import Price, Ts, cents, contracts
from kalshi_cli.cli.screen.chart import draw
from kalshi_cli.tui import market_picture
from kalshi_cli.tui.curve import chart
from kalshi_cli.views.market_history import CandleRow, PublicTradeRow
from kalshi_cli.views.order_book import OrderbookView

GOLDEN = Path(__file__).parent / "golden_screens"
IS_UPDATING = bool(os.environ.get("KALSHI_UPDATE_GOLDEN"))
SIZES = ((80, 24), (160, 50))
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))


def check(name: str, size: tuple[int, int], text: str) -> None:
    """Compare a screen with its file, and its width with the terminal."""
    shown = re.sub(r"\x1b\[([0-9;?]*[a-zA-Z])", r"[\1", text).replace("\r\n", "\n")
    shown = "\n".join(line.rstrip() for line in shown.splitlines()) + "\n"
    path = GOLDEN / f"{name}_{size[0]}x{size[1]}.txt"
    if IS_UPDATING:
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown)
    for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).splitlines():
        assert len(line) <= size[0], line
    assert shown == path.read_text()


def on_terminal(exchange: Served, size: tuple[int, int], *words: str) -> Terminal:
    variables = {**os.environ, **exchange.variables(), "TERM": "xterm-256color", "TZ": "UTC"}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        variables.pop(name, None)
    return Terminal(*words, env=variables, size=size)


def leave(terminal: Terminal) -> None:
    """Answer nothing: the command says that nothing was chosen."""
    os.write(terminal.screen, b"\n")
    assert terminal.finish() == 2


def in_color(lines: Sequence[Text | str], size: tuple[int, int]) -> str:
    console = Console(
        file=io.StringIO(), width=size[0], height=size[1], force_terminal=True, color_system="standard", highlight=False
    )
    for line in lines:
        console.print(line, markup=False, no_wrap=True, crop=False)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@sizes
def test_the_choice_of_a_market(exchange: Served, size: tuple[int, int]) -> None:
    terminal = on_terminal(exchange, size, "market")
    terminal.answer("words to search for", "rain above")
    terminal._read_until(lambda: "Number 1-" in terminal.text and terminal.text.endswith(": "))
    leave(terminal)
    check("pick_market", size, terminal.text)


@sizes
def test_the_choice_of_an_order(exchange: Served, size: tuple[int, int]) -> None:
    exchange.trade_a_little()
    terminal = on_terminal(exchange, size, "cancel")
    terminal._read_until(lambda: "Number 1-" in terminal.text and terminal.text.endswith(": "))
    leave(terminal)
    check("pick_order", size, terminal.text)


@sizes
def test_the_depth_ladder_of_a_command(exchange: Served, size: tuple[int, int]) -> None:
    terminal = on_terminal(exchange, size, "orderbook", TWO_SIDED)
    assert terminal.finish() == 0
    check("orderbook", size, terminal.text)


@sizes
def test_candles_as_a_chart(size: tuple[int, int]) -> None:
    set_time_zone("UTC")
    closes = [Price(4_000 + (number * 7_919) % 2_300) for number in range(300)]
    candles = [_candle(number, before, after) for number, (before, after) in enumerate(pairwise(closes))]
    check("candles", size, in_color(draw(candles, size[0]), size))


def _candle(number: int, first: Price, last: Price) -> CandleRow:
    fields = dict.fromkeys(CandleRow.__struct_fields__)
    fields |= {"open": first, "low": min(first, last), "high": max(first, last), "close": last}
    fields |= {
        "end": Ts(1_795_000_000_000 + number * 3_600_000),
        "volume": contracts(number % 17),
        "open_interest": contracts(9),
    }
    return CandleRow(**fields)  # type: ignore[arg-type]  # quotes are missing


@sizes
def test_the_market_page(size: tuple[int, int]) -> None:
    set_time_zone("UTC")
    book = OrderbookView(
        ticker="T",
        yes_bids=tuple((cents(44 - step), contracts(10 * step + 3)) for step in range(12)),
        yes_asks=tuple((cents(46 + step), contracts(25 * step + 1)) for step in range(12)),
        best_bid=cents(44), best_ask=cents(46), spread=cents(2), mid=cents(45),
    )  # fmt: skip
    trades = [
        PublicTradeRow(
            trade_id=str(step), ticker="T", time=Ts(1_795_000_000_000), price=cents(40 + step),
            count=contracts(step + 1), taker="yes" if step % 2 else "no", is_block=False,
        )
        for step in range(5)
    ]  # fmt: skip
    middles = [4_000 + (number * 37) % 600 for number in range(200)]
    width, height = size[0] - 33, size[1] - 10
    lines = [
        *chart(middles, size[0], 3, lambda value: f"${value / 10_000:.2f}"),
        *market_picture.ladder(book, width, height),
        *[
            Text(re.sub(r"\d\d:\d\d:\d\d", "hh:mm:ss", line.plain), style=line.style)
            for line in market_picture.trade_lines(trades, 4)
        ],
    ]
    check("market_page", size, in_color(lines, size))
