"""The help of a command in the width of its terminal. The names of options stay whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shutil import get_terminal_size
from typing import Any

from kalshi_cli.cli.screen.output import command_lines

LEAST_WIDTH = 30
NARROW = 60
"""In less than these columns the names of options take a third of the width; a longer name has a line of its own."""

_UNBROKEN = "\N{NON-BREAKING HYPHEN}"


class WholeNames:
    """A command whose help is as wide as the terminal, also one of less than 50 columns, and keeps names whole."""

    def get_help(self, ctx: Any) -> str:
        """Return the help."""
        formatter = ctx.make_formatter()
        formatter.width = min(formatter.width, max(LEAST_WIDTH, get_terminal_size().columns - 2))
        write_text = formatter.write_text
        formatter.write_text = lambda text: write_text(unbroken(text))
        self.format_help(ctx, formatter)  # type: ignore[attr-defined]
        lines = str(formatter.getvalue()).replace(_UNBROKEN, "-").rstrip("\n").split("\n")
        return "\n".join(_example(line, formatter.width) for line in lines)

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - never cut
        """Return the first paragraph of the help without its period: the line of a command in a list."""
        text: str = self.help or ""  # type: ignore[attr-defined]
        return " ".join(text.partition("\n\n")[0].split()).removesuffix(".")


def _example(line: str, width: int) -> str:
    """Return a line of help; an example that is too long is broken between words, to be copied whole."""
    command = line.lstrip()
    indent = line[: len(line) - len(command)]
    if not command.startswith("kalshi "):
        return line
    return " \\\n".join(indent + part for part in command_lines(command, width - len(indent)))


def unbroken(text: str) -> str:
    """Return a text in which no line may end within the name of an option, until its help is complete."""
    return re.sub(r"--[\w-]+", lambda found: found[0].replace("-", _UNBROKEN), text)


def write_list(formatter: Any, lines: Sequence[tuple[str, str]]) -> None:
    """Write names with their texts, side by side."""
    most = 30 if formatter.width >= NARROW - 2 else formatter.width // 3
    formatter.write_dl([(name, unbroken(text)) for name, text in lines], col_max=most)
