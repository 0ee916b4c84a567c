"""Notices on a terminal and in a pipe."""

from __future__ import annotations

import os
import pty
import re
import sys
import termios
from pathlib import Path

import pytest

from kalshi_cli.cli.main import main
from kalshi_cli.cli.screen.output import reflow, warn
from kalshi_cli.cli.screen.tables import draw_markdown
from kalshi_cli.services.monitoring.runbooks import Runbook, runbooks

LONG = "Hidden, the terminal is too narrow: average price. Use a wider terminal or choose --fields"


def on_terminal(monkeypatch: pytest.MonkeyPatch, *lines: str, is_wrapped: bool = True) -> list[str]:
    """Return what a terminal of 40 columns shows of these lines."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 40))
    with os.fdopen(theirs, "w") as stderr, os.fdopen(ours, "rb", buffering=0) as screen:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", stderr)
            warn(*lines, is_wrapped=is_wrapped)
        return (screen.read(65_536) or b"").decode().splitlines()


def test_a_terminal_breaks_long_notices_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "  kalshi order group reset a-group-id-that-is-longer-than-a-line-of-this-terminal"
    lines = on_terminal(monkeypatch, LONG, group)
    assert " ".join(lines[:3]) == LONG
    assert all(len(line) <= 40 for line in lines[:3])
    assert lines[3:] == ["  kalshi order group reset", "  a-group-id-that-is-longer-than-a-line-of-this-terminal"]


SENTENCES = pytest.mark.parametrize(
    "sentence", ["To cancel them: `{}`; then look again", "`{}` cancels them", "Then: {}"]
)


@SENTENCES
def test_a_command_with_room_is_never_broken(monkeypatch: pytest.MonkeyPatch, sentence: str) -> None:
    command = "kalshi cancel-all --no-halt --yes"
    lines = on_terminal(monkeypatch, "The orders of this market are resting. " + sentence.format(command))
    assert len(lines) > 1
    assert any(command in line for line in lines), lines


@SENTENCES
@pytest.mark.parametrize(
    "command",
    ["kalshi cancel-all --ticker KXBTC --no-halt", "kalshi positions --fields ticker,side,cost,value,max_payout"],
)
def test_a_command_wider_than_the_terminal_is_broken_between_words_for_a_shell_to_join(
    monkeypatch: pytest.MonkeyPatch, sentence: str, command: str
) -> None:
    shown = on_terminal(monkeypatch, "The orders of this market are resting. " + sentence.format(command))
    assert command in "\n".join(shown).replace(" \\\n", " ")
    assert max(map(len, shown)) <= max(40, *(len(word) + len("`;") for word in command.split()))
    assert sum(line.endswith("\\") for line in shown) == 1


def test_a_command_with_quotes_stays_whole_where_a_backslash_would_be_text(monkeypatch: pytest.MonkeyPatch) -> None:
    command = "kalshi resume --reason 'the limits are higher now'"
    assert command in on_terminal(monkeypatch, f"Trading is halted. Then: {command}")


def test_a_line_for_programs_stays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(on_terminal(monkeypatch, '{"error": "' + "word " * 20 + '"}', is_wrapped=False)) == 1


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    warn(LONG)
    assert capsys.readouterr().err == f"{LONG}\n"


@pytest.mark.parametrize("book", runbooks(), ids=lambda book: book.name)
def test_a_runbook_fits_a_narrow_terminal_with_whole_words_and_commands(book: Runbook) -> None:
    shown = reflow(book.text, 48)
    assert shown.split() == book.text.split()
    assert max(map(len, shown.splitlines())) <= 48
    commands = [command for command in re.findall("`[^`]*`", book.text) if len(command) <= 40 and "\n" not in command]
    assert [command for command in commands if command not in shown] == []
    assert (reflow(book.text, 0), reflow(book.text, 200)) == (book.text, book.text)


def test_the_lines_of_an_item_begin_where_its_text_does() -> None:
    text = "# Title\n\n1. One two `a b`\n   three.\n   - four five `six seven eight nine`\n"
    assert reflow(text, 15) == (
        "# Title\n\n1. One two\n   `a b` three.\n   - four five\n     `six seven\n     eight\n     nine`\n"
    )


def test_a_runbook_in_a_pipe_is_broken_for_the_terminal_behind_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 48))
    with os.fdopen(theirs, "w") as stderr, os.fdopen(ours, "rb"), monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stderr)
        assert main(["runbook", "kill-switch"]) == 0
    (book,) = (each for each in runbooks() if each.name == "kill-switch")
    assert capsys.readouterr().out == reflow(book.text, 48) != book.text


@pytest.mark.parametrize(("lines", "is_paged"), [(3, False), (60, True)])
def test_a_text_longer_than_the_terminal_is_shown_in_the_pager(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lines: int, is_paged: bool
) -> None:
    paged = tmp_path / "paged"
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stdin, os.fdopen(os.dup(theirs), "w") as stdout, os.fdopen(ours, "rb", 0) as screen:
        with monkeypatch.context() as patched:
            for name, value in {"PAGER": f"cat > {paged}", "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}.items():
                patched.setenv(name, value)
            patched.delenv("MANPAGER", raising=False)
            patched.setenv("LESS", "FRX")
            patched.setattr(sys, "stdin", stdin)
            patched.setattr(sys, "stdout", stdout)
            draw_markdown("\n\n".join(f"step {n}" for n in range(lines)))
            stdout.flush()
        os.write(stdin.fileno(), b"end")
        shown = screen.read(65_536).decode()
    assert paged.exists() is is_paged
    assert ("step 0" in shown) is not is_paged
