"""What moves: the status of a running loop on stderr, and screens of what is watched on stdout.

A screen is redrawn in place where the terminal can; anywhere else what moves is written line by line.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kalshi_cli.cli.screen.output import Format, info
from kalshi_cli.cli.screen.render import status_block

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from kalshi_cli.services.trading.run_summary import RunSummary


def is_live() -> bool:
    """A terminal that can redraw."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def status_display() -> Iterator[Callable[[RunSummary], None]]:
    """Gives the function that shows a status; what is noted meanwhile scrolls by above it."""
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
    """No line longer than that: it is broken behind a comma, a semicolon or a colon, and goes on below, indented."""
    parts: list[str] = []
    for line in text.splitlines():
        kept = re.sub(r"(?<![,;:]) ", "\N{NO-BREAK SPACE}", line)
        parts += textwrap.wrap(kept, max(width, 20), subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(parts).replace("\N{NO-BREAK SPACE}", " ")


# -- screens ------------------------------------------------------------------------------------------------------

SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 143}
"""How a command that only looks ends after a signal: nothing is left to put in order."""

REDRAW_MS = 150
"""A screen is drawn no more often than this, however fast things move."""


def live_format(form: Format | None) -> Format:
    """TABLE is a screen. Without a choice: that where the terminal can show one, lines where it cannot, else NDJSON."""
    can_redraw = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if form is None:
        return Format.TABLE if can_redraw else Format.PLAIN if sys.stdout.isatty() else Format.NDJSON
    return Format.PLAIN if form is Format.TABLE and not can_redraw else form


@contextmanager
def screen() -> Iterator[tuple[Console, Callable[[RenderableType], None]]]:
    """The whole terminal for as long as it lasts, and what draws on it; then everything is as it was before."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        yield console, lambda drawn: live.update(drawn, refresh=True)
