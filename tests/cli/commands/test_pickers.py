"""A command without its market or order: a numbered choice on a terminal, a refusal elsewhere."""

from __future__ import annotations

import os
import signal

import pytest
from support.hostile_text import HOSTILE, harmful
from support.served import FINE, TWO_SIDED, Served, Terminal, program

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.cli.commands.pickers import Pick, _show


@pytest.fixture
def variables(exchange: Served) -> dict[str, str]:
    exchange.trade_a_little()
    return {**os.environ, **exchange.variables(), "TERM": "xterm"}


def test_words_then_a_number_choose_a_market(variables: dict[str, str]) -> None:
    terminal = Terminal("market", env=variables)
    terminal.answer("words to search for", "no such words")
    terminal.answer("words to search for", "Wind")
    terminal.answer("Number 1,", "7")
    terminal.answer("Number 1,", "1")
    assert terminal.finish() == 0
    assert FINE in terminal.text


def test_orderbook_takes_the_chosen_market_too(variables: dict[str, str]) -> None:
    terminal = Terminal("orderbook", env=variables)
    terminal.answer("words to search for", "above 1.0")
    terminal.answer("Number 1,", "1")
    assert terminal.finish() == 0
    assert TWO_SIDED in terminal.text
    assert "spread" in terminal.text


def test_an_order_is_chosen_from_those_that_rest(variables: dict[str, str], exchange: Served) -> None:
    terminal = Terminal("cancel", env=variables)
    terminal.answer("Number 1-2", "sell")
    terminal.answer("Number 1,", "1")
    assert terminal.finish() == 0
    ((_, side, price, _),) = exchange.resting()
    assert (side.value, price) == ("bid", 4_000)


@pytest.mark.parametrize(("words", "left"), [("amend --count 1.5", 150), ("decrease --to 1.5", 150)])
def test_the_order_to_change_is_chosen_in_the_same_way(
    variables: dict[str, str], exchange: Served, words: str, left: int
) -> None:
    terminal = Terminal("order", *words.split(), env=variables)
    terminal.answer("Number 1-2", "sell")
    terminal.answer("Number 1,", "1")
    assert terminal.finish() == 0
    assert "is resting" in terminal.text
    assert sorted(qty for _, side, _, qty in exchange.resting() if side.value == "ask") == [left]


def test_an_amend_that_changes_nothing_is_refused_before_the_choice(variables: dict[str, str]) -> None:
    terminal = Terminal("order", "amend", env=variables)
    assert terminal.finish() == ExitCode.USAGE
    assert "Nothing to change" in terminal.text
    assert "Number" not in terminal.text


def test_ctrl_c_leaves_with_130_and_changes_nothing(variables: dict[str, str], exchange: Served) -> None:
    before = exchange.resting()
    terminal = Terminal("cancel", env=variables)
    terminal.answer("Number 1-2", "nothing like it")
    terminal.answer("words to search for", "sell")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == ExitCode.INTERRUPTED
    assert exchange.resting() == before


def test_an_empty_answer_leaves(variables: dict[str, str]) -> None:
    terminal = Terminal("market", env=variables)
    terminal.answer("words to search for", "")
    assert terminal.finish() == ExitCode.USAGE


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("market", "TICKER"),
        ("orderbook", "TICKER"),
        ("watch", "TICKER..."),
        ("cancel", "ID..."),
        ("order cancel", "ID"),
        ("order amend", "ID"),
        ("order amend --price 0.25", "ID"),
        ("order decrease", "ID"),
        ("order decrease --to 1", "ID"),
    ],
)
@pytest.mark.usefixtures("exchange")
def test_without_a_terminal_the_argument_is_missing(command: str, missing: str) -> None:
    ended = program(*command.split())
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert f"Missing {missing}" in ended.err
    assert f"kalshi {command.split()[0]}" in ended.err


def test_hostile_titles_stay_one_harmless_line(capsys: pytest.CaptureFixture[str]) -> None:
    for text in HOSTILE:
        _show([Pick("KXA-1", text)])
        shown = capsys.readouterr().err
        assert shown.count("\n") == 1
        assert not harmful(shown)
