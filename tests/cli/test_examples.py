"""The examples in the help texts of the commands below are typed, on the simulated exchange, and end with 0.

What an example names is replaced by what there is: markets, events, files.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import TWO_SIDED, kalshi, served, set_variables

from kalshi_cli.cli.main import root
from kalshi_cli.desk.template import TEMPLATE


def of_help(name: str, command: Any) -> Iterator[str]:
    """The examples of a command, or of every command of a group."""
    if hasattr(command, "commands"):
        for sub, inner in command.commands.items():
            yield from of_help(f"{name} {sub}", inner)
        return
    for line in (command.help or "").partition("\b\n")[2].splitlines():
        if "kalshi " in line:
            yield line.strip()


TYPED = (
    "tags", "market", "markets", "event", "events", "series", "series-info", "trades", "strategies", "lock", "balance",
    "positions", "fills", "settlements", "pnl", "export", "runbook", "limits", "keys", "config",
)  # fmt: skip


def named(line: str) -> str:
    """The line with what there is, instead of what it names."""
    line = re.sub(r"--env (demo|prod)|--config \./config\.yaml| > \S+", "", line)
    line = re.sub(r"KX\w+-\w+-[\w.]+", TWO_SIDED, line)
    line = re.sub(r"KX(?!RAIN)\w+-\w+(?= |$)", "KXRAIN-40JAN01", line)
    return re.sub(r"KX(?!RAIN)\w+(?= |$)", "KXRAIN", line)


@pytest.mark.parametrize("command", TYPED)
def test_its_examples_do_what_they_are_there_for(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list(of_help(command, root().get_command(None, command)))
    assert lines
    with served(tmp_path) as one:
        set_variables(monkeypatch, one.home, one.variables())
        one.trade_a_little()
        (one.home / "fade.py").write_text((TEMPLATE / "fade.py").read_text())
        ended = [(line, kalshi(*shlex.split(named(line))[1:])) for line in lines]
    assert [(line, end.code, end.err) for line, end in ended if end.code != 0] == []
