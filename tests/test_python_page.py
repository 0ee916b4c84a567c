"""Each block of a page about Python runs, one after the other, as in a notebook."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.places import ROOT
from support.served import Served

PAGES = ("docs/notebook.md", "docs/python.md", "docs/screens.md")


def blocks_of(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_runs(exchange: Served, page: str) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    blocks = blocks_of(page)
    try:
        for number, block in enumerate(blocks, start=1):
            exec(compile(block, f"{page}, block {number}", "exec"), names)
    finally:
        if "kalshi" in names:
            names["kalshi"].close()
    assert blocks


def test_the_page_about_python_names_no_market() -> None:
    """Markets of the simulated exchange come and go, so a page that names one fails for its reader."""
    assert "KX" not in "".join(blocks_of("docs/python.md"))


BOT = """
from typing import Literal

def quote(side: Literal["yes", "no"], row: OrderRow, held: PositionRow) -> None:
    best = market.yes_bid if side == "yes" else market.no_bid
    if best is not None and row.order_id:
        limit = min(best + units.cents(1), units.ONE_DOLLAR - units.cents(1))
        kalshi.orders.plan_place(ticker, side=side, action="buy", count="1", price=units.format_price(limit), tif="ioc")
        kalshi.orders.plan_amend(row.order_id, AmendRequest(price=limit, qty=row.remaining // 2))
        kalshi.orders.plan_ticket(
            OrderTicket(ticker=row.ticker, outcome=side, action="sell", qty=held.count - 100, price=limit)
        )
    kalshi.orders.plan_cancel(row.order_id)
    kalshi.orders.plan_decrease(row.order_id, by=row.remaining - row.filled)
    kalshi.orders.get(row.order_id)
    kalshi.orders.plan_close(row.ticker, ClosePolicy(max_slippage=best and best // 10), count=held.count // 2)
    print(units.show_qty(held.count // 2), units.show_price(limit), units.format_qty(held.count + 1))
"""
"""A program that calculates with prices, counts and ids of rows, as every bot does."""
WRONG = {
    'kalshi.orders.plan_place(ticker, side="YES", action="buy", count="1", price="0.4")': "side",
    'kalshi.orders.plan_place(ticker, side="yes", action="buy", count="1", price="0.4", tif="day")': "tif",
    'kalshi.orders.list("open")': "list",
    'kalshi.account.pnl(by="week")': "pnl",
    "kalshi.orders.plan_decrease(None, to=2.5)": "to",
    'AmendRequest(price="0.04")': "price",
}


STRICT = "# mypy: disallow-untyped-defs, disallow-incomplete-defs, disallow-untyped-calls, warn-return-any\n"
STRICT += "# mypy: no-implicit-reexport\n"
"""What pyproject.toml lets pass in tests. Said in the file, so that mypy goes on from its check of the package."""


def test_the_examples_and_a_bot_pass_a_strict_type_check(tmp_path: Path) -> None:
    rows = "from kalshi_cli import ClosePolicy\nfrom kalshi_cli.views.orders import OrderRow\n"
    rows += "from kalshi_cli.views.positions import PositionRow\n"
    program = tmp_path / "program.py"
    program.write_text("\n".join([STRICT, *blocks_of("docs/python.md"), rows, BOT, *WRONG]))
    words = [sys.executable, "-m", "mypy", "--no-error-summary", "--config-file", "pyproject.toml"]
    ended = subprocess.run([*words, program], cwd=ROOT, capture_output=True, text=True, timeout=600)
    lines = [line for line in ended.stdout.splitlines() if ": error: " in line]
    first = len(program.read_text().splitlines()) - len(WRONG) + 1
    assert [int(line.split(":")[1]) for line in lines] == [*range(first, first + len(WRONG))], ended.stdout
    for line, name in zip(lines, WRONG.values(), strict=True):
        assert f'"{name}"' in line


def test_the_page_about_python_has_its_examples() -> None:
    assert len(blocks_of("docs/python.md")) > 10
