"""A slice of `make mutants`: the list fits the program as it is, and the verdicts are honest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from proofs.mutants.__main__ import ROOT, mutated, play
from proofs.mutants.lines import MUTANTS, Mutant

CLOSING = next(mutant for mutant in MUTANTS if mutant.name == "closing only closes")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_line_is_there_exactly_once_and_so_are_its_tests(mutant: Mutant) -> None:
    text = (ROOT / "kalshi_cli" / mutant.file).read_text()
    assert mutated(mutant, text) != text
    assert [test for test in mutant.tests if not (ROOT / test).is_file()] == []
    compile(mutated(mutant, text), mutant.file, "exec")


def test_a_line_that_moved_away_is_told() -> None:
    gone = CLOSING._replace(old="no such line")
    with pytest.raises(ValueError, match="found 0 times"):
        mutated(gone, Path(ROOT / "kalshi_cli" / gone.file).read_text())


def test_there_are_enough_of_them_and_each_has_a_name_and_a_reason() -> None:
    assert len(MUTANTS) >= 30
    assert max(Counter(mutant.name for mutant in MUTANTS).values()) == 1
    assert all(mutant.why for mutant in MUTANTS)


def test_a_mutant_is_killed_by_a_test_and_a_change_that_matters_to_nobody_survives() -> None:
    harmless = CLOSING._replace(name="harmless", new=f"{CLOSING.old}  # a remark")
    killed, survivor = play([CLOSING, harmless], jobs=1)
    assert killed.killer.startswith("tests/core/test_core_close.py::")
    assert (survivor.killer, survivor.trouble) == ("", "")
