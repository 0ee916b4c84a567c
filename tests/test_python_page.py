"""Each block of docs/python.md runs, one after the other, as in a notebook."""

from __future__ import annotations

import re
from typing import Any

from support.places import ROOT
from support.served import Served

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)


def test_every_block_of_the_page_runs(exchange: Served) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    try:
        for number, block in enumerate(BLOCKS, start=1):
            exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
    finally:
        if "kalshi" in names:
            names["kalshi"].close()
    assert len(BLOCKS) > 10
