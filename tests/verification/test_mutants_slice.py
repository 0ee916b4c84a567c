"""A slice of `make mutants`: the list fits the program as it is, and the verdicts are honest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import verification.mutants.__main__ as mutants_main
from verification.mutants.__main__ import ROOT, copied, judge, mutated, play, sessions
from verification.mutants.lines import MUTANTS, Mutant
from verification.mutants.simulated import SIMULATED

CLOSING = next(mutant for mutant in MUTANTS if mutant.name == "closing only closes")


def fault(mutant: Mutant) -> str:
    """What does not fit the program as it is; empty where all does."""
    text = (ROOT / "kalshi_cli" / mutant.file).read_text()
    try:
        broken = mutated(mutant, text)
        if mutant.file.endswith(".py"):
            compile(broken, mutant.file, "exec")
    except (ValueError, SyntaxError) as error:
        return f"{mutant.name}: {error}"
    missing = [test for test in mutant.tests if not (ROOT / test).is_file()]
    return f"{mutant.name}: no {missing}" if missing or broken == text else ""


def test_every_line_is_there_exactly_once_and_so_are_its_tests() -> None:
    assert [said for mutant in MUTANTS if (said := fault(mutant))] == []


def test_what_does_not_fit_is_told() -> None:
    assert "no such" in fault(CLOSING._replace(tests=("tests/no such test.py",)))
    assert "found 0 times" in fault(CLOSING._replace(old="no such line"))
    assert CLOSING.name in fault(CLOSING._replace(new=CLOSING.old))
    assert "unmatched" in fault(CLOSING._replace(new=f"{CLOSING.old} )"))


def test_a_line_that_moved_away_is_told() -> None:
    gone = CLOSING._replace(old="no such line")
    with pytest.raises(ValueError, match="found 0 times"):
        mutated(gone, Path(ROOT / "kalshi_cli" / gone.file).read_text())


def test_there_are_enough_of_them_and_each_has_a_name_and_a_reason() -> None:
    assert len(MUTANTS) >= 250
    assert max(Counter(mutant.name for mutant in MUTANTS).values()) == 1
    assert all(mutant.why for mutant in MUTANTS)


def test_a_mutant_is_killed_by_a_test_and_a_change_that_matters_to_nobody_survives() -> None:
    harmless = CLOSING._replace(name="harmless", new=f"{CLOSING.old}  # a remark")
    killed, survivor = play([CLOSING, harmless], jobs=1)
    assert killed.killer.startswith("tests/core/engine/test_closes.py::")
    assert (survivor.killer, survivor.trouble) == ("", "")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("copy"))


def in_a_copy(root: Path, body: str) -> tuple[Mutant, Path]:
    """A mutant that is harmless, with this for its only test, in a copy of the program."""
    (root / "tests/test_endless.py").write_text(f"import signal\nimport time\n\n\ndef test_it():\n{body}")
    return CLOSING._replace(new=f"{CLOSING.old}  # a remark", tests=("tests/test_endless.py",)), root


def test_a_mutant_whose_tests_never_end_is_not_caught(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants_main, "LONGEST_S", 1.0)
    verdict = judge(*in_a_copy(copy, "    time.sleep(600)\n"))
    assert verdict.killer == ""
    assert verdict.trouble == "NOT CAUGHT: what must notice did not end within 1 s"


def test_a_mutant_is_caught_by_a_test_that_ends_itself(copy: Path) -> None:
    limit = (
        "    def over(*_):\n        raise AssertionError('too long')\n"
        "    signal.signal(signal.SIGALRM, over)\n    signal.setitimer(signal.ITIMER_REAL, 0.1)\n    time.sleep(600)\n"
    )
    verdict = judge(*in_a_copy(copy, limit))
    assert verdict.killer == "tests/test_endless.py::test_it"


# -- by sessions ----------------------------------------------------------------------------------------------------


def test_those_that_sessions_must_notice_are_in_the_list_and_enough() -> None:
    assert len(SIMULATED) >= 12
    assert {mutant.name for mutant in MUTANTS} >= SIMULATED


def test_a_session_notices_an_order_that_is_sent_before_it_is_written_down() -> None:
    first = next(mutant for mutant in MUTANTS if mutant.name == "commit before send")
    (verdict,) = play([first], jobs=1, command=sessions(1))
    assert verdict.trouble == ""
    assert verdict.killer.startswith("seed ")
    assert "is sent, and not on file" in verdict.killer
