"""Backtests in Python, beyond those of docs/notebook.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.backtests import losing
from support.recordings import T0, TICKER, Tape

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


@pytest.mark.usefixtures("exchange")
def test_changes_of_order_books_are_a_frame_in_dollars_and_contracts(tmp_path: Path) -> None:
    tape = Tape().watch().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "2.50"}).delta(5, "yes", "0.4100", "1.00")
    start = datetime.fromtimestamp(T0 / 1000, UTC)
    with Kalshi.open(env="sim") as kalshi:
        kalshi.research.data_import([tape.write(tmp_path / "a.jsonl")], folder=tmp_path / "lake")
        found = kalshi.research.book_changes(tmp_path / "lake").drop("ts", "seq").rows()
        assert found == [
            (TICKER, "bid", 0.0, 0.0, "lost"),  # a connection begins without order books
            (TICKER, "bid", 0.40, 5.0, "reset"),
            (TICKER, "ask", 0.44, 2.5, "level"),
            (TICKER, "bid", 0.41, 1.0, "change"),
        ]
        later = kalshi.research.book_changes(tmp_path / "lake", since=start + timedelta(hours=1))
        assert later.is_empty()
        with pytest.raises(errors.UsageError, match="has no time zone"):
            kalshi.research.book_changes(tmp_path / "lake", since=start.replace(tzinfo=None))
