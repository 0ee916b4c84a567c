"""Backtests in Python, beyond those of docs/notebook.md."""

from __future__ import annotations

from typing import Any

import pytest
from support.backtests import losing

from kalshi_cli import Kalshi, errors
from kalshi_cli.services.research.service import BacktestResult


@pytest.mark.usefixtures("exchange")
def test_an_unknown_fill_model_is_refused_by_name() -> None:
    unfit: Any = "both"
    with Kalshi.open(env="sim") as kalshi, pytest.raises(errors.UsageError, match="Invalid fills: 'both'"):
        kalshi.research.backtest("spike", [], fills=unfit)


def test_a_result_prints_its_main_numbers() -> None:
    report = losing()
    shown = repr(BacktestResult(report))
    assert shown.startswith(f"<BacktestResult {report.summary.strategy}: net -$")
    assert f"{report.summary.fills} fills" in shown
