"""Two recordings of one market at the same time are refused, and named."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recordings import T0, TICKER, Tape

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.feeds.overlap import BOOK, recorded_tickers, refuse_overlaps


def recorded(path: Path, start_s: int, end_s: int, ticker: str = TICKER) -> Path:
    tape = Tape()
    tape.now = Ts(T0 + start_s * 1000)
    tape.snapshot(yes={"0.4000": "50"}, ticker=ticker)
    for _ in range(end_s - start_s):
        tape.delta(1_000, ticker=ticker)
    return tape.write(path)


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_one_that_lies_within_another_or_crosses_its_end_is_refused(tmp_path: Path, ending: str) -> None:
    whole = recorded(tmp_path / f"run.{ending}", 0, 20)
    other = recorded(tmp_path / f"other.{ending}", 0, 40, "KXB-1")
    for start, end in ((5, 9), (19, 30), (0, 20)):
        part = recorded(tmp_path / f"part.{ending}", start, end)
        with pytest.raises(UsageError, match=f"run.{ending} .*both have {TICKER} from 2026-") as caught:
            refuse_overlaps([part, other, whole] if start else [whole, part], None, None)
        assert caught.value.code == "overlap"
        assert str(part) in str(caught.value)


def test_one_after_the_other_and_other_markets_pass(tmp_path: Path) -> None:
    first, second = recorded(tmp_path / "a.jsonl", 0, 20), recorded(tmp_path / "b.jsonl", 20, 40)
    other = recorded(tmp_path / "c.jsonl", 0, 40, "KXB-1")
    refuse_overlaps([second, other, first], None, None)


def test_those_that_overlap_outside_of_the_period_only_pass(tmp_path: Path) -> None:
    first, second = recorded(tmp_path / "a.jsonl", 0, 20), recorded(tmp_path / "b.jsonl", 10, 40)
    for since, until in ((20, None), (None, 10)):
        refuse_overlaps([first, second], *(None if at is None else Ts(T0 + at * 1000) for at in (since, until)))
    with pytest.raises(UsageError, match="both have"):
        refuse_overlaps([first, second], Ts(T0 + 19_000), None)


def test_the_end_of_a_recording_that_was_cut_is_its_last_whole_line(tmp_path: Path) -> None:
    first, second = recorded(tmp_path / "a.jsonl", 0, 20), recorded(tmp_path / "b.jsonl", 10, 40)
    first.write_bytes(first.read_bytes()[:-20])
    with pytest.raises(UsageError, match="both have"):
        refuse_overlaps([first, second], None, None)


def test_one_without_times_and_a_missing_one_pass(tmp_path: Path) -> None:
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"type": "ticker"}\n')
    refuse_overlaps([bare, tmp_path / "missing.jsonl", recorded(tmp_path / "a.jsonl", 0, 9)], None, None)


def test_markets_of_a_recording_are_those_of_any_line_or_those_with_a_book(tmp_path: Path) -> None:
    tape = Tape()
    tape.snapshot(yes={"0.4000": "50"})
    tape.watch(ticker="KXCLOSED-1")
    path = tape.write(tmp_path / "a.jsonl")
    assert recorded_tickers(path) == {TICKER, "KXCLOSED-1"}
    assert recorded_tickers(path, having=BOOK) == {TICKER}
