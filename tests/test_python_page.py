"""Each block of a page about Python runs, one after the other, as in a notebook."""

from __future__ import annotations

import re
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


def test_the_examples_of_the_page_are_in_the_file_that_the_type_check_reads() -> None:
    """`make types` checks it as strictly as the package. `make reference` writes it again."""
    typed = (ROOT / "tests/support/python_page.py").read_text()
    assert "\n".join(blocks_of("docs/python.md")) in typed


def test_the_page_about_python_has_its_examples() -> None:
    assert len(blocks_of("docs/python.md")) > 10
