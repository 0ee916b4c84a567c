"""Confirmations and progress bars, on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.text import safe_text
from kalshi_cli.cli.screen.output import info, prompt, warn

if TYPE_CHECKING:
    from kalshi_cli.config.hosts import OtherHost

T = TypeVar("T")


def confirm(question: str, facts: Sequence[str], *, hosts: Sequence[OtherHost], yes: bool) -> None:
    """Show the facts and ask. Raise RefusedError unless the user agrees, and always without a terminal.

    Without a terminal there is no question, so the facts are notices, which `--quiet` suppresses.

    `hosts` are the hosts in use that do not belong to the environment.
    """
    if yes:
        return
    show = warn if sys.stdin.isatty() else info
    show(*facts, *(f"not a host of the exchange: {host}" for host in hosts))
    if not sys.stdin.isatty():
        hint = "run it on a terminal, or, if you have checked what it does, add --yes"
        raise RefusedError("Not confirmed: no terminal to ask on", hint=hint, code="not_confirmed")
    if prompt(f"{question} [y/N]").lower() not in ("y", "yes"):
        raise RefusedError("Not confirmed; nothing was sent", hint="answer y, or add --yes", code="not_confirmed")


def progress(
    items: Iterable[T], label: str, total: int | None = None, size: Callable[[T], int] = lambda _item: 1
) -> Iterable[T]:
    """Return the items, with a progress bar if stderr is a terminal that can redraw.

    `size` is the amount of one item; `total` the sum, if known.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return items
    return _counted(items, label, total, size)


def _counted(items: Iterable[T], label: str, total: int | None, size: Callable[[T], int]) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    count = TextColumn("{task.completed:,.0f}", markup=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(30), count, TimeElapsedColumn())
    # By default rich also captures stdout and would draw the data of a redirected command above the bar.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(safe_text(label), total=total)
        for item in items:
            yield item
            bar.advance(task, size(item))
