"""A slice of `make store`: the state file among many hands, cut off at every statement, and with other bytes in it."""

from __future__ import annotations

import random
from pathlib import Path

from verification.store.knife import damage, knife
from verification.store.load import hammer


def test_three_programs_that_never_pause_get_along(tmp_path: Path) -> None:
    assert hammer(tmp_path, 0.5) == []


def test_cut_off_after_any_statement_the_file_is_what_it_was_before_an_effect_or_after_it(tmp_path: Path) -> None:
    assert knife(tmp_path, orders=1) == []


def test_a_store_without_transactions_is_found_out(tmp_path: Path) -> None:
    assert any("none of the states" in problem for problem in knife(tmp_path, orders=1, is_torn=True))


def test_bytes_that_changed_are_told_as_damage_and_the_file_is_left_as_it_is(tmp_path: Path) -> None:
    assert damage(tmp_path, random.Random(7), 3) == []
