"""A slice of `python -m verification.replay --books`, and proof that it counts a book that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.recordings import Tape

from kalshi_cli.base.units import Ts
from verification.replay.books import Agreement, compare_tape
from verification.replay.tapes import recordings

TAPES = recordings()[:1]


@pytest.mark.skipif(not TAPES, reason="no recordings beside the repository")
def test_books_rebuilt_from_the_lake_are_those_of_the_ticker_channel() -> None:
    found = compare_tape(str(TAPES[0]))
    assert found.equal == found.comparable > 500


def test_a_wrong_book_a_gap_and_a_snapshot_are_told_apart(tmp_path: Path) -> None:
    book: dict[str, Any] = {"yes": {"0.4000": "1.00"}, "no": {"0.5600": "1.00"}}
    tape = Tape().snapshot(**book).quote()  # before any change: not comparable
    tape.delta(1_000, price="0.3000").quote().delta(1_000, price="0.3000")  # equal
    tape.delta(1_000).quote()  # equal to the book before the change of the same time
    tape.now = Ts(tape.now + 500)
    tape.quote().delta(500, price="0.3000")  # the book has two contracts at 40 cents
    tape.quote().snapshot(**book).delta(1_000, price="0.3000")  # a snapshot follows: not comparable
    tape.quote().skip(3).delta(1_000, price="0.3000").quote()  # a gap follows, then no book: not comparable
    assert compare_tape(str(tape.write(tmp_path / "tape.jsonl"))) == Agreement("tape.jsonl", 7, 3, 2)
