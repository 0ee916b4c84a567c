"""Each block of docs/research.md runs on a lake that was made of a small recording."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.lake import lake_of
from support.places import ROOT
from support.recordings import Tape
from support.served import bare_variables, set_variables

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/research.md").read_text(), re.DOTALL)
MARKET = "KXRAIN-40JAN01-T1.0"


def test_every_block_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    tape = Tape().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "5.00"}, ticker=MARKET)
    for _ in range(5):
        tape.delta(30_000, ticker=MARKET).quote(ticker=MARKET)
    lake = lake_of(tmp_path, tape.write(tmp_path / "tape.jsonl"))
    names: dict[str, Any] = {"__name__": "page", "lake": str(lake.root)}
    for number, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"docs/research.md, block {number}", "exec"), names)
    assert names["changes"]["changes"].sum() == 5
    assert names["spread"].rows() == [(MARKET, 4.0)]
    assert names["covered"].rows() == [(MARKET, round(150 / 3600, 3), ["end"])]
    assert "KXRAIN 5 0" in capsys.readouterr().out
    assert len(BLOCKS) == 4
