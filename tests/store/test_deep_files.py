"""Files of ours that somebody nested without end: the halt holds, and nothing is a crash."""

from __future__ import annotations

from pathlib import Path

from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.halt_file import FILE, read_halt_file

DEEP = '{"x":' + "[" * 100_000


def test_a_halt_file_that_is_nested_without_end_is_a_halt(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(DEEP)
    halt = read_halt_file(tmp_path)
    assert halt is not None
    assert halt.state is TradingState.HALTED
