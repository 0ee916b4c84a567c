"""Views from their JSON: what was written is read again, and nothing else is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.backtests import losing

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.services.research.backtest import backtest_view
from kalshi_cli.views.formats import Ratio, to_machine
from kalshi_cli.views.parsing import from_machine
from kalshi_cli.views.runs import BacktestView


def test_a_report_is_read_as_it_was_written() -> None:
    view = backtest_view(losing())
    saved = msgspec.json.decode(msgspec.json.encode(to_machine(BacktestView)(view)))
    assert from_machine(BacktestView)(saved) == view
    assert from_machine(BacktestView)({**saved, "of_a_later_version": 1}) == view
    del saved["net"]
    with pytest.raises(ValueError, match="net is missing"):
        from_machine(BacktestView)(saved)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Price, 0.47),
        (Price, "<b>"),
        (Money, "1e9"),
        (Qty, None),
        (Ts, "yesterday"),
        (int, "1"),
        (int, True),
        (bool, 1),
        (str, 5),
        (Ratio, "0.5"),
        (tuple[int, ...], {"a": 1}),
        (tuple[int, ...], ["x"]),
        (dict[str, int], [1]),
        (BacktestView, []),
    ],
)
def test_other_values_are_refused(kind: Any, value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_machine(kind)(value)


def test_hostile_text_is_made_safe() -> None:
    assert "\x1b" not in from_machine(str)("a\x1b[31mb")
    assert "\x1b" not in next(iter(from_machine(dict[str, int])({"\x1b": 1})))
