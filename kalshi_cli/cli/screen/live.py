"""Live output: the status of a running loop on stderr, and watch screens on stdout.

A screen is redrawn in place if the terminal can do that; otherwise changes are written line by line.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.screen.output import COMMAND, GLUE, Format, chosen_fields, info
from kalshi_cli.cli.screen.render import status_block

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from kalshi_cli.services.trading.reports.run_summary import RunSummary


def is_live() -> bool:
    """Return whether stderr is a terminal that can redraw."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def status_display() -> Iterator[Callable[[RunSummary], None]]:
    """Yield a function that shows a status. Notices scroll above it."""
    if not is_live():
        yield lambda now: info(*status_block(now).split("\n"))
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.rule import Rule
    from rich.text import Text

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def panel(now: RunSummary) -> Group:
        return Group(Rule(style="dim"), Text(folded(status_block(now), console.width), style="cyan"))

    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda now: live.update(panel(now), refresh=True)


def folded(text: str, width: int) -> str:
    """Wrap lines to the width, behind a comma, a semicolon or a colon, with an indent.

    A line with a part that is wider than the screen is broken between words, and its commands stay whole.
    """
    parts: list[str] = []
    for line in text.splitlines():
        parts += _folded_line(line, max(width, 20))
    return "\n".join(parts).replace(GLUE, " ")


def _folded_line(line: str, width: int) -> list[str]:
    room = width - len(_INDENT)
    kept = re.sub(r"(?<![,;:]) ", GLUE, line)
    if any(len(part) > room for part in kept.split(" ")):
        kept = COMMAND.sub(lambda found: found[0].replace(" ", GLUE) if len(found[0]) <= room else found[0], line)
    return textwrap.wrap(kept, width, subsequent_indent=_INDENT, break_on_hyphens=False)


_INDENT = "    "


# -- screens ------------------------------------------------------------------------------------------------------

REDRAW_MS = 150
"""The least time between two drawings of a screen."""


def live_format(form: Format | None) -> Format:
    """Return the format of live output: a screen (TABLE) on a terminal, lines on a simple one, NDJSON when piped.

    With `--fields` it is NDJSON everywhere.
    """
    can_redraw = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if chosen_fields():
        if form in (Format.TABLE, Format.PLAIN):
            raise UsageError("--fields does not fit a live screen", hint="use --format ndjson or --format csv")
        return form or Format.NDJSON
    if form is None:
        return Format.TABLE if can_redraw else Format.PLAIN if sys.stdout.isatty() else Format.NDJSON
    return Format.PLAIN if form is Format.TABLE and not can_redraw else form


@contextmanager
def screen() -> Iterator[tuple[Console, Callable[[RenderableType], None]]]:
    """Take over the terminal; yield its console and a function that draws on it.

    At the end, restore the terminal and leave the last drawing on it.
    """
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False)
    last: list[RenderableType] = []

    def draw(drawn: RenderableType) -> None:
        last[:] = [drawn]
        live.update(drawn, refresh=True)

    try:
        with Live(console=console, auto_refresh=False, screen=True) as live:
            yield console, draw
    finally:
        console.print(*last)
