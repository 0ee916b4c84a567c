"""The status of a running loop on stderr: redrawn in place on a terminal, a block a minute anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kalshi_cli.cli.output import note
from kalshi_cli.cli.render import status_block

if TYPE_CHECKING:
    from kalshi_cli.desk.trade import Summary


def is_live() -> bool:
    """A terminal that can redraw."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def status_display() -> Iterator[Callable[[Summary], None]]:
    """Gives the function that shows a status; what is noted meanwhile scrolls by above it."""
    if not is_live():
        yield lambda now: note(status_block(now))
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.rule import Rule
    from rich.text import Text

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda now: live.update(Group(Rule(style="dim"), Text(status_block(now), style="cyan")), refresh=True)
