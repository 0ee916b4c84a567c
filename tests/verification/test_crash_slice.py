"""A slice of `make crash`: the real program killed, started again, and held against the exchange's books."""

from __future__ import annotations

from support.places import ROOT
from support.processes import Ran, run_module


def crash(*words: str) -> Ran:
    return run_module("verification.crash", *words, "--workers", "1", cwd=ROOT)


def test_whatever_moment_the_program_is_killed_at_no_order_is_lost_or_doubled() -> None:
    ended = crash("--runs", "3", "--first", "11")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    hits, sent = map(int, next(line for line in ended.stdout.splitlines() if line.startswith("all")).split()[2:4])
    assert hits >= 2, ended.stdout
    assert sent >= 2, ended.stdout


def test_a_loop_whose_state_file_fails_ends_with_the_fault_and_leaves_nothing() -> None:
    ended = crash("--trouble", "--seed", "10")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (row,) = [line.split() for line in ended.stdout.splitlines() if line.startswith("read only")]
    assert row[2:4] == ["1", "1"], "the file failed"


def test_a_program_that_sends_before_it_has_written_down_is_found_out() -> None:
    point = ("--point", "create at exchange", "--seed", "4")
    ended = crash("--sabotage", "forget-intents", *point)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "is not known as ours" in ended.stdout
