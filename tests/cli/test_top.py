"""`kalshi top` and `kalshi trade --screen` on a terminal: they open, and leaving them stops no loop."""

from __future__ import annotations

import os

import pytest
from support.served import TWO_SIDED, Served, Terminal, program


def leave(terminal: Terminal, once: str) -> int:
    """Wait for these words on the screen, press `q`, and return the exit code."""
    terminal._read_until(lambda: once in terminal.text)
    assert once in terminal.text, terminal.text[-2000:]
    os.write(terminal.screen, b"q")
    return terminal.finish()


def test_the_screen_opens_and_closes(exchange: Served) -> None:
    assert leave(Terminal("top", env=exchange.variables()), "no strategy is running") == 0


def test_without_a_terminal_the_screen_says_what_to_do(exchange: Served) -> None:
    for words in (["top"], ["trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--screen"]):
        ended = program(*words)
        assert ended.code == 2
        assert "--plain" in ended.err


@pytest.mark.parametrize("form", [["--json"], ["--format", "ndjson"], ["--format", "csv"]])
def test_a_screen_is_no_data(exchange: Served, form: list[str]) -> None:
    ended = program("top", "--plain", *form)
    assert (ended.code, ended.out) == (2, "")
    assert "kalshi status --watch --format ndjson" in ended.err


def test_a_loop_that_was_started_with_a_screen_goes_on_without_it(exchange: Served) -> None:
    words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.3s", "--screen")
    terminal = Terminal(*words, env=exchange.variables())
    assert leave(terminal, "spike is running") == 0
    assert "The loop goes on" in terminal.text
    assert program("status", "--json").json["running"] is True
    assert program("stop").code == 0
    assert program("status", "--json").json["running"] is False


def test_a_loop_that_cannot_start_says_why(exchange: Served) -> None:
    words = ("trade", "--strategy", "spike", "--ticker", "NOPE-26JAN01-T1", "--screen")
    terminal = Terminal(*words, env=exchange.variables())
    assert terminal.finish() == 1
    assert "The loop ended at its start" in terminal.text
    assert "NOPE" in terminal.text
