"""Progress of long work on stderr: a bar on a terminal, otherwise a line for each tenth of the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kalshi_cli.cli.screen.live import is_live
from kalshi_cli.cli.screen.output import info

EVERY_S = 2.0
"""Minimum seconds between two lines without a terminal."""
AT_LEAST_EVERY_S = 60.0
"""Seconds after which a line comes without a further tenth."""
REDRAW_S = 0.1
"""Seconds between two drawings of a bar that does not redraw by itself."""


@contextmanager
def progress(
    what: str, monotonic: Callable[[], float], *, redraws: bool = True
) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes the done and the total number. Notices scroll above the bar.

    Once some is done, the time of the rest is estimated from the time of that. Without `redraws` the bar is drawn only
    when the function is called, so that it does not overwrite the prompt of a debugger in a strategy.
    """
    if not is_live():
        began = shown = monotonic()
        tenths = 0

        def line(done: int, known: int) -> None:
            nonlocal shown, tenths
            now, reached = monotonic(), 10 * done // known if known else 0
            if now - shown >= (EVERY_S if reached > tenths else AT_LEAST_EVERY_S):
                shown, tenths = now, reached
                left = f", about {(now - began) / done * (known - done):.0f}s left" if 0 < done < known else ""
                info(f"{done} of {known} {what}{left}")

        yield line
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left", markup=False), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, auto_refresh=redraws) as bar:
        task, drawn = bar.add_task(what, total=None), monotonic()

        def draw(done: int, known: int) -> None:
            nonlocal drawn
            is_due = not redraws and monotonic() - drawn >= REDRAW_S
            drawn = monotonic() if is_due else drawn
            bar.update(task, completed=done, total=known, refresh=is_due)

        yield draw
